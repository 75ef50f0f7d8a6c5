import type { Database } from '../db/database.ts';
import { isNull, sql } from '../db/drizzle.ts';
import { isOpenSession } from '../db/live-session.ts';
import { auditEvents, sessions, users } from '../db/schema.ts';
import { isActiveUser } from '../db/user-status.ts';

/** How many there are: exact as long as few rows tell it, otherwise what PostgreSQL estimates. */
export type Estimate = { count: number; isEstimate: boolean };

export type UserCounts = { total: Estimate; banned: number; unverified: number };

/** An hour, as the ids of the events that are made in it. */
export type HourOfIds = { from: string; to: string };

export type EventCount = { kind: string; count: number };

export type StatsStore = ReturnType<typeof createStatsStore>;

/** @param mostCounted rows of a table, or events of an hour and a kind, that are counted one by one */
export function createStatsStore(database: Database, mostCounted: number) {
  return {
    async countUsers(): Promise<UserCounts> {
      const some = database
        .select({ id: users.id })
        .from(users)
        .limit(mostCounted + 1)
        .as('some');
      const isBanned = sql`${users.status} = 'banned' and not ${isActiveUser()}`;
      // There is an index of these.
      const bannedOnes = database.select({ id: users.id }).from(users).where(isBanned).limit(mostCounted);
      const [total, banned] = [await database.$count(some), await database.$count(bannedOnes.as('banned'))];
      if (total <= mostCounted) {
        const unverified = await database.$count(users, isNull(users.emailVerifiedAt));
        return { total: { count: total, isEstimate: false }, banned, unverified };
      }
      const { rows, nulls } = await estimate('users', 'email_verified_at');
      const count = Math.max(rows, total);
      return { total: { count, isEstimate: true }, banned, unverified: Math.round(count * nulls) };
    },

    async countLiveSessions(): Promise<Estimate> {
      const some = database
        .select({ id: sessions.id })
        .from(sessions)
        .limit(mostCounted + 1)
        .as('some');
      const counted = await database.$count(some);
      if (counted <= mostCounted)
        return { count: await database.$count(sessions, isOpenSession()), isEstimate: false };
      // Sessions that expire stay for a day at most.
      const { rows, nulls } = await estimate('sessions', 'ended_at');
      return { count: Math.round(Math.max(rows, counted) * nulls), isEstimate: true };
    },

    /** How many events of each kind there are in that hour; a kind that there is none of is left out. */
    async countEvents({ from, to }: HourOfIds, kinds: string[]): Promise<EventCount[]> {
      const events = sql`
        select from ${auditEvents}
        where ${auditEvents.kind} = kind.name and ${auditEvents.id} >= ${from} and ${auditEvents.id} < ${to}
        limit ${mostCounted}`;
      return database
        .select({ kind: sql<string>`kind.name`, count: sql`counted.events`.mapWith(Number) })
        .from(sql`unnest(${`{${kinds.join(',')}}`}::text[]) as kind(name)
          cross join lateral (select count(*) as events from (${events}) as found) as counted`)
        .where(sql`counted.events > 0`);
    },
  };

  /** By the statistics of PostgreSQL: how many rows a table has, and in what part of them a column is null. */
  async function estimate(table: string, column: string): Promise<TableEstimate> {
    const [row] = await database
      .select({
        rows: sql`greatest(c.reltuples, 0)`.mapWith(Number),
        nulls: sql`coalesce(s.null_frac, 0)`.mapWith(Number),
      })
      .from(sql`pg_class c left join pg_stats s
        on s.schemaname = c.relnamespace::regnamespace::text and s.tablename = c.relname and s.attname = ${column}`)
      .where(sql`c.oid = ${table}::regclass`);
    return row as TableEstimate;
  }
}

type TableEstimate = { rows: number; nulls: number };
