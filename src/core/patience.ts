import { setTimeout as delay } from 'node:timers/promises';

const LONGEST_WAIT_MS = 2_000;

export type Patience = {
  /** When to give up, by `performance.now()`. */
  giveUpAt: number;
  /** The wait before the second attempt; each one after that is twice as long, up to two seconds. Less by chance. */
  firstWaitMs: number;
  /** Whether another attempt may go well. */
  mayPass(error: unknown): boolean;
  /** Called before each wait. */
  onWait(error: unknown): void;
  /** Ends the waiting early. */
  ended?: AbortSignal | undefined;
};

/**
 * Tries again and again until an attempt goes well.
 * @param longestMs the wait before the next attempt, at most
 * @throws what the last attempt threw, when time is up, the waiting was ended, or it cannot pass
 */
export async function patiently<T>(
  attempt: () => Promise<T>,
  patience: Patience,
  longestMs = patience.firstWaitMs,
): Promise<T> {
  const { giveUpAt, ended } = patience;
  try {
    return await attempt();
  } catch (error) {
    if (performance.now() >= giveUpAt || ended?.aborted || !patience.mayPass(error)) throw error;
    patience.onWait(error);
    // Replicas that started together do not all come back at one moment.
    const waitMs = longestMs * (0.5 + Math.random() / 2);
    // A timer may end a millisecond early, and the attempt after that would not be the last.
    const leftMs = Math.max(0, Math.ceil(giveUpAt - performance.now()) + 1);
    await delay(Math.min(waitMs, leftMs), undefined, { signal: ended }).catch(() => {
      throw error;
    });
  }
  return patiently(attempt, patience, Math.min(longestMs * 2, LONGEST_WAIT_MS));
}
