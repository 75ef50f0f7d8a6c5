import { type Repetition, repeat } from '../core/repeat.ts';
import type { Transact, Transaction } from './database.ts';

const BATCH_SIZE = 1_000;
const SWEEP_EVERY_MS = 60_000;

/** Deletes at most `limit` expired rows. Returns how many; 0 while another replica is sweeping. */
export type Sweep = (transaction: Transaction, limit: number) => Promise<number>;

/** Deletes expired rows, in batches so small that requests do not wait for their locks. */
export async function sweepAll(sweeps: Sweep[], transact: Transact): Promise<void> {
  for (const sweep of sweeps) {
    let swept = BATCH_SIZE;
    while (swept === BATCH_SIZE) swept = await transact((transaction) => sweep(transaction, BATCH_SIZE));
  }
}

/**
 * Sweeps once a minute from now on.
 * @param onError called when a round fails; the next round follows all the same
 */
export function startSweeping(
  sweeps: Sweep[],
  transact: Transact,
  onError: (error: unknown) => void,
): Repetition {
  return repeat(() => sweepAll(sweeps, transact), SWEEP_EVERY_MS, onError);
}
