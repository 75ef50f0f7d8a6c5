import { AppError } from '../core/errors.ts';
import type { GuessLimit } from '../passwords/guess-limit.ts';

const HOUR_MS = 3_600_000;

export type MailLimit = ReturnType<typeof createMailLimit>;

/**
 * Bounds the mails that others can cause to be sent to an address, whoever asks and for whatever.
 * @param most in an hour
 * @param kind what is counted together. Those that warn an owner are counted apart from those that anybody can ask for:
 *   otherwise a thief would first ask for so many that there is no warning. So are those for accounts without a password, of which one in an hour is enough
 */
export function createMailLimit(
  guesses: GuessLimit,
  most: number,
  kind: 'mail' | 'warning' | 'missing-password' = 'mail',
) {
  const budget = { most, windowMs: HOUR_MS };
  const take = async (email: string) => void (await guesses.take({ kind, id: email }, budget));

  return {
    /**
     * Counts a mail to a canonical address.
     * @throws AppError `rate_limited` when there were too many; `unavailable`
     */
    take,

    /** The same where nobody may learn of it. @returns whether the mail may be sent */
    async tryTake(email: string): Promise<boolean> {
      try {
        await take(email);
        return true;
      } catch (error) {
        if (error instanceof AppError && error.code === 'rate_limited') return false;
        throw error;
      }
    },
  };
}
