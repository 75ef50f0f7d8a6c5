import { v7 as uuidv7 } from 'uuid';
import type { Database, Transaction } from '../db/database.ts';
import { and, asc, eq, gt, sql } from '../db/drizzle.ts';
import { auditEvents } from '../db/schema.ts';
import type { AuditEvent, NewAuditEvent } from './audit-event.ts';

export type AuditStore = ReturnType<typeof createAuditStore>;

/** The `audit_events` table. */
export function createAuditStore(database: Database) {
  return {
    async insert(transaction: Transaction, { device, ...event }: NewAuditEvent): Promise<void> {
      const { ip = null, userAgent = null } = device ?? {};
      await transaction.database
        .insert(auditEvents)
        .values({ id: uuidv7(), happenedAt: sql`now()`, ip, userAgent, ...event });
    },

    /** Events of a user, the oldest first. @param after the id of the last one that the caller has */
    list(userId: string, limit: number, after: string): Promise<AuditEvent[]> {
      return database
        .select()
        .from(auditEvents)
        .where(and(eq(auditEvents.userId, userId), gt(auditEvents.id, after)))
        .orderBy(asc(auditEvents.id))
        .limit(limit);
    },

    /** Takes away what is personal in the events of a user; the ids and the times stay. */
    async forget({ database }: Transaction, userId: string): Promise<void> {
      await database
        .update(auditEvents)
        .set({ ip: null, userAgent: null, details: null })
        .where(eq(auditEvents.userId, userId));
    },
  };
}
