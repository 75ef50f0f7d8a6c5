import type { Database, Transaction } from '../db/database.ts';
import { asc, inArray, lt, sql } from '../db/drizzle.ts';
import { outbox } from '../db/schema.ts';

export type OutboxKind = (typeof outbox.$inferSelect)['kind'];
export type OutboxMessage = { id: string; kind: OutboxKind; payload: unknown };

export type OutboxStore = ReturnType<typeof createOutboxStore>;

/** The `outbox` table. */
export function createOutboxStore(database: Database) {
  return {
    async insert(transaction: Transaction, message: OutboxMessage): Promise<void> {
      await transaction.database.insert(outbox).values(message);
    },

    /** Messages that have been waiting for at least `minAgeMs`, the oldest first. */
    async list(minAgeMs: number, limit: number): Promise<OutboxMessage[]> {
      return database
        .select({ id: outbox.id, kind: outbox.kind, payload: outbox.payload })
        .from(outbox)
        .where(lt(outbox.createdAt, sql`now() - ${minAgeMs} * interval '1 millisecond'`))
        .orderBy(asc(outbox.id))
        .limit(limit);
    },

    async delete(ids: string[]): Promise<void> {
      await database.delete(outbox).where(inArray(outbox.id, ids));
    },
  };
}
