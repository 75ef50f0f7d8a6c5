import { test } from 'tap';
import type { Transaction } from '../../src/db/database.ts';
import { createTransact, deadlineGuard, guardStore } from '../../src/db/database-guard.ts';
import { sql } from '../../src/db/drizzle.ts';
import { databases } from '../support/adapters.ts';

const GENEROUS_MS = 30_000;
const guard = deadlineGuard(GENEROUS_MS);

/** A table with one number, at most once each, and statements on it as stores run them. */
async function setUp(t: Parameters<(typeof databases)[0]['open']>[0], { open }: (typeof databases)[0]) {
  const { database } = await open(t);
  await database.execute(sql`create table if not exists numbers (number int primary key)`);
  await database.execute(sql`truncate numbers`);
  t.teardown(() => database.execute(sql`drop table if exists numbers`));
  const store = guardStore(
    'numbers',
    {
      add: async ({ database: tx }: Transaction, number: number) =>
        void (await tx.execute(sql`insert into numbers values (${number})`)),
      fail: async ({ database: tx }: Transaction, sqlState: string) =>
        void (await tx.execute(
          sql`do ${sql.raw(`$$ begin raise exception 'no' using errcode = '${sqlState}'; end $$`)}`,
        )),
    },
    guard,
  );
  const transact = createTransact(database, guard);
  /** The drivers answer in two forms. */
  const numbers = async () => {
    const answer = (await database.execute(sql`select * from numbers order by number`)) as object;
    return ('rows' in answer ? answer.rows : [...(answer as Iterable<unknown>)]) as { number: number }[];
  };
  return { store, transact, numbers };
}

for (const kind of databases)
  test(`${kind.name}: statements alongside the work`, async (t) => {
    const { store, transact, numbers } = await setUp(t, kind);

    await t.test('are committed with it, though nobody waits for them', async (t) => {
      await transact(async (transaction) => {
        transaction.alongside(store.add(transaction, 1));
        await store.add(transaction, 2);
        transaction.alongside(store.add(transaction, 3));
      });
      t.same(await numbers(), [{ number: 1 }, { number: 2 }, { number: 3 }]);
    });

    await t.test('that fail take the work back, and it fails with their error', async (t) => {
      const before = await numbers();
      const last = transact(async (transaction) => {
        await store.add(transaction, 4);
        transaction.alongside(store.add(transaction, 1));
      });
      await t.rejects(last, { name: 'DatabaseError', sqlState: '23505' });
      const followed = transact(async (transaction) => {
        transaction.alongside(store.add(transaction, 1));
        await store.add(transaction, 4);
      });
      await t.rejects(followed, { name: 'DatabaseError', sqlState: '23505' }, 'not that the statement after');
      t.same(await numbers(), before);
    });

    await t.test('are rolled back with work that fails at once', async (t) => {
      const before = await numbers();
      const failure = new Error('no');
      const failing = transact(async (transaction) => {
        transaction.alongside(store.add(transaction, 5));
        throw failure;
      });
      await t.rejects(failing, failure);
      const both = transact(async (transaction) => {
        transaction.alongside(store.add(transaction, 1));
        throw failure;
      });
      await t.rejects(both, failure, 'its own error, when it has one');
      t.same(await numbers(), before);
    });

    await t.test('that meet with contention are done again with the work', async (t) => {
      let attempts = 0;
      await transact(async (transaction) => {
        attempts += 1;
        const isFirst = attempts === 1;
        transaction.alongside(isFirst ? store.fail(transaction, '40001') : store.add(transaction, 6));
        await store.add(transaction, 7);
      });
      t.equal(attempts, 2);
      t.match(await numbers(), [{}, {}, {}, { number: 6 }, { number: 7 }]);
    });
  });
