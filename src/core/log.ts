/** Where a part says what happened that no caller waits for. Secrets never go there; of an error goes all but its fields. */
export type Log = Record<'debug' | 'warn' | 'error', (context: object, message: string) => void>;
