import { type Repetition, repeat } from '../core/repeat.ts';
import type { KeyRotator } from './key-rotator.ts';
import type { KeyService } from './key-service.ts';

/** A replica learns of what another one did to the keys within this time and the time of one query. */
const LOOK_EVERY_MS = 2_000;

/**
 * Keeps this replica's keys as the database has them, and does what rotation asks for.
 * @param onError hears of a look that failed; the next one follows as if it had not
 */
export function createKeySchedule(keys: KeyService, rotator: KeyRotator, onError: (error: unknown) => void) {
  let looks: Repetition | undefined;
  let isClosed = false;
  let looking: Promise<void> = Promise.resolve();

  return {
    look,
    /**
     * Looks once, which makes the first key where there is none, and from then on every two seconds.
     * @throws KeyEncryptionKeyError, AppError `unavailable`: of the first look only
     */
    async start(): Promise<void> {
      await look();
      if (!isClosed) looks = repeat(look, LOOK_EVERY_MS, onError);
    },
    async close(): Promise<void> {
      isClosed = true;
      await looks?.close();
      // One that a command asked for may be under way still.
      await looking;
    },
  };

  /** One at a time: an answer from before must not undo what a later one has shown. */
  function look(): Promise<void> {
    const mine = looking.then(lookOnce);
    looking = mine.catch(() => {});
    return mine;
  }

  async function lookOnce(): Promise<void> {
    const ring = await keys.refresh();
    if (await rotator.rotateIfDue(ring)) await keys.refresh();
  }
}
