import { channels, tell } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { type Repetition, repeat } from '../core/repeat.ts';
import type { NewAuditEvent } from './audit-event.ts';

/** Also how many are written at once. A flood of guesses must fill neither memory nor the database. */
const MOST_WAITING = 200;
const WRITE_EVERY_MS = 1_000;
const TELL_EVERY_MS = 60_000;

type BackgroundEventsParts = {
  /** Writes all of them, or fails. */
  write(events: NewAuditEvent[]): Promise<void>;
  /** Called at most once a minute, with how many events were lost since the last call. */
  onLost(count: number, error: unknown): void;
  /** This process's own time. */
  now: Clock;
};

export type BackgroundEvents = ReturnType<typeof createBackgroundEvents>;

/**
 * Events that belong to no transaction, such as a sign-in that failed. They are written once a second, after the answer, so
 * that nobody learns by its time what was written. Those that are too many, or that the database does not take, are lost and
 * counted.
 */
export function createBackgroundEvents({ write, onLost, now }: BackgroundEventsParts) {
  let waiting: NewAuditEvent[] = [];
  let writing: Repetition | undefined;
  let lost = { count: 0, error: undefined as unknown, tellAt: Number.NEGATIVE_INFINITY };

  return {
    note(event: NewAuditEvent): void {
      writing ??= repeat(writeWaiting, WRITE_EVERY_MS, () => {});
      if (waiting.length < MOST_WAITING) waiting.push(event);
      else lose(1, new Error(`more than ${MOST_WAITING} in a second`));
    },

    /** Writes what waits. */
    async close(): Promise<void> {
      await writing?.close();
      await writeWaiting();
    },
  };

  /** Never rejects. */
  async function writeWaiting(): Promise<void> {
    const events = waiting;
    waiting = [];
    if (events.length > 0) await write(events).catch((error) => lose(events.length, error));
    if (lost.count === 0 || now() < lost.tellAt) return;
    onLost(lost.count, lost.error);
    lost = { count: 0, error: undefined, tellAt: now() + TELL_EVERY_MS };
  }

  function lose(count: number, error: unknown): void {
    tell(channels.eventsLost, { count });
    lost = { ...lost, count: lost.count + count, error };
  }
}
