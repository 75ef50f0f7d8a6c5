import { AppError } from '../core/errors.ts';
import type { Cache } from './cache.ts';

const PER_MINUTE = 300;
const WINDOW_MS = 60_000;

export type MissLimit = ReturnType<typeof createMissLimit>;

/**
 * Limits how often one network can make the database look for sessions or service clients that do not exist. A guess of
 * 256 bits never succeeds: the limit is for the load.
 * @param counters of this process alone: each replica has a limit of its own
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
