import type { Database } from '../db/database.ts';
import { and, asc, eq, gt } from '../db/drizzle.ts';
import { sessions } from '../db/schema.ts';

export type SessionHistoryStore = ReturnType<typeof createSessionHistoryStore>;

/** A session as it is stored, without the hash of its generate token. */
export type StoredSession = Omit<typeof sessions.$inferSelect, 'userId' | 'generateToken' | 'version'>;

/** All that the `sessions` table holds on a user. */
export function createSessionHistoryStore(database: Database) {
  return {
    /** Sessions of a user, ended ones included, the oldest first. @param after the id of the last one that the caller has */
    list(userId: string, limit: number, after: string): Promise<StoredSession[]> {
      return database
        .select({
          id: sessions.id,
          createdAt: sessions.createdAt,
          authenticatedAt: sessions.authenticatedAt,
          amr: sessions.amr,
          acr: sessions.acr,
          lastSeenAt: sessions.lastSeenAt,
          expiresAt: sessions.expiresAt,
          idleExpiresAt: sessions.idleExpiresAt,
          endedAt: sessions.endedAt,
          endReason: sessions.endReason,
          ip: sessions.ip,
          userAgent: sessions.userAgent,
        })
        .from(sessions)
        .where(and(eq(sessions.userId, userId), gt(sessions.id, after)))
        .orderBy(asc(sessions.id))
        .limit(limit);
    },
  };
}
