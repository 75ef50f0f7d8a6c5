import type { Transaction } from '../adapters/adapters.ts';
import { sql } from './drizzle.ts';

/**
 * Takes a lock that one replica has at a time, until the transaction ends. Never waits.
 * @param key any number, as long as every release uses the same one for the same job
 * @returns false while another transaction has it
 */
export async function tryAdvisoryLock({ database }: Transaction, key: number): Promise<boolean> {
  const [lock] = await database
    .select({ isMine: sql<boolean>`pg_try_advisory_xact_lock(${key})` })
    .from(sql`(select) as always`);
  return lock?.isMine === true;
}
