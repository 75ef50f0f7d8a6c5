import { test } from 'tap';
import type { Transact, Transaction } from '../../src/db/database.ts';
import { type Sweep, sweepAll } from '../../src/db/sweep.ts';

/** Transactions that only count. */
function setUp() {
  const transactions: Transaction[] = [];
  const transact: Transact = async (work) => {
    const transaction = { number: transactions.length } as unknown as Transaction;
    transactions.push(transaction);
    return work(transaction);
  };
  return { transactions, transact };
}

/** A table with that many rows to delete, and the calls that it got. */
function makeTable(rows: number) {
  const asked: { transaction: Transaction; limit: number }[] = [];
  let left = rows;
  const sweep: Sweep = async (transaction, limit) => {
    asked.push({ transaction, limit });
    const swept = Math.min(left, limit);
    left -= swept;
    return swept;
  };
  return { sweep, asked, left: () => left };
}

test('sweeps in batches of 1,000, each in a transaction of its own, until one is not full', async (t) => {
  for (const [rows, batches] of [
    [0, 1],
    [999, 1],
    [1_000, 2],
    [2_500, 3],
  ] as const) {
    const { transact, transactions } = setUp();
    const table = makeTable(rows);
    await sweepAll([table.sweep], transact);
    t.equal(table.left(), 0);
    t.equal(table.asked.length, batches, `${rows} rows`);
    t.ok(table.asked.every(({ limit }) => limit === 1_000));
    t.same(
      table.asked.map(({ transaction }) => transaction),
      transactions,
    );
  }
});

test('sweeps one table after the other', async (t) => {
  const { transact } = setUp();
  const [first, second] = [makeTable(1_500), makeTable(10)];
  await sweepAll([first.sweep, second.sweep], transact);
  t.same([first.left(), second.left()], [0, 0]);
  t.same([first.asked.length, second.asked.length], [2, 1]);
});

test('where another replica sweeps it goes on to the next table', async (t) => {
  const { transact } = setUp();
  const second = makeTable(10);
  await sweepAll([async () => 0, second.sweep], transact);
  t.equal(second.left(), 0);
});

test('a sweep that fails ends it, and is told', async (t) => {
  const { transact } = setUp();
  const failure = new Error('not now');
  const second = makeTable(10);
  const failing: Sweep = async () => {
    throw failure;
  };
  await t.rejects(sweepAll([failing, second.sweep], transact), failure);
  t.equal(second.left(), 10);
});
