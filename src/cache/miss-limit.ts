import { LRUCache } from 'lru-cache';
import { channels, tell } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';

const PER_MINUTE = 300;
const WINDOW_MS = 60_000;
const MAX_NETWORKS = 50_000;

/** Look-ups of one network. Those under way count as misses until they have found something. */
type Tally = {
  misses: number;
  windowEndsAt: number;
  underWay: number;
  waiting: PromiseWithResolvers<void>[];
};

export type MissLimit = ReturnType<typeof createMissLimit>;

/**
 * Limits how often one network can make the database look for sessions or service clients that do not exist. A guess of
 * 256 bits never succeeds: the limit is for the load. Each replica has a limit of its own.
 *
 * A look-up is counted before it starts: otherwise a burst would pass as a whole. One that finds something gives its
 * count back, so many users behind one address never reach the limit.
 * @param now of this process alone
 */
export function createMissLimit(now: Clock) {
  const tallies = new LRUCache<string, Tally>({ max: MAX_NETWORKS });

  return {
    /**
     * Runs a look-up; null counts as a miss. While as many are under way as may still miss, it waits for one of them.
     * @throws AppError `rate_limited` when the network has missed too often in this minute; what `lookUp` throws
     */
    async run<T>(network: string, lookUp: () => Promise<T | null>): Promise<T | null> {
      const tally = tallyOf(network);
      await enter(tally);
      try {
        const found = await lookUp();
        if (found === null) countMiss(tally);
        return found;
      } finally {
        tally.underWay -= 1;
        admitWaiting(tally);
      }
    },
  };

  function tallyOf(network: string): Tally {
    const tally = tallies.get(network) ?? { misses: 0, windowEndsAt: 0, underWay: 0, waiting: [] };
    tallies.set(network, tally);
    return tally;
  }

  function enter(tally: Tally): Promise<void> {
    const place = Promise.withResolvers<void>();
    tally.waiting.push(place);
    admitWaiting(tally);
    return place.promise;
  }

  function admitWaiting(tally: Tally): void {
    const mayMiss = PER_MINUTE - missesOf(tally);
    if (mayMiss <= 0) {
      for (const { reject } of tally.waiting.splice(0)) reject(tooManyMisses());
      return;
    }
    const admitted = tally.waiting.splice(0, mayMiss - tally.underWay);
    tally.underWay += admitted.length;
    for (const { resolve } of admitted) resolve();
  }

  function missesOf({ misses, windowEndsAt }: Tally): number {
    return now() < windowEndsAt ? misses : 0;
  }

  /** The window starts with its first miss. */
  function countMiss(tally: Tally): void {
    const misses = missesOf(tally);
    if (misses === 0) tally.windowEndsAt = now() + WINDOW_MS;
    tally.misses = misses + 1;
  }
}

function tooManyMisses(): AppError {
  tell(channels.limitReached, { limit: 'misses' });
  return new AppError('rate_limited', { retryAfterSeconds: WINDOW_MS / 1000 });
}
