import type { Writable } from 'node:stream';
import { isEmpty } from './feed-message.ts';
import type { FeedPart, RevocationFeed } from './revocation-feed.ts';

/** One question to the feed that may wait. */
type Question = { after: string | null; waitMs: number; line: Writable };

export type RevocationWaits = ReturnType<typeof createRevocationWaits>;

/** Answers with a part of the feed, and holds an empty answer back until there is something to say. */
export function createRevocationWaits(feed: Pick<RevocationFeed, 'answer' | 'onAdvance'>) {
  const waiting = new Set<() => void>();
  let isEnding = false;
  const wakeAll = () => {
    for (const wake of waiting) wake();
  };
  const stopListening = feed.onAdvance(wakeAll);

  return {
    /**
     * What came after a cursor, at the latest after `waitMs`; earlier when the client has gone.
     * @param line the answer that the client waits for
     * @throws AppError `unavailable`
     */
    async answer({ after, waitMs, line }: Question): Promise<FeedPart> {
      const { promise: woken, resolve: wake } = Promise.withResolvers<void>();
      // Before the feed is asked: what comes in between must not be missed.
      waiting.add(wake);
      try {
        const part = await feed.answer(after);
        // A line that was destroyed says no more that it is closed.
        if (waitMs === 0 || isEnding || line.destroyed || !isEmpty(part)) return part;
        const timer = setTimeout(wake, waitMs);
        line.once('close', wake);
        await woken.finally(() => clearTimeout(timer));
        return await feed.answer(after);
      } finally {
        waiting.delete(wake);
      }
    },

    /** Answers all who wait, and from now on at once. */
    close(): void {
      isEnding = true;
      stopListening();
      wakeAll();
    },
  };
}
