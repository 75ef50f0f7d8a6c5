import type { Adapters } from '../adapters/adapters.ts';
import type { Config } from '../config/config.ts';
import { patiently } from '../core/patience.ts';
import { databaseTroubleOf, explainError } from './explain-error.ts';

const FIRST_WAIT_MS = 100;

/**
 * What passes by itself: the server, its name or its network is not there yet, it starts, recovers, or only answers
 * questions, it has no connection left for the moment, or it waits for a migration. Whatever is wrong in the settings, such
 * as a password, a name or an encrypted connection, stays wrong.
 */
const PASSING =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOENT|CONNECT_TIMEOUT|CONNECTION_\w+|no answer.*|08\w{3}|25006|42P01|42703|53300|57P0[123]|58\w{3})$/;

/** Whether an error of the database may pass without a change of the settings. */
export function passesByItself(error: unknown): boolean {
  return PASSING.test(String(databaseTroubleOf(error)));
}

/** @param line about what is waited for, or that it goes on */
export type Say = (line: string) => void;

/**
 * Waits for PostgreSQL, up to `STARTUP_TIMEOUT` from now on: tries again while what is in the way may pass by itself.
 * @param ended ends the wait, such as when the start fails for another reason
 * @returns runs an attempt, which may be called for one step after the other
 */
export function createDatabaseWait(
  config: Config,
  { renewDatabase }: Adapters,
  say: Say,
  ended?: AbortSignal,
) {
  const giveUpAt = performance.now() + config.STARTUP_TIMEOUT;
  let said = '';

  return async <T>(attempt: () => Promise<T>): Promise<T> => {
    const result = await patiently(attempt, {
      giveUpAt,
      firstWaitMs: FIRST_WAIT_MS,
      ended,
      mayPass: passesByItself,
      onWait: (error) => {
        sayOnce(explainError(error, process.env));
        // The driver has waits of its own between its attempts, which grow for as long as a client lives.
        renewDatabase();
      },
    });
    if (said !== '') say('PostgreSQL can be used: going on');
    said = '';
    return result;
  };

  /** Again only when there is another reason. */
  function sayOnce(reason: string): void {
    if (reason === said) return;
    said = reason;
    say(`${reason} Waiting for that, up to ${config.STARTUP_TIMEOUT / 1000} s from the start`);
  }
}
