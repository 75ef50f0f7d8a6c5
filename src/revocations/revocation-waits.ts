import type { Writable } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import { isEmpty, messageOf } from './feed-message.ts';
import type { RevocationFeed } from './revocation-feed.ts';
import { createSharedParts } from './shared-parts.ts';
import { createThrottle } from './throttle.ts';

/** Who waits is answered at most this often, with all that is new: the next question comes at once. */
const ANSWER_EVERY_MS = 250;

/** One question to the feed that may wait. */
type Question = { after: string | null; waitMs: number; line: Writable };

type Waiting = { wake(): void; isOver: boolean };

export type RevocationWaits = ReturnType<typeof createRevocationWaits>;

/** Answers with a part of the feed, and holds an empty answer back until there is something to say. */
export function createRevocationWaits(feed: Pick<RevocationFeed, 'answer' | 'onAdvance'>, now: Clock) {
  const parts = createSharedParts(feed, (part) => ({ text: messageOf(part), isEmpty: isEmpty(part) }));
  const waiting = new Set<Waiting>();
  let isEnding = false;
  const wakeAll = () => {
    for (const { wake } of waiting) wake();
  };
  const waking = createThrottle(wakeAll, ANSWER_EVERY_MS, now);
  const stopListening = feed.onAdvance(() => {
    parts.clear();
    waking.soon();
  });

  return {
    /**
     * What came after a cursor, as JSON, at the latest after `waitMs`; earlier when the client has gone.
     * @param line the answer that the client waits for
     * @throws AppError `unavailable`
     */
    async answer({ after, waitMs, line }: Question): Promise<string> {
      let woken = Promise.withResolvers<void>();
      // A line that was destroyed says no more that it is closed.
      const asked: Waiting = { wake: () => woken.resolve(), isOver: waitMs === 0 || line.destroyed };
      const giveUp = () => {
        asked.isOver = true;
        asked.wake();
      };
      waiting.add(asked);
      line.once('close', giveUp);
      const timer = setTimeout(giveUp, waitMs);
      try {
        for (;;) {
          const { text, isEmpty } = await parts.after(after);
          if (!isEmpty || asked.isOver || isEnding) return text;
          await woken.promise;
          // Before the feed is asked again: what comes in between must not be missed.
          woken = Promise.withResolvers();
        }
      } finally {
        clearTimeout(timer);
        waiting.delete(asked);
      }
    },

    /** Answers all who wait, and from now on at once. */
    close(): void {
      isEnding = true;
      stopListening();
      waking.stop();
      wakeAll();
    },
  };
}
