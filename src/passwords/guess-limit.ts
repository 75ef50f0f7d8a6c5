import { createHash } from 'node:crypto';
import { channels, tell } from '../core/channels.ts';
import { AppError } from '../core/errors.ts';
import type { GuessBudget, GuessStore } from './guess-store.ts';

/** What guesses are counted for: an account by its canonical address, known or not, or a device. */
export type GuessTarget = { kind: string; id: string };

/** A guess that was counted. */
export type Guess = {
  /** For one that was right, or that could not be looked at. */
  giveBack(): Promise<void>;
};

export type GuessLimit = ReturnType<typeof createGuessLimit>;

/**
 * Counts guesses before they are looked at, so that no number of them at the same time is more than the budget has.
 */
export function createGuessLimit(store: GuessStore) {
  return {
    /** @throws AppError `rate_limited` with the time to wait; `unavailable` */
    async take({ kind, id }: GuessTarget, budget: GuessBudget): Promise<Guess> {
      const key = createHash('sha256').update(`${kind}\0${id}`).digest();
      const takenAt = await store.take(key, budget);
      if (takenAt !== null) return { giveBack: () => store.giveBack(key, takenAt) };
      tell(channels.limitReached, { limit: 'guesses' });
      const waitMs = await store.waitMs(key, budget);
      throw new AppError('rate_limited', { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) });
    },
  };
}
