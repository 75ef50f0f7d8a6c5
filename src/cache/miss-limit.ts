import { AppError } from '../core/errors.ts';
import type { Cache } from './cache.ts';

const PER_MINUTE = 300;
const WINDOW_MS = 60_000;

export type MissLimit = ReturnType<typeof createMissLimit>;

/**
 * Bounds how fast one network can make the database look for what does not exist: sessions, service clients. A guess of
 * 256 bits never succeeds; this is about the load.
 * @param counters of this process alone: the bound is a replica's own
 */
export function createMissLimit(counters: Cache) {
  const keyOf = (network: string): string => `misses:${network}`;
  return {
    /** @throws AppError `rate_limited` when the network has missed too often in this minute */
    async admit(network: string): Promise<void> {
      if (Number(await counters.get(keyOf(network))) < PER_MINUTE) return;
      throw new AppError('rate_limited', { retryAfterSeconds: WINDOW_MS / 1000 });
    },
    async note(network: string): Promise<void> {
      await counters.increment(keyOf(network), WINDOW_MS);
    },
  };
}
