import type { Transaction } from '../db/database.ts';
import { and, asc, eq, isNotNull, lte, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { tryLock } from '../db/locks.ts';
import { users } from '../db/schema.ts';
import { userColumns } from './account-store.ts';
import type { User } from './user.ts';

export type DeletionStore = ReturnType<typeof createDeletionStore>;

/** Rows of `users` that are to go. */
export function createDeletionStore() {
  return {
    /**
     * The user, whom until the transaction ends nobody else changes, and for whom nothing new is stored: rows that refer to
     * this one wait.
     */
    async lock({ database }: Transaction, id: string): Promise<User | null> {
      const [row] = await database.select(userColumns).from(users).where(eq(users.id, id)).for('update');
      return row ?? null;
    },

    /** Notes that the account is to be deleted after that time. @returns when */
    async schedule({ database }: Transaction, id: string, delayMs: number): Promise<Date> {
      const dueAt = sql`now() + ${inMs(delayMs)}`;
      const [row] = await database
        .update(users)
        .set({ deletionDueAt: dueAt, updatedAt: sql`now()` })
        .where(eq(users.id, id))
        .returning({ dueAt: sql`${users.deletionDueAt}`.mapWith(users.createdAt) });
      return row?.dueAt as Date;
    },

    /** Keeps the account after all. @returns false when it was not to be deleted */
    async undo({ database }: Transaction, id: string): Promise<boolean> {
      const undone = await database
        .update(users)
        .set({ deletionDueAt: null, updatedAt: sql`now()` })
        .where(and(eq(users.id, id), isNotNull(users.deletionDueAt)))
        .returning({ id: users.id });
      return undone.length > 0;
    },

    /** Deletes the user, and with them all rows that refer to this one. */
    async delete({ database }: Transaction, id: string): Promise<void> {
      await database.delete(users).where(eq(users.id, id));
    },

    /** Users whose time has come, locked, the longest due first; none while another replica deletes some. */
    async lockDue(transaction: Transaction, limit: number): Promise<User[]> {
      if (!(await tryLock(transaction, 'deleteAccounts'))) return [];
      return transaction.database
        .select(userColumns)
        .from(users)
        .where(lte(users.deletionDueAt, sql`now()`))
        .orderBy(asc(users.deletionDueAt))
        .limit(limit)
        .for('update', { skipLocked: true });
    },
  };
}
