import type { Database, Transaction } from '../db/database.ts';
import { and, asc, gt, inArray, lt, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { tryLock } from '../db/locks.ts';
import { revocations } from '../db/schema.ts';
import type { Revocation } from './revocation-part.ts';

/** What the table is like at one moment. */
export type TableState = {
  /** Another one: another server, a restart of it, or a restored backup. Numbers of another epoch mean nothing. */
  epoch: string;
  /** All that was committed before it is in the table as it was seen. Milliseconds since the epoch. */
  readAt: number;
  /** Whether there are rows without a place in the feed. */
  hasUnnumbered: boolean;
  /** The last place in the feed; 0 if there is none. */
  head: number;
};

export type RevocationStore = ReturnType<typeof createRevocationStore>;

/** The `revocations` table. */
export function createRevocationStore(database: Database) {
  const head = sql`(select max(${revocations.seq}) from ${revocations})`;
  const table = database
    .select({
      // The start of the server tells a failover, the other two a copy of the database or of the table.
      epoch: sql<string>`left(md5(concat_ws('/', extract(epoch from pg_postmaster_start_time()),
        (select oid from pg_database where datname = current_database()), 'revocations'::regclass::oid)), 16)`,
      // The start of the transaction. What `statement_timestamp()` says may be later than what the statement sees.
      readAt: sql<string>`extract(epoch from now()) * 1000`,
      hasUnnumbered: sql<boolean>`exists (select from ${revocations} where ${revocations.seq} is null)`,
      head: sql<string>`coalesce(${head}, 0)`,
    })
    .from(sql`(select) as always`)
    .prepare('look_at_revocations');
  const listAfter = database
    .select()
    .from(revocations)
    .where(gt(revocations.seq, sql.placeholder('seq')))
    .orderBy(asc(revocations.seq))
    .limit(sql.placeholder('limit'))
    .prepare('list_revocations');

  return {
    async look(): Promise<TableState> {
      const [state] = (await table.execute()) as [Awaited<ReturnType<typeof table.execute>>[number]];
      return { ...state, readAt: Math.floor(Number(state.readAt)), head: Number(state.head) };
    },

    /** What has a place after this one, in the order of the feed. */
    async list(seq: number, limit: number): Promise<Revocation[]> {
      const rows = await listAfter.execute({ seq, limit });
      return rows.map((row) => ({ ...row, seq: Number(row.seq), revokedAt: row.revokedAt.getTime() }));
    },

    /** Gives places to rows that have none, at most that many. Waits while another replica does. @returns how many */
    async number(limit: number): Promise<number> {
      const [row] = await database
        .select({ numbered: sql<number>`numbered` })
        .from(sql`number_revocations(${limit}::integer)`);
      return Number(row?.numbered);
    },

    /**
     * Deletes rows that have been in the feed for longer than the window. The one with the highest number stays: the next
     * number follows it.
     * @returns how many; 0 while another replica is sweeping
     */
    async sweep(transaction: Transaction, windowMs: number, limit: number): Promise<number> {
      if (!(await tryLock(transaction, 'sweepRevocations'))) return 0;
      const over = transaction.database
        .select({ id: revocations.id })
        .from(revocations)
        .where(and(lt(revocations.revokedAt, sql`now() - ${inMs(windowMs)}`), lt(revocations.seq, head)))
        .orderBy(asc(revocations.revokedAt))
        .limit(limit);
      const swept = await transaction.database
        .delete(revocations)
        .where(inArray(revocations.id, over))
        .returning({ id: revocations.id });
      return swept.length;
    },
  };
}
