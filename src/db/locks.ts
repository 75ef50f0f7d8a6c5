import type { Transaction } from './database.ts';
import { sql } from './drizzle.ts';

/**
 * One advisory lock for each job that only one replica may do at a time. Any numbers work if they are all different and
 * the same in every release: during an upgrade two releases run side by side.
 */
export const LOCKS = {
  migrate: 7_236_455_021,
  rotateKeys: 7_236_455_022,
  sweepSessions: 7_236_455_023,
  sweepSpentTokens: 7_236_455_024,
  sweepCodes: 7_236_455_025,
  sweepThrottles: 7_236_455_026,
  deleteAccounts: 7_236_455_027,
  sweepDeadMails: 7_236_455_028,
  /** Taken by the function `number_revocations` of the migrations, which names the number again. */
  numberRevocations: 7_236_455_029,
  sweepRevocations: 7_236_455_030,
  sweepAuditEvents: 7_236_455_031,
  changeRoles: 7_236_455_032,
  sweepDeadWebhooks: 7_236_455_035,
  importUsers: 7_236_455_040,
  endBans: 7_236_455_036,
} as const;

type Job = keyof typeof LOCKS;

/**
 * Takes the lock of a job until the transaction ends. Never waits.
 * @returns false while another transaction has it
 */
export async function tryLock({ database }: Transaction, job: Job): Promise<boolean> {
  const [lock] = await database
    .select({ isMine: sql<boolean>`pg_try_advisory_xact_lock(${LOCKS[job]})` })
    .from(sql`(select) as always`);
  return lock?.isMine === true;
}

/** Takes the lock of a job until the transaction ends, and waits while another transaction has it. */
export async function waitForLock({ database }: Transaction, job: Job): Promise<void> {
  await database.select({ locked: sql`pg_advisory_xact_lock(${LOCKS[job]})` }).from(sql`(select) as always`);
}
