import { AsyncLocalStorage } from 'node:async_hooks';
import type { Clock } from '../core/clock.ts';
import { unavailable } from '../core/errors.ts';

type LoopOptions = {
  /** One after the other; the next one follows whatever became of the last. */
  look(): Promise<void>;
  /** Of this process alone. */
  now: Clock;
  /** From 0 to 1: replicas must not all look at the same moments. */
  random?: () => number;
};

const EVERY_MS = { least: 200, most: 300 };
/** From the beginning of a look to that of the next one, however many ask. */
const LEAST_PAUSE_MS = 50;

/** Looks again and again, and sooner when asked. The first call begins it. Its timers do not keep the process alive. */
export function createLookLoop({ look, now, random = Math.random }: LoopOptions) {
  // Whoever asks for a look is within a request; the looks after that are no part of it.
  const apart = AsyncLocalStorage.snapshot();
  let waiting: PromiseWithResolvers<void> | null = null;
  let running: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let beganAt = Number.NEGATIVE_INFINITY;
  let isClosed = false;

  return {
    /**
     * Resolves when a look that begins after this call has ended well.
     * @throws what the look throws; AppError `unavailable` once the loop is closed
     */
    soon(): Promise<void> {
      if (isClosed) return Promise.reject(unavailable(new Error('the server is closing')));
      if (waiting === null) {
        waiting = Promise.withResolvers<void>();
        if (running === null) schedule();
      }
      return waiting.promise;
    },

    /** Waits for the look that is under way, and begins no other. */
    async close(): Promise<void> {
      isClosed = true;
      clearTimeout(timer);
      waiting?.reject(unavailable(new Error('the server is closing')));
      await running;
    },
  };

  function schedule(): void {
    if (isClosed) return;
    const { least, most } = EVERY_MS;
    const delayMs = waiting
      ? Math.max(0, beganAt + LEAST_PAUSE_MS - now())
      : least + (most - least) * random();
    clearTimeout(timer);
    timer = apart(() => setTimeout(run, delayMs).unref());
  }

  function run(): void {
    const asked = waiting;
    waiting = null;
    beganAt = now();
    running = look()
      .then(
        () => asked?.resolve(),
        (error: unknown) => asked?.reject(error),
      )
      .finally(() => {
        running = null;
        schedule();
      });
  }
}
