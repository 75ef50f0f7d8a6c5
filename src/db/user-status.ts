import type { SQL } from 'drizzle-orm';
import { sql } from './drizzle.ts';
import { users } from './schema.ts';

/**
 * Condition: the user may sign in. A ban is over at its instant, by the database's clock, also before a sweep has taken it
 * out of the row. Whatever asks for the status of a user asks here.
 */
export function isActiveUser(): SQL<boolean> {
  return sql<boolean>`(${users.status} = 'active' or coalesce(${users.bannedUntil} <= now(), false))`;
}

/** The status by that rule, as a column. */
export function currentStatus(): SQL<'active' | 'banned'> {
  return sql<'active' | 'banned'>`case when ${isActiveUser()} then 'active' else 'banned' end`;
}
