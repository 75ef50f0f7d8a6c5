import type { Column, SQL } from 'drizzle-orm';
import { sql } from './drizzle.ts';

/** The instant of a column in microseconds since the epoch: a Date does not hold them. */
export function microsOf(column: Column): SQL<string> {
  return sql<string>`((extract(epoch from ${column}) * 1000000)::bigint)::text`;
}

/**
 * The instant of that many microseconds since the epoch. In two parts, as PostgreSQL multiplies intervals in floating point,
 * which rounds the microseconds of accounts that say to be from the year 1: an import may bring those.
 */
export function instantOfMicros(micros: string): SQL {
  return sql`('epoch'::timestamptz
    + ${micros}::bigint / 1000000 * interval '1 second' + ${micros}::bigint % 1000000 * interval '1 microsecond')`;
}
