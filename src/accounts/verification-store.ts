import type { Transaction } from '../db/database.ts';
import { and, eq, sql } from '../db/drizzle.ts';
import { users } from '../db/schema.ts';
import { isActiveUser } from '../db/user-status.ts';
import { type AccountHolder, holderColumns, userColumns } from './account-store.ts';
import type { User } from './user.ts';

/** What the verification of an address needs to know of its account. */
export type Applicant = AccountHolder & { passwordHash: string | null; credentialsVersion: number };

export type VerificationStore = ReturnType<typeof createVerificationStore>;

const applicant = {
  ...holderColumns,
  passwordHash: users.passwordHash,
  credentialsVersion: users.credentialsVersion,
};

/** The addresses in the `users` table, as the services see them that verify addresses. */
export function createVerificationStore() {
  return {
    /** @param email canonical */
    async findByEmail({ database }: Transaction, email: string): Promise<Applicant | null> {
      const [row] = await database.select(applicant).from(users).where(eq(users.email, email));
      return row ?? null;
    },

    async findById({ database }: Transaction, id: string): Promise<Applicant | null> {
      const [row] = await database.select(applicant).from(users).where(eq(users.id, id));
      return row ?? null;
    },

    /**
     * Marks an address as verified.
     * @returns the user; null when the account is gone, banned, or has another address by now
     */
    async verify(
      { database }: Transaction,
      { id, email }: { id: string; email: string },
    ): Promise<User | null> {
      const [verified] = await database
        .update(users)
        .set({ emailVerifiedAt: sql`coalesce(${users.emailVerifiedAt}, now())`, updatedAt: sql`now()` })
        .where(and(eq(users.id, id), eq(users.email, email), isActiveUser()))
        .returning(userColumns);
      return verified ?? null;
    },
  };
}
