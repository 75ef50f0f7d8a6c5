import type { SQL } from 'drizzle-orm';
import { NIL, v7 as uuidv7 } from 'uuid';
import { leastIdAt } from '../core/time-in-id.ts';
import type { Database, Transaction } from '../db/database.ts';
import { and, asc, desc, eq, gt, gte, inArray, isNull, lt, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { tryLock } from '../db/locks.ts';
import { auditEvents, users } from '../db/schema.ts';
import type { AuditEvent, NewAuditEvent, RecordedEvent } from './audit-event.ts';
import type { AuditWish } from './audit-listing.ts';

/** Ids have the time of the database as replicas know it, and until they do their own; instants have that of the database. */
const ID_MARGIN_MS = 3_600_000;

export type AuditStore = ReturnType<typeof createAuditStore>;

/** The `audit_events` table. */
export function createAuditStore(database: Database) {
  return {
    /** Prepared, so that the driver sends it together with the next statement. */
    async insert({ database }: Transaction, event: NewAuditEvent, id = uuidv7()): Promise<void> {
      await database.insert(auditEvents).values(toRow(id, event)).prepare('insert_audit_event').execute();
    },

    async find(id: string): Promise<AuditEvent | null> {
      const [row] = await database.select().from(auditEvents).where(eq(auditEvents.id, id));
      return row ?? null;
    },

    /**
     * Writes events that belong to no transaction, but for those of accounts that are gone: nothing must be known of them any
     * more. Both locks and writes are the same whether an event has an account or not, so that nobody learns that by the time.
     */
    async insertLate({ database }: Transaction, events: RecordedEvent[]): Promise<void> {
      const ids = [...new Set(events.map(({ userId }) => userId ?? NIL))].sort();
      // Until the commit these accounts are not deleted.
      const found = await database
        .select({ id: users.id })
        .from(users)
        .where(inArray(users.id, ids))
        .orderBy(users.id)
        .for('key share');
      const living = new Set<string | null>([null, ...found.map(({ id }) => id)]);
      const rows = events.filter(({ userId }) => living.has(userId)).map((event) => toRow(event.id, event));
      if (rows.length > 0) await database.insert(auditEvents).values(rows);
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

    /** Events in the order of their ids, which is that of time but for moments. */
    page(wish: AuditWish): Promise<AuditEvent[]> {
      const { id } = auditEvents;
      return database
        .select()
        .from(auditEvents)
        .where(conditionOf(wish))
        .orderBy(wish.isNewestFirst ? desc(id) : asc(id))
        .limit(wish.limit);
    },

    /**
     * Takes away what is personal in the events of an account that is deleted; ids and times stay. By a function of the
     * database: the role that runs the server may not change events.
     * @throws DatabaseError when the account exists
     */
    async forget({ database }: Transaction, userId: string): Promise<void> {
      await database.execute(sql`select forget_audit_events(${userId})`);
    },

    /**
     * Deletes events that are older than this, at most so many.
     * @returns how many; 0 while another replica is sweeping
     */
    async sweep(transaction: Transaction, keptMs: number, limit: number): Promise<number> {
      if (!(await tryLock(transaction, 'sweepAuditEvents'))) return 0;
      const [row] = await transaction.database
        .select({ swept: sql<number>`sweep_audit_events(${inMs(keptMs)}, ${limit}::int)` })
        .from(sql`(select) as always`);
      return Number(row?.swept);
    },
  };
}

function conditionOf({ since, until, after, isNewestFirst, ...wish }: AuditWish): SQL | undefined {
  const { id, happenedAt, actorId, actorKind, userId, kind } = auditEvents;
  return and(
    wish.actorId === undefined ? undefined : eq(actorId, wish.actorId),
    // The kind is in the text, so that PostgreSQL knows how few these are, and takes their index.
    wish.actorKind && and(isNull(actorId), sql`${actorKind} = '${sql.raw(wish.actorKind)}'`),
    wish.userId === undefined ? undefined : eq(userId, wish.userId),
    wish.kind === undefined ? undefined : eq(kind, wish.kind),
    since && and(gte(happenedAt, since), gte(id, leastIdAt(since.getTime() - ID_MARGIN_MS))),
    until && and(lt(happenedAt, until), lt(id, leastIdAt(until.getTime() + ID_MARGIN_MS))),
    after === undefined ? undefined : isNewestFirst ? lt(id, after) : gt(id, after),
  );
}

/** All columns, in one order, so that the text of the statement is always the same. */
function toRow(id: string, { device, ...event }: NewAuditEvent) {
  const { kind, userId, actorId } = event;
  const { ip = null, userAgent = null } = device ?? {};
  const actorKind = event.actorKind ?? (actorId === null ? null : 'user');
  const requestId = event.requestId ?? device?.requestId ?? null;
  return {
    ...{ id, kind, happenedAt: sql`now()`, userId, actorId, actorKind, requestId },
    ...{ sessionId: event.sessionId ?? null, ip, userAgent, details: event.details ?? null },
  };
}
