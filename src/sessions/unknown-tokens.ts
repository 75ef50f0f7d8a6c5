import type { Cache } from '../adapters/adapters.ts';
import { AppError } from '../core/errors.ts';

const PER_MINUTE = 300;
const WINDOW_MS = 60_000;

export type UnknownTokens = ReturnType<typeof createUnknownTokens>;

/**
 * Bounds how fast one client can make the database look for tokens that do not exist. A guess of 256 bits never
 * succeeds; this is about the load. Who has a session in the cache is not held up by it.
 * @param counters of this process alone: the bound is a replica's own
 */
export function createUnknownTokens(counters: Cache) {
  const keyOf = (client: string): string => `unknown:${client}`;
  return {
    /** @throws AppError `rate_limited` when the client has asked for too many of them in this minute */
    async admit(client: string): Promise<void> {
      if (Number(await counters.get(keyOf(client))) < PER_MINUTE) return;
      throw new AppError('rate_limited', { retryAfterSeconds: WINDOW_MS / 1000 });
    },
    async note(client: string): Promise<void> {
      await counters.increment(keyOf(client), WINDOW_MS);
    },
  };
}
