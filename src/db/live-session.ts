import type { SQL } from 'drizzle-orm';
import { and, gt, isNull, sql } from './drizzle.ts';
import { sessions } from './schema.ts';
import { isActiveUser } from './user-status.ts';

/** Condition: the row of `sessions` has neither ended nor expired, in database time. */
export function isOpenSession(): SQL | undefined {
  return and(
    isNull(sessions.endedAt),
    gt(sessions.expiresAt, sql`now()`),
    gt(sessions.idleExpiresAt, sql`now()`),
  );
}

/**
 * Condition: an open session whose user may sign in; the query must join `users`. `isLive` in
 * sessions/session-rules.ts is the same rule for a cached copy of the row: a test compares the two.
 */
export function isLiveSession(): SQL | undefined {
  return and(isOpenSession(), isActiveUser());
}
