/** With a time zone: without one, it would be that of the machine. A day alone begins in UTC. */
const FORM = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/i;
/** The years that both RFC 3339 and PostgreSQL can write. */
const FIRST = Date.parse('0001-01-01T00:00:00.000Z');
const LAST = Date.parse('9999-12-31T23:59:59.999Z');

/** Reads an instant as in RFC 3339, or a day; null for other text. A leap second is none. */
export function readInstant(text: string): Date | null {
  const ms = FORM.test(text) ? Date.parse(text.toUpperCase().replace(' ', 'T')) : Number.NaN;
  return isWritable(ms) ? new Date(ms) : null;
}

/** Whether RFC 3339 and PostgreSQL can write the instant. @param ms since the epoch */
export function isWritable(ms: number): boolean {
  return ms >= FIRST && ms <= LAST;
}
