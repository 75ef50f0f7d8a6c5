/** Where a part says what happened that no caller waits for. Secrets never go there; of an error goes all but its fields. */
export type Log = Record<'debug' | 'warn' | 'error', (context: object, message: string) => void>;

/** What to do with an error that no caller waits for: a warning, with what it means. */
export function warning(log: Log, message: string): (err: unknown) => void {
  return (err) => log.warn({ err }, message);
}
