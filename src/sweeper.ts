import type { Transact, Transaction } from './adapters/adapters.ts';

const BATCH_SIZE = 1_000;

/** Deletes at most `limit` rows whose time is over. Returns how many; none where another replica sweeps. */
export type Sweep = (transaction: Transaction, limit: number) => Promise<number>;

/** Deletes what has expired, in batches small enough that nobody has to wait for their locks. */
export async function sweepAll(sweeps: Sweep[], transact: Transact): Promise<void> {
  for (const sweep of sweeps) {
    let swept = BATCH_SIZE;
    while (swept === BATCH_SIZE) swept = await transact((transaction) => sweep(transaction, BATCH_SIZE));
  }
}
