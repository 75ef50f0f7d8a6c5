import { type Repetition, repeat } from '../core/repeat.ts';
import type { KeyRotator } from './key-rotator.ts';
import type { KeyService } from './key-service.ts';

/** A replica sees a change by another replica after this time and the time of one query, at most. */
const LOOK_EVERY_MS = 2_000;

/**
 * Keeps this replica's keys up to date with the database, and rotates the keys when that is due.
 * @param onError called when a look fails; the next look follows all the same
 */
export function createKeySchedule(keys: KeyService, rotator: KeyRotator, onError: (error: unknown) => void) {
  let looks: Repetition | undefined;
  let isClosed = false;
  let looking: Promise<void> = Promise.resolve();

  return {
    look,
    /**
     * Looks once, which makes the first key if there is none, and then every two seconds.
     * @throws KeyEncryptionKeyError, AppError `unavailable`: from the first look only
     */
    async start(): Promise<void> {
      await look();
      if (!isClosed) looks = repeat(look, LOOK_EVERY_MS, onError);
    },
    async close(): Promise<void> {
      isClosed = true;
      await looks?.close();
      // A look that a command asked for may still be running.
      await looking;
    },
  };

  /** One at a time: an older answer of the database must not replace a newer one. */
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
