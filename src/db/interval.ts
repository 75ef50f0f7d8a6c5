import type { SQL } from 'drizzle-orm';
import { sql } from './drizzle.ts';

/** A span of time for PostgreSQL, to be added to an instant. */
export function inMs(ms: number): SQL {
  return sql`${ms} * interval '1 millisecond'`;
}
