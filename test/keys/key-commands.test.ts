import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { OPERATOR } from '../../src/audit/audit-event.ts';
import { createKeyCommands } from '../../src/keys/key-commands.ts';
import { openKeys, policy } from '../support/keys.ts';

const { publishAheadMs } = policy;

async function setUp() {
  const place = await openKeys();
  const replica = place.replica();
  await replica.schedule.look();
  return { ...place, ...replica, commands: serverCommands(replica) };
}

/** The commands of a running server, which uses a change when the command ends. */
function serverCommands(replica: ReturnType<Awaited<ReturnType<typeof openKeys>>['replica']>) {
  return createKeyCommands({ ...replica, policy, afterChange: replica.schedule.look });
}

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const statuses = (keys: { status: string }[]) => keys.map(({ status }) => status);

test('lists the keys with their times, and nothing that is secret', async (t) => {
  const { commands, rotator } = await setUp();
  await rotator.replaceNow(null);
  const keys = await commands.list();
  t.strictSame(JSON.parse(JSON.stringify(keys)), keys, 'plain JSON');
  const never = { revoked_at: null };
  t.match(keys, [
    { status: 'retired', retired_at: RFC_3339, delete_after: RFC_3339, ...never },
    { status: 'active', retired_at: null, delete_after: null, ...never },
  ]);
  for (const key of keys) {
    t.match(key, { algorithm: 'ES256', published_at: RFC_3339, activated_at: RFC_3339, kid: /^[\w-]{43}$/ });
    t.same(Object.keys(key), [
      ...[
        'kid',
        'algorithm',
        'status',
        'published_at',
        'activated_at',
        'retired_at',
        'revoked_at',
        'delete_after',
      ],
    ]);
  }
});

test('a rotation publishes the next key; asked for twice, no second one, and says so', async (t) => {
  const { commands, keys } = await setUp();
  const rotation = await commands.rotate({}, OPERATOR);
  t.match(rotation, { changed: true, reason: null });
  const [, next] = rotation.keys;
  t.same(statuses(rotation.keys), ['active', 'pending']);
  const again = await commands.rotate({ now: false }, OPERATOR);
  const publishedAt = String(next?.published_at);
  const signsFrom = new Date(Date.parse(publishedAt) + publishAheadMs).toISOString();
  const reason = `the next key, ${next?.kid}, was published at ${publishedAt}, and signs from ${signsFrom} on. To change keys at once: doorward keys rotate --now`;
  t.strictSame(again, { changed: false, reason, keys: rotation.keys });
  t.ok(keys.jwks().body.includes(next?.kid ?? '?'), 'it is in force here before the command ends');
});

test('a rotation that finds the next key due puts it in force, which is a change', async (t) => {
  const { commands, moveTime } = await setUp();
  await commands.rotate({}, OPERATOR);
  await moveTime(publishAheadMs);
  const { changed, keys } = await commands.rotate({}, OPERATOR);
  t.same([changed, statuses(keys)], [true, ['retired', 'active']]);
});

test('without a server, a key that is due signs as soon as one runs', async (t) => {
  const { replica, moveTime } = await openKeys();
  const { schedule, ...parts } = replica();
  const commands = createKeyCommands({ ...parts, policy, afterChange: async () => {} });
  await commands.rotate({}, OPERATOR);
  const soon = { changed: false, reason: /^the next key, .* and signs as soon as a server runs\. / };
  t.match(await commands.rotate({}, OPERATOR), soon, 'the first key of all');
  await schedule.look();
  await commands.rotate({}, OPERATOR);
  t.match(await commands.rotate({}, OPERATOR), { changed: false, reason: /and signs from / });
  await moveTime(publishAheadMs);
  t.match(await commands.rotate({}, OPERATOR), soon, 'one that is late');
});

test('revoking a key twice changes nothing more, and says so', async (t) => {
  const { commands } = await setUp();
  const { kid: leaked = '' } = (await commands.list())[0] ?? {};
  const { changed, keys } = await commands.rotate({ now: true, revoke: leaked }, OPERATOR);
  t.equal(changed, true);
  const reason = `the key ${leaked} was revoked at ${keys[0]?.revoked_at}.`;
  t.strictSame(await commands.rotate({ now: true, revoke: leaked }, OPERATOR), {
    changed: false,
    reason,
    keys,
  });
});

test('a rotation on an empty database makes a key that signs', async (t) => {
  const replica = (await openKeys()).replica();
  const commands = serverCommands(replica);
  t.same(await commands.list(), []);
  t.same(statuses((await commands.rotate({}, OPERATOR)).keys), ['active']);
  t.ok(replica.keys.sign({}));
});

test('without a server, a rotation does what was asked and nothing of what the schedule would', async (t) => {
  const { replica, moveTime } = await openKeys();
  const { schedule, ...parts } = replica();
  const commands = createKeyCommands({ ...parts, policy, afterChange: async () => {} });
  const {
    keys: [first],
  } = await commands.rotate({}, OPERATOR);
  t.match(first, { status: 'pending', activated_at: null });
  await schedule.look();
  t.match(await commands.list(), [{ kid: first?.kid, status: 'active' }], 'the server puts it in force');
  await commands.rotate({ now: true }, OPERATOR);
  await moveTime(policy.retainMs);
  t.same(
    statuses((await commands.rotate({}, OPERATOR)).keys),
    ['retired', 'active', 'pending'],
    'nothing is deleted',
  );
});

test('a rotation now replaces the active key at once', async (t) => {
  const { commands } = await setUp();
  t.same(statuses((await commands.rotate({ now: true }, OPERATOR)).keys), ['retired', 'active']);
});

test('an emergency is in force in this process before the command ends', async (t) => {
  const { commands, keys } = await setUp();
  const leaked = (await commands.list())[0]?.kid ?? '';
  const {
    keys: [old, next],
  } = await commands.rotate({ now: true, revoke: leaked }, OPERATOR);
  t.match(old, { kid: leaked, status: 'revoked', revoked_at: RFC_3339 });
  t.match(next, { status: 'active' });
  t.notOk(keys.jwks().body.includes(leaked));
  const [header = ''] = keys.sign({}).split('.');
  t.match(JSON.parse(Buffer.from(header, 'base64url').toString()), { kid: next?.kid });
});

test('an unknown kid is told, and changes nothing', async (t) => {
  const { commands } = await setUp();
  const before = await commands.list();
  await t.rejects(commands.rotate({ now: true, revoke: 'nobody' }, OPERATOR), { code: 'not_found' });
  t.same(await commands.list(), before);
});

test('a rotation does what else is due', async (t) => {
  const { commands, moveTime } = await setUp();
  await commands.rotate({ now: true }, OPERATOR);
  await moveTime(policy.retainMs);
  t.same(statuses((await commands.rotate({}, OPERATOR)).keys), ['active', 'pending']);
});

test('rewrapping tells which keys it put under the current key-encryption key', async (t) => {
  const { commands, replica, keyEncryptionKey } = await setUp();
  t.same(await commands.rewrap(), []);
  const next = serverCommands(replica({ keyEncryptionKey: randomBytes(32), previous: keyEncryptionKey }));
  t.same(await next.rewrap(), [(await commands.list())[0]?.kid]);
  await t.rejects(commands.rewrap(), { name: 'KeyEncryptionKeyError' });
});

test('a rotation that is done and cannot be shown says that it is done', async (t) => {
  const { rotator, store } = await setUp();
  const afterChange = async () => {
    throw new Error('the database is away');
  };
  const commands = createKeyCommands({ rotator, store, policy, afterChange });
  const before = (await store.list()).keys.length;
  await t.rejects(commands.rotate({ now: true }, OPERATOR), {
    message: /^The keys have been rotated, to [\w-]{43}; do not do it again\./,
  });
  t.equal((await store.list()).keys.length, before + 1);
});
