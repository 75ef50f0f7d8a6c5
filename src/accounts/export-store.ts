import type { Transaction } from '../db/database.ts';
import { eq, sql } from '../db/drizzle.ts';
import { users } from '../db/schema.ts';

export type ExportStore = ReturnType<typeof createExportStore>;

/** All that the row of a user holds, but for the hash of the password. */
export type StoredUser = Omit<typeof users.$inferSelect, 'passwordHash'> & { hasPassword: boolean };

/** The row of a user, for those who want to know what is stored. */
export function createExportStore() {
  return {
    /** Until the transaction ends, nobody else changes or deletes the user. */
    async lock({ database }: Transaction, id: string): Promise<StoredUser | null> {
      const [row] = await database
        .select({
          id: users.id,
          email: users.email,
          emailAsTyped: users.emailAsTyped,
          emailVerifiedAt: users.emailVerifiedAt,
          hasPassword: sql<boolean>`${users.passwordHash} is not null`,
          passwordBreachedAt: users.passwordBreachedAt,
          credentialsVersion: users.credentialsVersion,
          displayName: users.displayName,
          locale: users.locale,
          metadata: users.metadata,
          deletionDueAt: users.deletionDueAt,
          status: users.status,
          bannedAt: users.bannedAt,
          bannedUntil: users.bannedUntil,
          banReason: users.banReason,
          roles: users.roles,
          externalId: users.externalId,
          claimsVersion: users.claimsVersion,
          createdAt: users.createdAt,
          updatedAt: users.updatedAt,
        })
        .from(users)
        .where(eq(users.id, id))
        .for('no key update');
      return row ?? null;
    },
  };
}
