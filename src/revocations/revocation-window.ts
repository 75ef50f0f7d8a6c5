import {
  createRevocationPart,
  type Revocation,
  type RevocationKind,
  type RevocationPart,
} from './revocation-part.ts';

/** Entries of the feed in its order, sorted by what they are about. */
export type RevocationSlice = {
  /** n × 8 bytes: the hashes. */
  sessions: Buffer;
  tokens: Buffer;
  /** Hashes with the least valid claims version. */
  users: [Buffer, number][];
  /** Hashes with the second up to which their tokens are void. */
  clients: [Buffer, number][];
  /** `kid`s. */
  keys: string[];
  /** The place of the last entry. */
  last: number;
  /** Whether there are entries after the last one. */
  more: boolean;
};

export type RevocationWindow = ReturnType<typeof createRevocationWindow>;

type WindowLimits = {
  /** How long an entry is needed. */
  windowMs: number;
  /** Beyond it, the oldest entries go before their time. */
  mostEntries?: number | undefined;
};

const MOST_ENTRIES = 2_000_000;
/** A part ends after this share of the window, so that few entries stay for longer than they are needed. */
const PARTS_IN_WINDOW = 8;

/**
 * What was revoked within the window, in the order of the feed, and found by its hash. Entries leave in whole parts.
 * Times are milliseconds since the epoch, by the database's clock.
 */
export function createRevocationWindow({ windowMs, mostEntries = MOST_ENTRIES }: WindowLimits) {
  const parts: RevocationPart[] = [];
  /** With the place of the last entry of each. */
  const keys = new Map<string, number>();
  let size = 0;
  let head = 0;
  let floor = 0;
  let overflowsUntil = 0;

  return {
    size: () => size,
    /** The place of the last entry that was added; 0 if there was none. */
    head: () => head,
    /** The place after which nothing is missing. */
    floor: () => floor,
    /** Whether entries are missing that others would still need. */
    isOverflowing: (now: number): boolean => now < overflowsUntil,

    /** Adds an entry, which must come after all others. */
    add(revocation: Revocation): void {
      // What came before the very first one has left the database.
      if (head === 0) floor = revocation.seq - 1;
      partFor(revocation).add(revocation);
      head = revocation.seq;
      size += 1;
      if (revocation.kind === 'key') keys.set(revocation.subject.toString(), head);
      while (size > mostEntries) overflowsUntil = Math.max(overflowsUntil, dropFirst() + windowMs);
    },

    /** Drops the parts that have become too old as a whole. */
    expire(now: number): void {
      while (parts[0] && parts[0].newestAt() + windowMs < now) dropFirst();
    },

    /** What came after a place in the feed, at most `limit` entries. */
    after(seq: number, limit: number): RevocationSlice {
      const slice = createSlice(Math.min(limit, size), Math.max(seq, floor));
      for (const part of parts) {
        if (part.lastSeq() > seq) slice.take(part, part.countUpTo(seq));
      }
      return slice.end(head);
    },

    /** The value of an entry of this kind, the highest if there are several; undefined if there is none. */
    find(kind: RevocationKind, hash: Buffer): number | undefined {
      let highest: number | undefined;
      for (const part of parts) {
        const value = part.find(kind, hash);
        if (value !== undefined) highest = Math.max(value, highest ?? 0);
      }
      return highest;
    },

    hasKey: (kid: string): boolean => keys.has(kid),
  };

  function partFor(revocation: Revocation): RevocationPart {
    const open = parts.at(-1);
    if (open?.takes(revocation, windowMs / PARTS_IN_WINDOW)) return open;
    open?.close();
    const part = createRevocationPart(revocation);
    parts.push(part);
    return part;
  }

  /** @returns the time of its newest entry */
  function dropFirst(): number {
    const part = parts.shift() as RevocationPart;
    size -= part.count();
    floor = part.lastSeq();
    for (const kid of part.kids) if (Number(keys.get(kid)) <= floor) keys.delete(kid);
    return part.newestAt();
  }
}

/** Collects at most `limit` entries. */
function createSlice(limit: number, after: number) {
  const sessions = Buffer.allocUnsafe(8 * limit);
  const tokens = Buffer.allocUnsafe(8 * limit);
  const users: [Buffer, number][] = [];
  const clients: [Buffer, number][] = [];
  const keys: string[] = [];
  const bytes = { session: 0, token: 0 };
  let room = limit;
  let last = after;

  return {
    /** Takes the entries of a part from one number on, as long as there is room. */
    take(part: RevocationPart, from: number): void {
      const to = Math.min(part.count(), from + room);
      if (from === to) return;
      part.visit(from, to, (kind, hash, value, kid) => {
        if (kind === 'session') bytes.session += hash.copy(sessions, bytes.session);
        else if (kind === 'token') bytes.token += hash.copy(tokens, bytes.token);
        else if (kind === 'user') users.push([Buffer.from(hash), value]);
        else if (kind === 'client') clients.push([Buffer.from(hash), value]);
        else keys.push(kid);
      });
      room -= to - from;
      last = part.seqOf(to - 1);
    },

    end(head: number): RevocationSlice {
      return {
        sessions: sessions.subarray(0, bytes.session),
        tokens: tokens.subarray(0, bytes.token),
        users,
        clients,
        keys,
        last,
        more: last < head,
      };
    },
  };
}
