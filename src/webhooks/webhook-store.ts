import type { Database } from '../db/database.ts';
import { eq, sql } from '../db/drizzle.ts';
import { users } from '../db/schema.ts';

/** What services hear of a user. */
export type UserFacts = {
  id: string;
  email: string;
  emailVerifiedAt: Date | null;
  status: 'active' | 'banned';
  bannedUntil: Date | null;
  roles: string[];
  externalId: string | null;
  /** When this was so, by the database's clock. */
  asOf: Date;
};

export type WebhookStore = ReturnType<typeof createWebhookStore>;

/** The rows of `users`, as services may know them. */
export function createWebhookStore(database: Database) {
  return {
    /** @returns null when the account is gone */
    async findUser(id: string): Promise<UserFacts | null> {
      const [row] = await database
        .select({
          id: users.id,
          email: users.email,
          emailVerifiedAt: users.emailVerifiedAt,
          status: users.status,
          bannedUntil: users.bannedUntil,
          roles: users.roles,
          externalId: users.externalId,
          asOf: sql`now()`.mapWith(users.createdAt),
        })
        .from(users)
        .where(eq(users.id, id));
      return (row as UserFacts | undefined) ?? null;
    },
  };
}
