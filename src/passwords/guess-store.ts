import type { SQL } from 'drizzle-orm';
import type { Database, Transaction } from '../db/database.ts';
import { eq, inArray, lt, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { tryLock } from '../db/locks.ts';
import { loginThrottle } from '../db/schema.ts';

export type GuessStore = ReturnType<typeof createGuessStore>;

/** How many guesses count at most, and for how long. */
export type GuessBudget = {
  most: number;
  windowMs: number;
  /** How long a guess may be under way, after which it may be given back; 0 if left out. */
  underWayMs?: number;
};

/** What a budget looks like when it is used up. */
export type UsedBudget = {
  /** How long until there is room again, in milliseconds; 0 if there is. */
  waitMs: number;
  /** Whether there is no room, and will be none before that: no guess that counts is still under way. */
  isSettled: boolean;
};

/** The `login_throttle` table. All times are database time. */
export function createGuessStore(database: Database) {
  return {
    /**
     * Counts a guess, if it is within the budget. It is one statement, so that of any number of guesses at the same time,
     * at any number of replicas, exactly as many are counted as the budget has.
     * @returns when it was, to the microsecond; null when the budget is used up
     */
    async take(key: Buffer, { most, windowMs }: GuessBudget): Promise<string | null> {
      const recent = sql`array(select guess from unnest(${loginThrottle.attempts}) as guess
        where guess > now() - ${inMs(windowMs)} order by guess)`;
      const [row] = await database
        .insert(loginThrottle)
        .values({ key, attempts: sql`array[now()]`, expiresAt: sql`now() + ${inMs(windowMs)}` })
        .onConflictDoUpdate({
          target: loginThrottle.key,
          set: { attempts: sql`${recent} || now()`, expiresAt: sql`now() + ${inMs(windowMs)}` },
          setWhere: sql`cardinality(${recent}) < ${most}`,
        })
        .returning({ takenAt: sql<string>`now()::text` });
      return row?.takenAt ?? null;
    },

    /** Takes back a guess that was right, or was not looked at. */
    async giveBack(key: Buffer, takenAt: string): Promise<void> {
      const at = sql`array_position(${loginThrottle.attempts}, ${takenAt}::timestamptz)`;
      await database
        .update(loginThrottle)
        .set({
          attempts: sql`${loginThrottle.attempts}[:${at} - 1] || ${loginThrottle.attempts}[${at} + 1:]`,
        })
        .where(sql`${eq(loginThrottle.key, key)} and ${at} is not null`);
    },

    /** Writes what is written already. */
    async rewrite({ database }: Transaction, key: Buffer): Promise<void> {
      await database
        .update(loginThrottle)
        .set({ expiresAt: sql`${loginThrottle.expiresAt}` })
        .where(eq(loginThrottle.key, key));
    },

    /** What a budget that was used up looks like now. */
    async look(key: Buffer, { most, windowMs, underWayMs = 0 }: GuessBudget): Promise<UsedBudget> {
      const newest = (place: number) =>
        sql`(array(select guess from unnest(${loginThrottle.attempts}) as guess order by guess desc))[${place}]`;
      const msUntil = (instant: SQL) =>
        sql<number>`coalesce(extract(epoch from ${instant} - now())::float8 * 1000, 0)`;
      const [row] = await database
        .select({
          waitMs: msUntil(sql`${newest(most)} + ${inMs(windowMs)}`),
          underWayForMs: msUntil(sql`${newest(1)} + ${inMs(underWayMs)}`),
        })
        .from(loginThrottle)
        .where(eq(loginThrottle.key, key));
      // Without a row, because it was swept in this moment, there is room.
      const { waitMs, underWayForMs } = { waitMs: 0, underWayForMs: 0, ...row };
      return { waitMs: Math.max(0, Math.ceil(waitMs)), isSettled: waitMs > 0 && underWayForMs <= 0 };
    },

    /**
     * Deletes what no longer counts, at most `limit` rows.
     * @returns how many; 0 while another replica is sweeping
     */
    async sweep(transaction: Transaction, limit: number): Promise<number> {
      if (!(await tryLock(transaction, 'sweepThrottles'))) return 0;
      const { database } = transaction;
      const over = database
        .select({ key: loginThrottle.key })
        .from(loginThrottle)
        .where(lt(loginThrottle.expiresAt, sql`now()`))
        .limit(limit)
        .for('update', { skipLocked: true });
      const swept = await database
        .delete(loginThrottle)
        .where(inArray(loginThrottle.key, over))
        .returning({ key: loginThrottle.key });
      return swept.length;
    },
  };
}
