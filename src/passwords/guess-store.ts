import type { Database, Transaction } from '../db/database.ts';
import { eq, inArray, lt, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { tryLock } from '../db/locks.ts';
import { loginThrottle } from '../db/schema.ts';

export type GuessStore = ReturnType<typeof createGuessStore>;

/** How many guesses count at most, and for how long. */
export type GuessBudget = { most: number; windowMs: number };

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

    /** How long until the budget has room again, in milliseconds; 0 if it has. */
    async waitMs(key: Buffer, { most, windowMs }: GuessBudget): Promise<number> {
      const newest = sql`(array(select guess from unnest(${loginThrottle.attempts}) as guess order by guess desc))[${most}]`;
      const [row] = await database
        .select({
          ms: sql<number>`coalesce(ceil(extract(epoch from ${newest} + ${inMs(windowMs)} - now()) * 1000), 0)::float8`,
        })
        .from(loginThrottle)
        .where(eq(loginThrottle.key, key));
      return Math.max(0, row?.ms ?? 0);
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
