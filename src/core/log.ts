/** For events that no caller sees. Never pass a secret. Of an error only message, code, stack and cause are written. */
export type Log = Record<'debug' | 'warn' | 'error', (context: object, message: string) => void>;

/** What to do with an error that no caller waits for: a warning, with what it means. */
export function warning(log: Log, message: string): (err: unknown) => void {
  return (err) => log.warn({ err }, message);
}
