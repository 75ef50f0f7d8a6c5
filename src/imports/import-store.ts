import type { Transaction } from '../db/database.ts';
import { and, asc, gt, inArray, isNull, or } from '../db/drizzle.ts';
import { waitForLock } from '../db/locks.ts';
import { reserves } from '../db/reserved-address.ts';
import { oneTimeCodes, roles, users } from '../db/schema.ts';

/** What imports write of `users`, and exports read. */
export type UserRow = Pick<typeof users.$inferSelect, keyof typeof columns>;

/** An account that has an address or an id of a record. */
export type Holder = { id: string; email: string; externalId: string | null };

export type ImportStore = ReturnType<typeof createImportStore>;

const columns = {
  id: users.id,
  email: users.email,
  emailAsTyped: users.emailAsTyped,
  emailVerifiedAt: users.emailVerifiedAt,
  passwordHash: users.passwordHash,
  displayName: users.displayName,
  locale: users.locale,
  metadata: users.metadata,
  roles: users.roles,
  status: users.status,
  bannedAt: users.bannedAt,
  bannedUntil: users.bannedUntil,
  banReason: users.banReason,
  externalId: users.externalId,
  createdAt: users.createdAt,
  updatedAt: users.updatedAt,
};

/** Users in batches: each of these is one statement, however many they are. */
export function createImportStore() {
  return {
    /** One import writes at a time: what they say of one another, such as the costs of hashes, would not hold otherwise. */
    lock: (transaction: Transaction): Promise<void> => waitForLock(transaction, 'importUsers'),

    /** Those of the names that are names of roles. */
    async findRoles({ database }: Transaction, names: string[]): Promise<string[]> {
      const rows = await database.select({ name: roles.name }).from(roles).where(inArray(roles.name, names));
      return rows.map(({ name }) => name);
    },

    findHolders(
      { database }: Transaction,
      wanted: { emails: string[]; ids: string[]; externalIds: string[] },
    ): Promise<Holder[]> {
      return database
        .select({ id: users.id, email: users.email, externalId: users.externalId })
        .from(users)
        .where(
          or(
            inArray(users.email, wanted.emails),
            inArray(users.id, wanted.ids),
            inArray(users.externalId, wanted.externalIds),
          ),
        );
    },

    /** Those of the addresses that their former owners may still bring back. */
    async findReserved({ database }: Transaction, emails: string[]): Promise<string[]> {
      const rows = await database
        .selectDistinct({ email: oneTimeCodes.email })
        .from(oneTimeCodes)
        .where(and(inArray(oneTimeCodes.email, emails), reserves()));
      return rows.map(({ email }) => email);
    },

    /** @returns the ids of those that were written; the others collide with an account that was there sooner */
    async insert({ database }: Transaction, rows: UserRow[]): Promise<string[]> {
      const written = await database
        .insert(users)
        .values(rows)
        .onConflictDoNothing()
        .returning({ id: users.id });
      return written.map(({ id }) => id);
    },

    /** Takes back what the same transaction has written. */
    async remove({ database }: Transaction, ids: string[]): Promise<void> {
      await database.delete(users).where(inArray(users.id, ids));
    },

    /** In the order of the ids. Without those whose owners have asked for their deletion. */
    list({ database }: Transaction, limit: number, after: string): Promise<UserRow[]> {
      return database
        .select(columns)
        .from(users)
        .where(and(gt(users.id, after), isNull(users.deletionDueAt)))
        .orderBy(asc(users.id))
        .limit(limit);
    },
  };
}
