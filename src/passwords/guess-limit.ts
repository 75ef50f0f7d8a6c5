import { createHash, randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { channels, tell } from '../core/channels.ts';
import { AppError } from '../core/errors.ts';
import type { Transaction } from '../db/database.ts';
import type { GuessBudget, GuessStore } from './guess-store.ts';

/** What guesses are counted for: an account by its canonical address, known or not, or a device. */
export type GuessTarget = { kind: string; id: string };

/** A guess that was counted. */
export type Guess = {
  /** For one that was right, or that could not be looked at. */
  giveBack(): Promise<void>;
  /** Writes what is written already, for a transaction that must not tell by its time whether it writes more than that. */
  rewrite(transaction: Transaction): Promise<void>;
};

/** A guess that was just counted by others may be given back: then there is room again. Milliseconds between two looks. */
const LOOK_AGAIN_AFTER_MS = { least: 20, most: 60 };
/** About two seconds in all, if others are counted and given back all the time. */
const MOST_LOOKS = 50;

export type GuessLimit = ReturnType<typeof createGuessLimit>;

/**
 * Counts guesses before they are looked at, so that no number of them at the same time is more than the budget has.
 */
export function createGuessLimit(store: GuessStore) {
  return {
    /**
     * Counts a guess. When the budget is used up only by guesses that others are looking at in this moment, it waits for
     * what becomes of them.
     * @throws AppError `rate_limited` with the time to wait; `unavailable`
     */
    async take({ kind, id }: GuessTarget, budget: GuessBudget): Promise<Guess> {
      const key = createHash('sha256').update(`${kind}\0${id}`).digest();
      for (let looks = 1; ; looks += 1) {
        const takenAt = await store.take(key, budget);
        if (takenAt !== null) {
          return {
            giveBack: () => store.giveBack(key, takenAt),
            rewrite: (transaction) => store.rewrite(transaction, key),
          };
        }
        const { waitMs, isSettled } = await store.look(key, budget);
        if (isSettled || looks === MOST_LOOKS) throw refusal(waitMs);
        await delay(randomInt(LOOK_AGAIN_AFTER_MS.least, LOOK_AGAIN_AFTER_MS.most));
      }
    },
  };
}

function refusal(waitMs: number): AppError {
  tell(channels.limitReached, { limit: 'guesses' });
  return new AppError('rate_limited', { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) });
}
