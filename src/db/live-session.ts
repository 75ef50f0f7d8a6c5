import type { SQL } from 'drizzle-orm';
import { and, eq, gt, isNull, sql } from './drizzle.ts';
import { sessions, users } from './schema.ts';

/** A row of `sessions` that has not ended and not expired, by the database's time. */
export function isOpenSession(): SQL | undefined {
  return and(
    isNull(sessions.endedAt),
    gt(sessions.expiresAt, sql`now()`),
    gt(sessions.idleExpiresAt, sql`now()`),
  );
}

/**
 * An open session whose user may sign in; the query joins `users`. The same rule as `isLive` in
 * sessions/session-rules.ts, which judges a copy of the row: a test holds the two together.
 */
export function isLiveSession(): SQL | undefined {
  return and(isOpenSession(), eq(users.status, 'active'));
}
