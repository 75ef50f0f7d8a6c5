import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import type { Database } from '../../src/db/database.ts';
import { sql } from '../../src/db/drizzle.ts';
import { KeyEncryptionKeyError } from '../../src/keys/key-material.ts';
import { countKeys, DAY_MS, kidOf, kidsOf, MINUTE_MS, openKeys, policy } from '../support/keys.ts';

/** A first key, and whatever the test adds. */
async function setUp() {
  const place = await openKeys();
  const replica = place.replica();
  const { store, rotator } = replica;
  /** As the schedule does it. @returns whether anything was due */
  const rotate = async () => rotator.rotateIfDue(await store.list());
  await rotate();
  const count = async () => countKeys(await store.list());
  return { ...place, ...replica, rotate, count };
}

/** Every byte of the table. */
async function bytesOf(database: Database): Promise<string> {
  const statement = sql`select signing_keys::text, xmin::text, ctid::text from signing_keys order by kid`;
  return JSON.stringify(await database.execute(statement));
}

test('the first key signs at once, and then nothing is due', async (t) => {
  const { rotate, count, store } = await setUp();
  t.same(await count(), { pending: 0, active: 1, retired: 0, revoked: 0 });
  const { keys } = await store.list();
  t.equal(keys[0]?.publishedAt, keys[0]?.activatedAt);
  t.equal(await rotate(), false);
});

test('a whole life: published ahead, signing, retired, deleted, each at its time', async (t) => {
  const { rotate, store, moveTime } = await setUp();
  const first = kidOf(await store.list(), 'active');
  await moveTime(policy.rotateEveryMs - policy.publishAheadMs - MINUTE_MS);
  t.equal(await rotate(), false);
  await moveTime(MINUTE_MS);
  t.equal(await rotate(), true);
  const second = kidOf(await store.list(), 'pending');
  t.equal(kidOf(await store.list(), 'active'), first);

  await moveTime(policy.publishAheadMs - MINUTE_MS);
  t.equal(await rotate(), false);
  await moveTime(MINUTE_MS);
  t.equal(await rotate(), true);
  t.equal(kidOf(await store.list(), 'active'), second);
  t.equal(kidOf(await store.list(), 'retired'), first);

  await moveTime(policy.retainMs - MINUTE_MS);
  t.equal(await rotate(), false);
  await moveTime(MINUTE_MS);
  t.equal(await rotate(), true);
  t.match((await store.list()).keys, [{ kid: second }]);
});

test('what a stale list asks for is not done when the rows say otherwise', async (t) => {
  const { rotator, store, moveTime } = await setUp();
  await moveTime(policy.rotateEveryMs);
  const stale = await store.list();
  for (let i = 0; i < 3; i++) await rotator.rotateIfDue(stale);
  const ring = await store.list();
  t.same(countKeys(ring), { pending: 1, active: 1, retired: 0, revoked: 0 });
  // Due according to a list from a time without any key.
  await rotator.rotateIfDue({ keys: [], databaseNow: ring.databaseNow });
  t.same((await store.list()).keys, ring.keys);
});

test('a key that turns out to be due only under the lock waits for the next look', async (t) => {
  const { rotator, store, moveTime, rotate, database } = await setUp();
  const { keys } = await store.list();
  await moveTime(policy.rotateEveryMs);
  const expired = { ...keys[0], retiredAt: 1, deleteAfter: 1 } as (typeof keys)[number];
  const active = { ...keys[0], activatedAt: Date.now() } as (typeof keys)[number];
  t.equal(await rotator.rotateIfDue({ keys: [expired, active], databaseNow: Date.now() }), true);
  t.same((await store.list()).keys, keys);
  await rotate();
  t.same(countKeys(await store.list()), { pending: 1, active: 1, retired: 0, revoked: 0 });

  await database.execute(sql`truncate signing_keys`);
  await rotator.rotateIfDue({ keys: [expired, active], databaseNow: Date.now() });
  t.same((await store.list()).keys, [], 'also when there turns out to be no key at all');
  await rotate();
  t.equal(countKeys(await store.list()).active, 1);
});

test('publishing the next key twice gives one pending key, which signs when its time has come', async (t) => {
  const { rotator, store, rotate, moveTime } = await setUp();
  const kid = await rotator.publishNext();
  t.equal(await rotator.publishNext(), kid);
  t.equal(kidOf(await store.list(), 'pending'), kid);
  t.equal(await rotate(), false);
  await moveTime(policy.publishAheadMs);
  await rotate();
  t.equal(kidOf(await store.list(), 'active'), kid);
});

test('five commands at once publish one key', async (t) => {
  const { replica, store } = await setUp();
  const kids = await Promise.all(Array.from({ length: 5 }, () => replica().rotator.publishNext()));
  t.equal(new Set(kids).size, 1);
  t.same(countKeys(await store.list()), { pending: 1, active: 1, retired: 0, revoked: 0 });
});

test('replacing the active key now uses the pending one, however young', async (t) => {
  const { rotator, store } = await setUp();
  const old = kidOf(await store.list(), 'active');
  const pending = await rotator.publishNext();
  t.equal(await rotator.replaceNow(null), pending);
  const ring = await store.list();
  t.same([kidOf(ring, 'active'), kidOf(ring, 'retired')], [pending, old]);
  t.equal(countKeys(ring).pending, 0);
});

test('replacing the active key now makes one where none is pending', async (t) => {
  const { rotator, store } = await setUp();
  const old = kidOf(await store.list(), 'active');
  const next = await rotator.replaceNow(null);
  const ring = await store.list();
  t.same([kidOf(ring, 'active'), kidOf(ring, 'retired')], [next, old]);
  t.not(next, old);
});

test('revoking the active key: another signs in the same transaction, and the row stays for good', async (t) => {
  const { rotator, store, rotate, moveTime } = await setUp();
  const leaked = kidOf(await store.list(), 'active');
  const next = await rotator.replaceNow(leaked);
  t.match((await store.list()).keys, [
    { kid: leaked, revokedAt: Number },
    { kid: next, activatedAt: Number },
  ]);
  await moveTime(400 * DAY_MS);
  await rotate();
  t.same(kidsOf(await store.list(), 'revoked'), [leaked]);
});

test('a pending key that leaked is revoked and never takes over; the active one stays in its place', async (t) => {
  const { rotator, store } = await setUp();
  const active = kidOf(await store.list(), 'active');
  const leaked = await rotator.publishNext();
  t.equal(await rotator.replaceNow(leaked), active);
  const ring = await store.list();
  t.same(countKeys(ring), { pending: 0, active: 1, retired: 0, revoked: 1 });
  t.same([kidOf(ring, 'active'), kidOf(ring, 'revoked')], [active, leaked]);
  const next = await rotator.publishNext();
  t.equal(await rotator.replaceNow(null), next);
  t.equal(new Set([next, active, leaked]).size, 3);
});

test('a retired key that leaked is revoked; the active one stays in its place', async (t) => {
  const { rotator, store } = await setUp();
  const leaked = kidOf(await store.list(), 'active');
  const active = await rotator.replaceNow(null);
  t.equal(await rotator.replaceNow(leaked), active);
  const ring = await store.list();
  t.same(countKeys(ring), { pending: 0, active: 1, retired: 0, revoked: 1 });
  t.same([kidOf(ring, 'active'), kidOf(ring, 'revoked')], [active, leaked]);
});

test('a key revoked twice: the second time changes nothing', async (t) => {
  const { rotator, store, moveTime } = await setUp();
  const leaked = kidOf(await store.list(), 'active');
  const next = await rotator.replaceNow(leaked);
  await rotator.publishNext();
  const { keys } = await store.list();
  await moveTime(MINUTE_MS);
  t.equal(await rotator.replaceNow(leaked), next);
  t.same((await store.list()).keys, keys);
});

test('a revocation where no key is active lets one sign', async (t) => {
  const { rotator, store, database } = await setUp();
  await database.execute(sql`truncate signing_keys`);
  const leaked = await rotator.publishNext();
  const next = await rotator.replaceNow(leaked);
  const ring = await store.list();
  t.same([kidOf(ring, 'active'), kidOf(ring, 'revoked')], [next, leaked]);
  t.not(next, leaked);
});

test('an unknown kid is not found, and nothing is changed', async (t) => {
  const { rotator, store, database } = await setUp();
  await rotator.publishNext();
  const before = await bytesOf(database);
  for (const kid of ['nobody', '', `${kidOf(await store.list(), 'active')}x`]) {
    await t.rejects(rotator.replaceNow(kid), { code: 'not_found', message: /There is no signing key/ });
  }
  t.equal(await bytesOf(database), before);
});

test('nothing is rotated under a wrong key-encryption key: not one byte changes', async (t) => {
  const { rotator, replica, store, database, moveTime } = await setUp();
  const pending = await rotator.publishNext();
  await moveTime(policy.publishAheadMs);
  const before = await bytesOf(database);
  const ring = await store.list();
  for (const wrong of [
    replica({ keyEncryptionKey: randomBytes(32) }),
    replica({ keyEncryptionKey: randomBytes(32), previous: randomBytes(32) }),
  ]) {
    await t.rejects(wrong.rotator.rotateIfDue(ring), KeyEncryptionKeyError);
    // As if the table had been empty when the replica looked.
    await t.rejects(wrong.rotator.rotateIfDue({ ...ring, keys: [] }), KeyEncryptionKeyError);
    await t.rejects(wrong.rotator.publishNext(), KeyEncryptionKeyError);
    await t.rejects(wrong.rotator.replaceNow(null), KeyEncryptionKeyError);
    await t.rejects(wrong.rotator.replaceNow(pending), KeyEncryptionKeyError);
    await t.rejects(wrong.rotator.rewrap(), KeyEncryptionKeyError);
    await t.rejects(wrong.schedule.start(), KeyEncryptionKeyError);
  }
  t.equal(await bytesOf(database), before);
  t.ok(before.includes(pending));
});

test('rewrapping puts every key under the new key-encryption key, and a second time none', async (t) => {
  const { rotator, replica, store, keyEncryptionKey } = await setUp();
  await rotator.replaceNow(null);
  await rotator.publishNext();
  const next = randomBytes(32);
  const both = replica({ keyEncryptionKey: next, previous: keyEncryptionKey });
  const before = await store.list();
  t.same(countKeys(before), { pending: 1, active: 1, retired: 1, revoked: 0 });
  t.same(
    await both.rotator.rewrap(),
    before.keys.map(({ kid }) => kid),
  );
  t.same(await both.rotator.rewrap(), []);
  const after = await store.list();
  const times = ({ keys }: typeof after) => keys.map(({ encryptedPrivateKey: _, ...key }) => key);
  t.same(times(after), times(before));
  const alone = replica({ keyEncryptionKey: next });
  t.same(await alone.rotator.rewrap(), []);
  await alone.rotator.replaceNow(null);
  await t.rejects(rotator.publishNext(), KeyEncryptionKeyError);
});

test('the previous key-encryption key opens what it sealed, also without rewrapping', async (t) => {
  const { replica, keyEncryptionKey, store, moveTime } = await setUp();
  const both = replica({ keyEncryptionKey: randomBytes(32), previous: keyEncryptionKey });
  await both.keys.refresh();
  t.match(both.keys.sign({}), /^ey/);
  await moveTime(policy.rotateEveryMs);
  await both.rotator.rotateIfDue(await store.list());
  const { keys } = await both.keys.refresh();
  t.same(
    keys.map((key) => both.seal.open(key.kid, key.encryptedPrivateKey).isCurrent),
    [false, true],
  );
});

test('one key that does not open stops the rewrapping before anything is changed', async (t) => {
  const { replica, rotator, database, keyEncryptionKey } = await setUp();
  await rotator.replaceNow(null);
  await database.execute(
    sql`update signing_keys set encrypted_private_key = '\\x00' where retired_at is not null`,
  );
  const before = await bytesOf(database);
  const both = replica({ keyEncryptionKey: randomBytes(32), previous: keyEncryptionKey });
  await t.rejects(both.rotator.rewrap(), KeyEncryptionKeyError);
  t.equal(await bytesOf(database), before);
});

test('a revoked key of a key-encryption key long gone does not stand in the way of rewrapping', async (t) => {
  const { replica, rotator, store, keyEncryptionKey, moveTime } = await setUp();
  const [second, third] = [randomBytes(32), randomBytes(32)];
  await rotator.replaceNow(kidOf(await store.list(), 'active'));
  // The key-encryption key changes without rewrapping: it is enough to wait until the old keys are gone.
  const onSecond = replica({ keyEncryptionKey: second, previous: keyEncryptionKey });
  await onSecond.rotator.replaceNow(null);
  await moveTime(policy.retainMs);
  await onSecond.rotator.rotateIfDue(await store.list());
  t.same(countKeys(await store.list()), { pending: 0, active: 1, retired: 0, revoked: 1 });
  const onThird = replica({ keyEncryptionKey: third, previous: second });
  t.same(await onThird.rotator.rewrap(), [kidOf(await store.list(), 'active')]);
});
