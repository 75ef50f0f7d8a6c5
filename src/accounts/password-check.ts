import type { GuessLimit } from '../passwords/guess-limit.ts';
import type { PasswordHasher } from '../passwords/password-hash.ts';

/** DESIGN: at most ten wrong passwords for an account in a quarter of an hour, from anywhere. */
const ACCOUNT_BUDGET = { most: 10, windowMs: 15 * 60_000 };

export type PasswordGuess = {
  /** Canonical; of an account or not. */
  email: string;
  /** Null: there is no account, or it has no password. */
  hash: string | null;
  password: string;
};

type PasswordCheckParts = { passwords: PasswordHasher; guesses: GuessLimit };

export type PasswordCheck = ReturnType<typeof createPasswordCheck>;

/** Every guess of a password is counted and checked here, whatever it is asked for. */
export function createPasswordCheck({ passwords, guesses }: PasswordCheckParts) {
  return {
    /**
     * Whether the password is right. Takes as long for an address without an account.
     * @throws AppError `rate_limited` after too many wrong ones; `overloaded`, `unavailable`
     */
    async matches({ email, hash, password }: PasswordGuess): Promise<boolean> {
      const guess = await guesses.take({ kind: 'password', id: email }, ACCOUNT_BUDGET);
      let isWrong = false;
      try {
        isWrong = !(await passwords.verify(hash, password));
        return !isWrong;
      } finally {
        // Also when it could not be checked.
        if (!isWrong) await guess.giveBack();
      }
    },
  };
}
