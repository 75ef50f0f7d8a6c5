import type { Transaction } from '../db/database.ts';
import { eq, sql } from '../db/drizzle.ts';
import { users } from '../db/schema.ts';
import { type AccountHolder, holderColumns } from './account-store.ts';

export type PasswordStore = ReturnType<typeof createPasswordStore>;

/** The passwords in the `users` table. */
export function createPasswordStore() {
  return {
    /** @param email canonical */
    async findByEmail({ database }: Transaction, email: string): Promise<AccountHolder | null> {
      const [row] = await database.select(holderColumns).from(users).where(eq(users.email, email));
      return row ?? null;
    },

    /**
     * The account as it stays until the transaction ends: no other one changes it, or starts a session of it. To be called
     * before anything else of the user is locked.
     */
    async findLocked({ database }: Transaction, userId: string): Promise<AccountHolder | null> {
      const [row] = await database
        .select(holderColumns)
        .from(users)
        .where(eq(users.id, userId))
        .for('no key update');
      return row ?? null;
    },

    /**
     * Sets the password. Nothing is known of it being leaked, and what was proved with an earlier one is no longer proved.
     * @returns how often it has been set, for what is signed with that number
     */
    async setPassword({ database }: Transaction, userId: string, passwordHash: string): Promise<number> {
      const [row] = await database
        .update(users)
        .set({
          passwordHash,
          credentialsVersion: sql`${users.credentialsVersion} + 1`,
          passwordBreachedAt: null,
          updatedAt: sql`now()`,
        })
        .where(eq(users.id, userId))
        .returning({ credentialsVersion: users.credentialsVersion });
      if (row === undefined) throw new Error('an update of a locked row returned no row');
      return row.credentialsVersion;
    },

    /** Notes that the address was proved to be the user's. */
    async setVerified({ database }: Transaction, userId: string): Promise<void> {
      await database.update(users).set({ emailVerifiedAt: sql`now()` }).where(eq(users.id, userId));
    },

    /** Takes away what somebody else has put into an account, before the owner of its address took it over. */
    async clear({ database }: Transaction, userId: string): Promise<void> {
      await database
        .update(users)
        .set({ displayName: null, locale: null, metadata: {}, deletionDueAt: null })
        .where(eq(users.id, userId));
    },
  };
}
