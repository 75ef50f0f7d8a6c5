import { type AppError, unavailable } from '../../src/core/errors.ts';
import type { FeedPart, RevocationFeed } from '../../src/revocations/revocation-feed.ts';

/** A feed that a test fills: one session for each number, in parts of at most `most`. */
export function fakeFeed({ most = 50_000 } = {}) {
  const listeners = new Set<() => void>();
  let head = 0;
  let epoch = 'e';
  let asked = 0;
  let failure: AppError | undefined;
  let ageMs = 120;
  const seqOf = (after: string | null) => {
    const [ofEpoch, seq] = after?.split('.') ?? [];
    return ofEpoch === epoch && Number(seq) <= head ? Number(seq) : null;
  };

  const feed: RevocationFeed = {
    async answer(after) {
      asked += 1;
      if (failure !== undefined) throw failure;
      const seq = seqOf(after);
      const last = Math.min(head, (seq ?? 0) + most);
      const sessions = Buffer.alloc((last - (seq ?? 0)) * 8, 1);
      return {
        ...nothing,
        cursor: `${epoch}.${last}`,
        from: seq === null ? null : after,
        ageMs,
        sessions,
        more: last < head,
      };
    },
    state: () =>
      failure === undefined ? { cursor: `${epoch}.${head}`, asOf: nothing.asOf, ageMs, entries: head } : null,
    onAdvance(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    isRevoked: () => false,
    hurry: () => {},
    hear: () => {},
    start: async () => {},
    close: async () => {},
  };

  return {
    feed,
    /** How often it was asked for a part. */
    asked: () => asked,
    listening: () => listeners.size,
    /** Adds entries. */
    advance(entries = 1): void {
      head += entries;
      for (const listener of listeners) listener();
    },
    /** Starts anew, as after a backup was restored. */
    restart(): void {
      epoch = 'f';
      head = 0;
      for (const listener of listeners) listener();
    },
    grow: (ms: number) => {
      ageMs += ms;
    },
    /** It has read nothing, and cannot. */
    fail: () => {
      failure = unavailable(new Error('the database does not answer'));
    },
  };
}

export type FakeFeed = ReturnType<typeof fakeFeed>;

/** A part with nothing in it. */
export const nothing: FeedPart = {
  cursor: 'e.0',
  from: 'e.0',
  asOf: 1_764_212_345_678,
  ageMs: 120,
  windowSeconds: 1920,
  more: false,
  overflow: false,
  sessions: Buffer.alloc(0),
  tokens: Buffer.alloc(0),
  users: [],
  clients: [],
  keys: [],
};
