import { randomBytes } from 'node:crypto';
import { type Test, test } from 'tap';
import type { Transaction } from '../../src/db/database.ts';
import { deadlineGuard, guardStore } from '../../src/db/database-guard.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import { signingKeys } from '../../src/db/schema.ts';
import { createKeyStore, type KeyStore, type NewStoredKey } from '../../src/keys/key-store.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

const HOUR_MS = 3_600_000;
const UNIQUE_VIOLATION = { name: 'DatabaseError', sqlState: '23505' };
const RESTRICT_VIOLATION = { name: 'DatabaseError', sqlState: '23001' };

for (const { name, open } of databases) test(name, (t) => suite(t, open));

/** The store does not read the parts of a key, so these bytes need not be a real one. */
function makeKey(kid = randomBytes(8).toString('hex')): NewStoredKey {
  const publicJwk = { kty: 'EC', use: 'sig', alg: 'ES256', kid, crv: 'P-256', x: 'x', y: 'y' };
  return { kid, algorithm: 'ES256', publicJwk, encryptedPrivateKey: randomBytes(150) };
}

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const store = guardStore('keys', createKeyStore(opened.database), deadlineGuard(30_000));
    /** Each in a transaction of its own. */
    const run = (work: (store: KeyStore, transaction: Transaction) => Promise<unknown>) =>
      opened.transact((transaction) => work(store, transaction));
    const add = async (...steps: ('activate' | 'retire' | 'revoke')[]) => {
      const key = makeKey();
      await run((store, transaction) => store.insert(transaction, key));
      for (const step of steps) await run((store, tx) => store[step](tx, key.kid, HOUR_MS));
      return key.kid;
    };
    const get = async (kid: string) => (await store.list()).keys.find((key) => key.kid === kid);
    return { ...opened, store, run, add, get };
  }

  t.test('without keys the list is empty, and tells the time all the same', async (t) => {
    const { store, moveTime } = await setUp(t);
    const { keys, databaseNow } = await store.list();
    t.same(keys, []);
    t.ok(Math.abs(databaseNow - Date.now()) < 10_000);
    await moveTime(HOUR_MS);
    const apartMs = (await store.list()).databaseNow - databaseNow;
    t.ok(apartMs >= HOUR_MS && apartMs < HOUR_MS + 10_000);
  });

  t.test('a key that is inserted is pending, byte for byte as it was given', async (t) => {
    const { store, run } = await setUp(t);
    const key = makeKey();
    await run((store, transaction) => store.insert(transaction, key));
    const { keys, databaseNow } = await store.list();
    const [stored, ...others] = keys;
    t.same(others, []);
    t.match(stored, { ...key, activatedAt: null, retiredAt: null, revokedAt: null, deleteAfter: null });
    t.ok(Buffer.isBuffer(stored?.encryptedPrivateKey));
    t.ok(Number(stored?.publishedAt) <= databaseNow);
    await t.rejects(
      run((store, transaction) => store.insert(transaction, key)),
      UNIQUE_VIOLATION,
    );
  });

  t.test(
    "each step of a key's life is noted at the database's time, and no step touches another key",
    async (t) => {
      const { add, run, get, moveTime } = await setUp(t);
      const other = await add();
      const before = await get(other);
      const kid = await add();
      await moveTime(HOUR_MS);
      await run((store, transaction) => store.activate(transaction, kid));
      await moveTime(HOUR_MS);
      await run((store, transaction) => store.retire(transaction, kid, 2 * HOUR_MS));
      await moveTime(HOUR_MS);
      await run((store, transaction) => store.revoke(transaction, kid));
      const key = await get(kid);
      const { publishedAt = 0, activatedAt = 0, retiredAt = 0, revokedAt = 0, deleteAfter = 0 } = key ?? {};
      const hours = [activatedAt, retiredAt, revokedAt].map((at) =>
        Math.floor((Number(at) - publishedAt) / HOUR_MS),
      );
      t.same(hours, [1, 2, 3]);
      t.equal(Number(deleteAfter) - Number(retiredAt), 2 * HOUR_MS);
      t.same(await get(other), before);
    },
  );

  t.test('the time of a revocation stays that of the first', async (t) => {
    const { add, run, get, moveTime } = await setUp(t);
    const kid = await add('activate', 'revoke');
    const before = await get(kid);
    await moveTime(HOUR_MS);
    await run((store, transaction) => store.revoke(transaction, kid));
    t.same(await get(kid), before);
  });

  t.test('rewrapping changes the sealed bytes and nothing else', async (t) => {
    const { add, run, get } = await setUp(t);
    const kid = await add('activate');
    const before = await get(kid);
    const encryptedPrivateKey = randomBytes(150);
    await run((store, transaction) => store.rewrap(transaction, kid, encryptedPrivateKey));
    t.same(await get(kid), { ...before, encryptedPrivateKey });
  });

  t.test('keys are listed the oldest first, those of one moment by name', async (t) => {
    const { database, store } = await setUp(t);
    const at = (hours: number) => new Date(HOUR_MS * hours);
    for (const [kid, hours] of [
      ['c', 1],
      ['d', 3],
      ['b', 2],
      ['a', 2],
    ] as const) {
      await database.insert(signingKeys).values({ ...makeKey(kid), publishedAt: at(hours) });
    }
    t.same(
      (await store.list()).keys.map(({ kid }) => kid),
      ['c', 'a', 'b', 'd'],
    );
  });

  t.test('the database itself refuses a second active key, however it comes to be', async (t) => {
    const { add, run, store, database } = await setUp(t);
    await add('activate', 'retire');
    await add('activate', 'revoke');
    await add('activate');
    const pending = await add();
    await t.rejects(
      run((store, transaction) => store.activate(transaction, pending)),
      UNIQUE_VIOLATION,
    );
    const inserted = database.insert(signingKeys).values({ ...makeKey(), activatedAt: sql`now()` });
    await t.rejects(inserted, { cause: { code: '23505' } });
    const comeback = database.update(signingKeys).set({ retiredAt: null, revokedAt: null });
    await t.rejects(comeback, { cause: { code: '23505' } });
    t.equal((await store.list()).keys.length, 4);
  });

  t.test('one active key may follow another within a transaction', async (t) => {
    const { add, run, get } = await setUp(t);
    const [old, next] = [await add('activate'), await add()];
    await run(async (store, transaction) => {
      await store.retire(transaction, old, HOUR_MS);
      await store.activate(transaction, next);
    });
    t.match(
      [await get(old), await get(next)],
      [{ retiredAt: Number }, { activatedAt: Number, retiredAt: null }],
    );
  });

  const protectedStates = {
    pending: [],
    active: ['activate'],
    'retired inside its retain window': ['activate', 'retire'],
    'revoked and retired': ['activate', 'retire', 'revoke'],
    'revoked while pending': ['revoke'],
  } as const;
  for (const [state, steps] of Object.entries(protectedStates)) {
    t.test(`the database itself refuses to delete a key that is ${state}`, async (t) => {
      const { add, run, get, database, moveTime } = await setUp(t);
      const kid = await add(...steps);
      const remove = () => run((store, transaction) => store.delete(transaction, [kid]));
      await t.rejects(remove(), RESTRICT_VIOLATION);
      const bySql = database.delete(signingKeys).where(eq(signingKeys.kid, kid));
      await t.rejects(bySql, { cause: { code: '23001' } });
      // In every state: only a key that no longer verifies any token may be deleted.
      await moveTime(2 * HOUR_MS);
      const mayGo = state === 'retired inside its retain window';
      await (mayGo ? t.resolves(remove()) : t.rejects(remove(), RESTRICT_VIOLATION));
      t.equal((await get(kid)) === undefined, mayGo);
    });
  }

  t.test('a refused deletion deletes none of the others either', async (t) => {
    const { add, run, store, moveTime } = await setUp(t);
    const expired = await add('activate', 'retire');
    await moveTime(2 * HOUR_MS);
    const active = await add('activate');
    await t.rejects(
      run((store, transaction) => store.delete(transaction, [expired, active])),
      RESTRICT_VIOLATION,
    );
    t.equal((await store.list()).keys.length, 2);
    await run((store, transaction) => store.delete(transaction, [expired]));
    t.match((await store.list()).keys, [{ kid: active }]);
  });

  t.test('a key is deleted from the very millisecond on that the list says so', async (t) => {
    const { database, add, run, store } = await setUp(t);
    const setTime = (microseconds: string) =>
      database.execute(
        sql.raw(`create or replace function public.now() returns timestamptz language sql stable
          as $$ select timestamptz '2030-01-01 00:00:00.${microseconds}+00' $$`),
      );
    t.teardown(() =>
      database.execute(
        sql.raw(`create or replace function public.now() returns timestamptz language sql stable
          as 'select pg_catalog.now() + shift from public.test_time_shift'`),
      ),
    );
    await setTime('000900');
    const kid = await add('activate');
    await run((store, transaction) => store.retire(transaction, kid, 5));
    await setTime('005100');
    const { keys, databaseNow } = await store.list();
    t.equal(keys[0]?.deleteAfter, databaseNow);
    await t.resolves(run((store, transaction) => store.delete(transaction, [kid])));
  });
}
