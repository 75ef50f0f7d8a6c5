import { patiently } from '../core/patience.ts';
import { passesByItself } from './database-wait.ts';
import { explainError } from './explain-error.ts';
import { type CommandSession, ServerAway } from './run-command.ts';

const FIRST_WAIT_MS = 100;

type CommandPatience = {
  /** How long the database may be away, in milliseconds; may be without an end. */
  waitMs: number;
  /** Ends the waiting. */
  ended: AbortSignal;
  /** Called with one line when the waiting begins, and again when there is another reason for it. */
  say(line: string): void;
};

/**
 * For commands that take long: the database, or the server that has it, may be away for a while.
 * @returns tries a call again and again, and throws what its last attempt threw
 */
export function createCommandPatience(session: CommandSession, { waitMs, ended, say }: CommandPatience) {
  let said = '';
  return async <Answer>(attempt: () => Promise<Answer>): Promise<Answer> => {
    const answer = await patiently(attempt, {
      giveUpAt: performance.now() + waitMs,
      firstWaitMs: FIRST_WAIT_MS,
      ended,
      mayPass: (error) => error instanceof ServerAway || passesByItself(error),
      onWait(error) {
        const reason = explainError(error, process.env);
        const limit = waitMs === Number.POSITIVE_INFINITY ? '' : `, up to ${waitMs / 1000} s`;
        if (reason !== said) say(`${reason} Waiting for that${limit}`);
        said = reason;
        session.renew();
      },
    });
    said = '';
    return answer;
  };
}
