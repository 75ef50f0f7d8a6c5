import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { test } from 'tap';
import { OPERATOR } from '../../src/audit/audit-event.ts';
import type { PublicJwk } from '../../src/core/jwk.ts';
import { sql } from '../../src/db/drizzle.ts';
import { createKeySeal, generateKeyMaterial } from '../../src/keys/key-material.ts';
import { keyStatus } from '../../src/keys/rotation-plan.ts';
import { trustKeys } from '../../src/keys/trusted-keys.ts';
import { kidOf, openKeys, policy } from '../support/keys.ts';

/** A database with one active key, and what someone can do who may write to it. */
async function setUp() {
  const place = await openKeys();
  const replica = place.replica();
  await replica.schedule.look();
  const commands = replica.commands(replica.schedule.look);
  const { database } = place;
  const run = async (statement: ReturnType<typeof sql>) =>
    (await database.execute(statement)) as Iterable<Record<string, unknown>>;

  /** Inserts a row with a public key whose private key the forger has. */
  const forge = async (state: 'pending' | 'active' | 'retired', sealed = randomBytes(200)) => {
    const { kid, algorithm, publicJwk } = await generateKeyMaterial('ES256');
    const [activated, retired] = [state !== 'pending', state === 'retired'];
    await run(sql`insert into signing_keys
      (kid, algorithm, public_jwk, encrypted_private_key, published_at, activated_at, retired_at, delete_after)
      values (${kid}, ${algorithm}, ${JSON.stringify(publicJwk)}::jsonb, ${sealed}, now() - interval '1 hour',
        case when ${activated} then now() end, case when ${retired} then now() end,
        case when ${retired} then now() + interval '1 hour' end)`);
    return kid;
  };
  return { ...place, ...replica, commands, run, forge };
}

const jwksOf = ({ body }: { body: string }): PublicJwk[] => JSON.parse(body).keys;
const kidsIn = (served: { body: string }) => jwksOf(served).map(({ kid }) => kid);

test('a retired key that someone wrote into the database is never published', async (t) => {
  const { keys, schedule, commands, forge, errors, moveTime } = await setUp();
  const [own] = kidsIn(keys.jwks());
  const { maxAgeSeconds } = keys.jwks();
  const kid = await forge('retired');
  for (let look = 0; look < 3; look += 1) await schedule.look();
  t.same(kidsIn(keys.jwks()), [own]);
  t.equal(keys.jwks().maxAgeSeconds, maxAgeSeconds, 'nor does its deletion count as a change of the key set');
  t.equal(keys.findPublicKey(kid), null, 'nor are tokens with it accepted here');
  t.ok(keys.sign({}));
  t.match(
    errors,
    [{ message: new RegExp(`does not open signing key ${kid}`) }],
    'logged once, not at each look',
  );
  const statuses = async () => new Map((await commands.list()).map(({ kid, status }) => [kid, status]));
  t.equal((await statuses()).get(kid), 'untrusted');
  await moveTime(policy.publishAheadMs + policy.retainMs);
  await schedule.look();
  t.same(
    [...(await statuses()).values()].toSorted(),
    ['active', 'untrusted'],
    'it stays for the operator to see',
  );
  await commands.rotate({ revoke: kid, now: true }, OPERATOR);
  t.equal((await statuses()).get(kid), 'revoked');
  t.equal(keys.activeKid(), own);
});

test('a pending key that someone wrote into the database is not published and never signs; an operator ends it', async (t) => {
  const { keys, schedule, commands, forge, rotator, moveTime } = await setUp();
  const [own] = kidsIn(keys.jwks());
  const kid = await forge('pending');
  await t.rejects(schedule.look(), { name: 'KeyEncryptionKeyError' });
  await moveTime(policy.publishAheadMs);
  await t.rejects(schedule.look(), { name: 'KeyEncryptionKeyError' });
  t.same(kidsIn(keys.jwks()), [own]);
  t.equal(keys.activeKid(), own, 'and the own key goes on signing for as long as it may');
  await t.rejects(rotator.replaceNow(null), { name: 'KeyEncryptionKeyError' });
  t.same(
    (await commands.list()).map(({ kid, status }) => [kid, status]).toSorted(),
    [
      [kid, 'untrusted'],
      [own, 'active'],
    ].toSorted(),
  );
  await commands.rotate({ revoke: kid, now: true }, OPERATOR);
  t.equal(keys.activeKid(), own);
  await schedule.look();
});

test('a key that is put in place of the active one stops the replica, and is not published', async (t) => {
  const { keys, schedule, forge, run } = await setUp();
  const [own] = kidsIn(keys.jwks());
  await run(sql`update signing_keys set retired_at = now(), delete_after = now() + interval '1 hour'`);
  const kid = await forge('active');
  await t.rejects(schedule.look(), { name: 'KeyEncryptionKeyError' });
  t.same(kidsIn(keys.jwks()), [own]);
  t.equal(keys.findPublicKey(kid), null);
});

test('rows cannot be put together from parts of others', async (t) => {
  const { keys, rotator, schedule, run, commands } = await setUp();
  await rotator.replaceNow(null);
  await rotator.replaceNow(null);
  await schedule.look();
  const listed = await commands.list();
  const [first, second, active] = listed.map(({ kid }) => kid);
  t.equal(kidsIn(keys.jwks()).length, 3);
  const other = await generateKeyMaterial('ES256');
  const relabelled = {
    'the private key of another row': sql`update signing_keys set encrypted_private_key =
      (select encrypted_private_key from signing_keys where kid = ${second}) where kid = ${first}`,
    'another public key': sql`update signing_keys set public_jwk =
      ${JSON.stringify({ ...other.publicJwk, kid: first })}::jsonb where kid = ${first}`,
    'another algorithm': sql`update signing_keys set algorithm = 'EdDSA' where kid = ${first}`,
    'a member more': sql`update signing_keys set public_jwk = public_jwk || '{"x5u":"https://evil.example"}'
      where kid = ${first}`,
    'another name': sql`update signing_keys set kid = ${other.kid} where kid = ${first}`,
    'no private key': sql`update signing_keys set encrypted_private_key = '' where kid = ${first}`,
  };
  for (const [what, change] of Object.entries(relabelled)) {
    const [row] = [...(await run(sql`select * from signing_keys where kid = ${first}`))];
    await run(change);
    await schedule.look();
    t.same(kidsIn(keys.jwks()), [second, active], what);
    t.equal((await commands.list()).filter(({ status }) => status === 'untrusted').length, 1, what);
    await run(sql`update signing_keys set kid = ${first}, algorithm = ${row?.algorithm},
      public_jwk = ${JSON.stringify(row?.public_jwk)}::jsonb, encrypted_private_key = ${row?.encrypted_private_key}
      where kid in (${first}, ${other.kid})`);
    await schedule.look();
    t.same(kidsIn(keys.jwks()), [first, second, active], `${what}, put right again`);
  }
});

test('a changed row of the key that signs stops everything, until it is revoked', async (t) => {
  const { keys, schedule, commands, run, rotator } = await setUp();
  const [own = ''] = kidsIn(keys.jwks());
  await run(sql`update signing_keys set algorithm = 'EdDSA'`);
  await t.rejects(schedule.look(), { name: 'KeyRowError', message: new RegExp(`--revoke ${own}$`) });
  await t.rejects(rotator.publishNext(), { name: 'KeyRowError' });
  await t.rejects(rotator.replaceNow(null), { name: 'KeyRowError' });
  await commands.rotate({ now: true, revoke: own }, OPERATOR);
  t.not(keys.activeKid(), own);
  t.same(kidsIn(keys.jwks()), [keys.activeKid()]);
});

test('a wrong key-encryption key does not rotate, not even to revoke', async (t) => {
  const { replica, store, commands } = await setUp();
  const ring = await store.list();
  const wrong = replica({ keyEncryptionKey: randomBytes(32) });
  const active = kidOf(ring, 'active');
  const { rotator } = wrong;
  const changes = [
    () => rotator.publishNext(),
    () => rotator.replaceNow(null),
    () => rotator.replaceNow(active),
  ];
  for (const change of changes) await t.rejects(change(), { name: 'KeyEncryptionKeyError' });
  await t.rejects(wrong.schedule.look(), { name: 'KeyEncryptionKeyError' });
  t.same((await store.list()).keys, ring.keys, 'nothing was changed');
  t.match(await wrong.commands(async () => {}).list(), [{ status: 'active' }], 'looking needs no key');
  t.match(await commands.list(), [{ status: 'active' }]);
});

test('a forged row that was revoked is not believed when someone takes that back', async (t) => {
  const { keys, schedule, commands, run, forge } = await setUp();
  const kid = await forge('retired');
  await commands.rotate({ now: true, revoke: kid }, OPERATOR);
  await run(sql`update signing_keys set revoked_at = null`);
  await schedule.look();
  t.notOk(kidsIn(keys.jwks()).includes(kid));
});

test('each key is opened once for each change of its row', async (t) => {
  const { keyEncryptionKey, replica, rotator } = await setUp();
  await rotator.replaceNow(null);
  const opened: string[] = [];
  const seal = createKeySeal(keyEncryptionKey);
  const counting = {
    ...seal,
    open(kid: string, sealed: Buffer) {
      opened.push(kid);
      return seal.open(kid, sealed);
    },
  };
  const { store } = replica();
  const trusted = trustKeys(store, counting, () => {});
  const first = await trusted.list();
  for (let look = 0; look < 5; look += 1) t.ok(isDeepStrictEqual((await trusted.list()).keys, first.keys));
  t.equal(opened.length, 2);
  t.same(first.keys.map(keyStatus), ['retired', 'active']);
  await rotator.replaceNow(first.keys[1]?.kid ?? '');
  await trusted.list();
  t.equal(opened.length, 3, 'the new one; a revoked key needs no proof');
});

test('what is no fault of a row is thrown as what it is', async (t) => {
  const { replica } = await setUp();
  const broken = {
    ...createKeySeal(randomBytes(32)),
    open(): never {
      throw new RangeError('a bug');
    },
  };
  await t.rejects(trustKeys(replica().store, broken, () => {}).list(), { name: 'RangeError' });
});
