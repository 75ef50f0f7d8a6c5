/** Where a list of dead messages goes on: microseconds since the epoch, and a message's id. */
export const DEAD_PLACE = /^\d{1,16}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** How often and how soon a lane tries a message again. */
export type RetryPolicy = {
  /** The wait after the first failure, at most. */
  firstDelayMs: number;
  /** No wait is longer. */
  maxDelayMs: number;
  /** After that many attempts a message is dead. */
  maxAttempts: number;
};

/**
 * How long a message waits after a failed attempt: twice as long each time, up to a bound. The later half of the wait is
 * random, so that messages which failed together are not all tried again together.
 * @param attempts so far, at least 1
 * @param random at least 0 and less than 1
 * @param leastMs what the other side asks for; no more than the bound
 * @returns milliseconds, or null after the last attempt
 */
export function retryDelayMs(
  attempts: number,
  policy: RetryPolicy,
  random: number,
  leastMs = 0,
): number | null {
  if (attempts >= policy.maxAttempts) return null;
  const longestMs = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** (attempts - 1));
  const usualMs = Math.round((longestMs / 2) * (1 + random));
  return Math.max(usualMs, Math.min(leastMs, policy.maxDelayMs));
}

/** Thrown by a delivery to which no further attempt could help: its message is dead at once. */
export class Undeliverable extends Error {
  override readonly name = 'Undeliverable';
  /** What operators see of it. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Thrown by a delivery whose other side asks for time: the next attempt does not come before that. */
export class RetryLater extends Error {
  override readonly name = 'RetryLater';
  /** What operators see of it. */
  readonly code: string;
  readonly afterMs: number;

  constructor(code: string, afterMs: number) {
    super(`the other side asks for ${afterMs} ms (${code})`);
    this.code = code;
    this.afterMs = afterMs;
  }
}

/**
 * How long a claim lasts, in milliseconds: for the delivery, and for one statement on either side of it, the one that
 * makes the message the replica's own and the one that writes down what became of it.
 */
export function leaseMsOf(deadlineMs: number, databaseDeadlineMs: number): number {
  return deadlineMs + 2 * databaseDeadlineMs;
}

/**
 * What may be kept of an error for operators: its code or its name. Never its message, which may quote an address, a
 * parameter or a token.
 */
export function errorName(error: unknown): string {
  if (!(error instanceof Error)) return 'Error';
  const code = 'code' in error ? error.code : undefined;
  return (
    ([code, error.name].find((name) => typeof name === 'string' && WORD.test(name)) as string | undefined) ??
    'Error'
  );
}

const WORD = /^[\w.-]{1,64}$/;
