import type { Database, Transaction } from '../db/database.ts';
import { and, eq, sql } from '../db/drizzle.ts';
import { isReserved } from '../db/reserved-address.ts';
import { users } from '../db/schema.ts';
import { currentStatus, isActiveUser } from '../db/user-status.ts';
import type { User } from './user.ts';

export type NewUser = { id: string; email: string; emailAsTyped: string; passwordHash: string };

/** Of an account whose password was never changed. */
export const FIRST_CREDENTIALS_VERSION = 1;

/** What a sign-in needs to know of an account. */
export type FoundAccount = User & {
  passwordHash: string | null;
  credentialsVersion: number;
};

export type CheckedAccount = Pick<FoundAccount, 'id' | 'email' | 'credentialsVersion'>;

export type AccountStore = ReturnType<typeof createAccountStore>;

/** The columns of a `User`. */
export const userColumns = {
  id: users.id,
  email: users.email,
  emailAsTyped: users.emailAsTyped,
  emailVerifiedAt: users.emailVerifiedAt,
  status: currentStatus(),
  createdAt: users.createdAt,
  displayName: users.displayName,
  locale: users.locale,
  metadata: users.metadata,
  passwordBreachedAt: users.passwordBreachedAt,
  deletionDueAt: users.deletionDueAt,
};

/** What mails about an account need to know of it. */
export type AccountHolder = {
  id: string;
  /** Canonical. */
  email: string;
  isVerified: boolean;
  isActive: boolean;
  /** The language that the user chose for mails. */
  locale: string | null;
};

/** The columns of an `AccountHolder`. */
export const holderColumns = {
  id: users.id,
  email: users.email,
  isVerified: sql<boolean>`${users.emailVerifiedAt} is not null`,
  isActive: isActiveUser(),
  locale: users.locale,
};

/** The `users` table. */
export function createAccountStore(database: Database) {
  const findByEmail = database
    .select({
      ...userColumns,
      passwordHash: users.passwordHash,
      credentialsVersion: users.credentialsVersion,
    })
    .from(users)
    .where(eq(users.email, sql.placeholder('email')))
    .prepare('find_user_by_email');
  const findById = database
    .select(userColumns)
    .from(users)
    .where(eq(users.id, sql.placeholder('id')))
    .prepare('find_user_by_id');

  return {
    /**
     * Null when the address is taken: the unique constraint decides, so that one of two racing sign-ups wins. Also when it
     * is reserved. That is looked at afterwards, in a statement of its own, which sees the change of address that the first
     * one had to wait for.
     */
    async insert({ database }: Transaction, values: NewUser): Promise<User | null> {
      const [row] = await database
        .insert(users)
        .values({ ...values, credentialsVersion: FIRST_CREDENTIALS_VERSION })
        .onConflictDoNothing({ target: users.email })
        .returning(userColumns);
      const [reserved] = await database
        .delete(users)
        .where(and(eq(users.id, values.id), isReserved(values)))
        .returning({ id: users.id });
      return reserved === undefined ? (row ?? null) : null;
    },

    async findByEmail(email: string): Promise<FoundAccount | null> {
      const [row] = await findByEmail.execute({ email });
      return row ?? null;
    },

    async findById(id: string): Promise<User | null> {
      const [row] = await findById.execute({ id });
      return row ?? null;
    },

    /**
     * Whether the account may still be signed in with what was just checked: its address and its password are the same,
     * and it is not banned. Until the transaction ends, that stays so.
     */
    async stillHolds({ database }: Transaction, checked: CheckedAccount): Promise<boolean> {
      const { id, email, credentialsVersion } = checked;
      const [row] = await database
        .select({ id: users.id })
        .from(users)
        .where(
          and(
            eq(users.id, id),
            eq(users.email, email),
            eq(users.credentialsVersion, credentialsVersion),
            isActiveUser(),
          ),
        )
        .for('no key update');
      return row !== undefined;
    },

    /** Stores a stronger hash of the same password; does nothing if the password was changed in the meantime. */
    async replacePasswordHash(id: string, oldHash: string, newHash: string): Promise<void> {
      await database
        .update(users)
        .set({ passwordHash: newHash, updatedAt: sql`now()` })
        .where(and(eq(users.id, id), eq(users.passwordHash, oldHash)));
    },
  };
}
