import type { Transaction } from '../db/database.ts';
import { and, asc, eq, inArray, lte, sql } from '../db/drizzle.ts';
import { tryLock } from '../db/locks.ts';
import { isReserved } from '../db/reserved-address.ts';
import { users } from '../db/schema.ts';
import { listedUser } from './user-list-store.ts';
import type { ListedUser } from './user-listing.ts';

/** An account as an operator makes it. */
export type MadeUser = {
  id: string;
  /** Canonical. */
  email: string;
  emailAsTyped: string;
  isVerified: boolean;
  /** Null: there is no password. */
  passwordHash: string | null;
  displayName: string | null;
  locale: string | null;
  metadata: Record<string, unknown>;
};

/** What an operator changes of an account beside its address. */
export type UserChanges = Pick<MadeUser, 'emailAsTyped' | 'displayName' | 'locale' | 'metadata'> & {
  /** True keeps the instant at which it was verified, if it was. */
  isVerified: boolean;
};

export type Ban = {
  reason: string | null;
  /** Null: it does not end by itself. */
  until: Date | null;
};

export type UsersStore = ReturnType<typeof createUsersStore>;

/** Rows of `users` that operators write. */
export function createUsersStore() {
  return {
    /** The user as they are until the transaction ends: nobody else changes them, or signs in as them, meanwhile. */
    async lock({ database }: Transaction, id: string): Promise<ListedUser | null> {
      const [row] = await database
        .select(listedUser)
        .from(users)
        .where(eq(users.id, id))
        .for('no key update');
      return row ?? null;
    },

    /**
     * @returns false when the address is taken, or reserved. The latter is looked at afterwards, in a statement of its own,
     *   which sees the change of address that the first one had to wait for.
     */
    async insert({ database }: Transaction, { isVerified, ...values }: MadeUser): Promise<boolean> {
      const made = await database
        .insert(users)
        .values({ ...values, ...(isVerified && { emailVerifiedAt: sql`now()` }) })
        .onConflictDoNothing({ target: users.email })
        .returning({ id: users.id });
      const [reserved] = await database
        .select({ id: users.id })
        .from(users)
        .where(and(eq(users.id, values.id), isReserved(values)));
      return made.length > 0 && reserved === undefined;
    },

    async change({ database }: Transaction, id: string, { isVerified, ...changes }: UserChanges) {
      const emailVerifiedAt = isVerified ? sql`coalesce(${users.emailVerifiedAt}, now())` : null;
      await database
        .update(users)
        .set({ ...changes, emailVerifiedAt, updatedAt: sql`now()` })
        .where(eq(users.id, id));
    },

    /** A ban in place of another one keeps its beginning. */
    async ban({ database }: Transaction, id: string, { reason, until }: Ban): Promise<void> {
      const bannedAt = sql`case when ${listedUser.status} = 'banned' then ${users.bannedAt} else now() end`;
      await database
        .update(users)
        .set({
          ...{ status: 'banned', banReason: reason, bannedUntil: until },
          ...{ bannedAt, updatedAt: sql`now()` },
        })
        .where(eq(users.id, id));
    },

    async unban({ database }: Transaction, ids: string[]): Promise<void> {
      await database
        .update(users)
        .set({
          ...{ status: 'active', bannedAt: null, bannedUntil: null, banReason: null },
          updatedAt: sql`now()`,
        })
        .where(inArray(users.id, ids));
    },

    /** Users whose ban is over, locked, the longest over first; none while another replica ends bans. */
    async lockOverBans(transaction: Transaction, limit: number): Promise<string[]> {
      if (!(await tryLock(transaction, 'endBans'))) return [];
      const over = await transaction.database
        .select({ id: users.id })
        .from(users)
        .where(lte(users.bannedUntil, sql`now()`))
        .orderBy(asc(users.bannedUntil))
        .limit(limit)
        .for('no key update', { skipLocked: true });
      return over.map(({ id }) => id);
    },

    /** No password is right until another one is set, and what was proved with the former one is no longer proved. */
    async dropPassword({ database }: Transaction, id: string): Promise<void> {
      await database
        .update(users)
        .set({
          ...{ passwordHash: null, passwordBreachedAt: null },
          credentialsVersion: sql`${users.credentialsVersion} + 1`,
          updatedAt: sql`now()`,
        })
        .where(eq(users.id, id));
    },
  };
}
