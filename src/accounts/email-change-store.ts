import { AppError, type ErrorCode } from '../core/errors.ts';
import type { Transaction } from '../db/database.ts';
import { cleanError, DatabaseError } from '../db/database-guard.ts';
import { and, eq, ne, sql } from '../db/drizzle.ts';
import { isReserved } from '../db/reserved-address.ts';
import { users } from '../db/schema.ts';
import { isActiveUser } from '../db/user-status.ts';
import { userColumns } from './account-store.ts';
import type { User } from './user.ts';

/** Who wants which address. */
export type AddressWish = {
  userId: string;
  /** Canonical. */
  email: string;
};

export type NewAddress = AddressWish & { asTyped: string };

/** The account after the change, and the address that it had. */
export type ChangedAddress = { user: User; former: { email: string; asTyped: string } };

export type EmailChangeStore = ReturnType<typeof createEmailChangeStore>;

const UNIQUE_VIOLATION = '23505';

/** Addresses that change. */
export function createEmailChangeStore() {
  return {
    /** Who asks for an address, if they may have it: null when it is taken or reserved, or the account gone or banned. */
    async findAsker(
      { database }: Transaction,
      { userId, email }: AddressWish,
    ): Promise<{ locale: string | null } | null> {
      const taken = database
        .select({ id: users.id })
        .from(users)
        .where(and(eq(users.email, email), ne(users.id, userId)));
      const [asker] = await database
        .select({ locale: users.locale })
        .from(users)
        .where(
          and(
            eq(users.id, userId),
            isActiveUser(),
            sql`not exists ${taken}`,
            sql`not ${isReserved({ email, id: userId })}`,
          ),
        );
      return asker ?? null;
    },

    /**
     * Gives the account another address, which has just been verified. What tokens say of it has changed then.
     * @param ifTaken what is answered when another account has the address, or it is reserved
     * @throws AppError of that code; `not_signed_in` when the account is gone
     */
    async change(
      { database }: Transaction,
      { userId, email, asTyped }: NewAddress,
      ifTaken: 'email_taken' | 'invalid_code',
    ): Promise<ChangedAddress> {
      const [former] = await database
        .select({ email: users.email, asTyped: users.emailAsTyped })
        .from(users)
        .where(eq(users.id, userId))
        .for('update');
      const [changed] = await database
        .update(users)
        .set({ email, emailAsTyped: asTyped, emailVerifiedAt: sql`now()`, updatedAt: sql`now()` })
        .where(eq(users.id, userId))
        .returning(userColumns)
        .catch((error: unknown) => refuseTaken(error, ifTaken));
      if (former === undefined || changed === undefined) throw new AppError('not_signed_in');
      // Afterwards, so that it sees the change of another account that the statement before had to wait for.
      const [reserved] = await database
        .select({ id: users.id })
        .from(users)
        .where(and(eq(users.id, userId), isReserved({ email, id: userId })));
      if (reserved !== undefined) throw new AppError(ifTaken);
      return { user: changed, former };
    },

    /** Makes a password useless that a thief may know, until the owner sets another one. */
    async dropPassword({ database }: Transaction, userId: string): Promise<void> {
      await database
        .update(users)
        .set({
          passwordHash: null,
          passwordBreachedAt: null,
          credentialsVersion: sql`${users.credentialsVersion} + 1`,
        })
        .where(eq(users.id, userId));
    },
  };
}

/** The transaction is rolled back then. */
function refuseTaken(error: unknown, code: ErrorCode): never {
  const clean = cleanError(error);
  const isTaken = clean instanceof DatabaseError && clean.sqlState === UNIQUE_VIOLATION;
  throw isTaken ? new AppError(code, { cause: clean }) : error;
}
