import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { channels, tell } from '../core/channels.ts';
import { AppError } from '../core/errors.ts';
import { createBoundedTurns } from '../core/turns.ts';
import type { GuessLimit } from '../passwords/guess-limit.ts';
import { type PasswordHasher, REFUSE_AFTER_MS } from '../passwords/password-hash.ts';

/** DESIGN: at most ten wrong passwords for an account in a quarter of an hour, from anywhere. */
const BUDGET = { most: 10, windowMs: 15 * 60_000, underWayMs: 1_000 };

/**
 * Guesses of one account at the same time in one process, far below the budget: right ones that come many at a time wait for
 * one another, rather than use it up for a moment.
 */
const AT_ONCE = 3;
/** Of one account. */
const MOST_WAITING = 100;

/** One error for all: its stack trace would be most of what a refusal costs. */
const CROWDED = new AppError('rate_limited', { retryAfterSeconds: 1 });

export type PasswordGuess = {
  /** Canonical; of an account or not. */
  email: string;
  /** Null: there is no account, or it has no password. */
  hash: string | null;
  password: string;
  /**
   * The id of a device, or of a session, that the owner of this account has signed in on. Its guesses are counted apart, so
   * that those of strangers do not lock the owner out.
   */
  knownAs: string | null;
};

type PasswordCheckParts = { passwords: PasswordHasher; guesses: GuessLimit };

export type PasswordCheck = ReturnType<typeof createPasswordCheck>;

/** Every guess of a password is counted and checked here, whatever it is asked for. */
export function createPasswordCheck({ passwords, guesses }: PasswordCheckParts) {
  const inTurn = createBoundedTurns<string>({
    atOnce: AT_ONCE,
    mostWaiting: MOST_WAITING,
    onFull: refuseSlowly,
  });

  return {
    /**
     * Whether the password is right. Takes as long for an address without an account.
     * @throws AppError `rate_limited` after too many wrong ones, or while too many wait; `overloaded`, `unavailable`
     */
    matches({ email, hash, password, knownAs }: PasswordGuess): Promise<boolean> {
      const target =
        knownAs === null
          ? { kind: 'password', id: email }
          : { kind: 'password-device', id: `${knownAs} ${email}` };
      return inTurn(`${target.kind} ${target.id}`, async () => {
        const guess = await guesses.take(target, BUDGET);
        let isWrong = false;
        try {
          isWrong = !(await passwords.verify(hash, password));
          return !isWrong;
        } finally {
          // Also when it could not be checked.
          if (!isWrong) await guess.giveBack();
        }
      });
    },
  };
}

/** Not at once, as with `overloaded`: refusals alone must not keep the event loop busy. */
async function refuseSlowly(): Promise<never> {
  tell(channels.limitReached, { limit: 'guesses' });
  await delay(randomInt(REFUSE_AFTER_MS.least, REFUSE_AFTER_MS.most));
  throw CROWDED;
}
