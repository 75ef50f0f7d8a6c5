/** For events that no caller sees. Never pass a secret. Of an error only message, code, stack and cause are written. */
export type Log = Record<'debug' | 'warn' | 'error', (context: object, message: string) => void>;
