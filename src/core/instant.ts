/** What is wrong with a text that `parseInstant` does not read. */
export const NO_INSTANT = 'is not an instant such as 2030-01-31T12:00:00Z';

/** The years that both RFC 3339 and PostgreSQL can write. */
const FIRST = Date.parse('0001-01-01T00:00:00.000Z');
const LAST = Date.parse('9999-12-31T23:59:59.999Z');

const INSTANT = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/i;

/**
 * Reads an instant of RFC 3339, to the millisecond. A day alone begins in UTC.
 * @returns null for everything else: also for an instant without a time zone, which would be that of the machine, and for
 *   one outside the years 1 to 9999, which the database would not read
 */
export function parseInstant(text: string): Date | null {
  const instant = new Date(INSTANT.test(text) ? text : Number.NaN);
  return isWritable(instant.getTime()) && isDay(text.slice(0, 10)) ? instant : null;
}

/** Whether RFC 3339 and PostgreSQL can write the instant. @param ms since the epoch; a number that is none is no instant */
export function isWritable(ms: number): boolean {
  return ms >= FIRST && ms <= LAST;
}

/** Otherwise 30 February would be 2 March. */
function isDay(text: string): boolean {
  return new Date(text).toISOString().startsWith(text);
}
