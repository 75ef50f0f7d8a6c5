import type { Clock } from './clock.ts';
import { within } from './deadline.ts';

type Limits = {
  /** How long an answer, or that there was none, is good for. */
  everyMs: number;
  deadlineMs: number;
  /** Of this process alone. */
  now: Clock;
};

/**
 * Asks at most once in `everyMs`, however many want to know: a flood of them would take what others need.
 * @returns the last answer; null if there was none within the deadline
 */
export function remembered<T>(
  ask: () => Promise<T>,
  { everyMs, deadlineMs, now }: Limits,
): () => Promise<T | null> {
  let askedAt = Number.NEGATIVE_INFINITY;
  let answer: Promise<T | null>;
  return () => {
    if (now() - askedAt >= everyMs) {
      askedAt = now();
      answer = within(ask(), deadlineMs, () => new Error('too late')).catch(() => null);
    }
    return answer;
  };
}
