export const FLUSH_EVERY_MS = 5_000;
export const SEEN_AT_ONCE = 500;
/** The most in one interval. Others are dropped: they are noted again at their next use. */
const MAX_PENDING = 50_000;

export type LastSeen = ReturnType<typeof createLastSeen>;

/**
 * Collects the sessions that were used and writes them in batches, off the request's path.
 * @param write marks the sessions with these ids as used just now
 * @param onError called when a batch could not be written; the batch is dropped, not retried
 */
export function createLastSeen(
  write: (sessionIds: string[]) => Promise<void>,
  onError: (error: unknown) => void,
) {
  const pending = new Set<string>();
  let writing = Promise.resolve();
  const timer = setInterval(flush, FLUSH_EVERY_MS).unref();

  return {
    note(sessionId: string): void {
      if (pending.size < MAX_PENDING) pending.add(sessionId);
    },
    flush,
    /** Writes what is left and stops. */
    async close(): Promise<void> {
      clearInterval(timer);
      await flush();
    },
  };

  /** One after the other, so that waiting for the last one means waiting for all. */
  function flush(): Promise<void> {
    writing = writing.then(writePending);
    return writing;
  }

  async function writePending(): Promise<void> {
    const ids = [...pending];
    pending.clear();
    try {
      for (let at = 0; at < ids.length; at += SEEN_AT_ONCE) await write(ids.slice(at, at + SEEN_AT_ONCE));
    } catch (error) {
      onError(error);
    }
  }
}
