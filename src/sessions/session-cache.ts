import { randomUUID } from 'node:crypto';
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Cache } from '../cache/cache.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { UserClaims } from '../core/user-claims.ts';
import type { SessionRecord } from './session-rules.ts';

const FRESH_MS = 60_000;
/** No copy of a session lives longer than this. */
export const KEEP_MS = 10 * 60_000;
/** A fill that takes longer than this is not written. */
const LEASE_MS = 3_000;
/** Nobody waits for the row of a stale entry again so soon after somebody has waited in vain. */
const REST_MS = 1_000;
/** Longer than any fill can take. */
const TOMBSTONE_MS = 60_000;

/** Short: this is only to spare the database those who ask again and again. */
const ABSENT_MS = 10_000;

const ABSENT = 'absent';
const TOMBSTONE_PREFIX = 'tombstone:';
const LEASE_PREFIX = 'lease:';

const Entry = Type.Object({
  tokenHash: Type.String(),
  freshUntil: Type.Integer(),
  record: Type.Object({
    id: Type.String(),
    userId: Type.String(),
    claims: UserClaims,
    userStatus: Type.Union([Type.Literal('active'), Type.Literal('banned')]),
    createdAt: Type.Integer(),
    lastSeenAt: Type.Integer(),
    expiresAt: Type.Integer(),
    idleExpiresAt: Type.Integer(),
    ended: Type.Boolean(),
    version: Type.Integer(),
  }),
});
type Entry = Static<typeof Entry>;
const entryShape = Compile(Entry);

type SessionCacheParts = {
  cache: Cache;
  /** Reads the truth. Rejects with `unavailable` when it does not answer. */
  load(tokenHash: Buffer): Promise<SessionRecord | null>;
  now: Clock;
};

/** What stood at the key, before anything is read from the database. */
type Seen =
  | { kind: 'unreachable' | 'empty'; text: null }
  | { kind: 'tombstone' | 'leased' | 'absent' | 'garbage'; text: string }
  | { kind: 'entry'; text: string; entry: Entry };

/** A read of the row under way. */
type Read = {
  /** Who sees this at the key may join: no revocation was there since the read began. Undefined: nobody may. */
  joinableBy: string | null | undefined;
  record: Promise<SessionRecord | null>;
};

/** Who may make the database look. */
export type Admission = { read(): Promise<void>; foundNothing(): Promise<void> };

const FREE: Admission = { read: async () => {}, foundNothing: async () => {} };

export type SessionCache = ReturnType<typeof createSessionCache>;

/**
 * Session look-ups through the cache, such that a revoked session never comes back (DESIGN §6).
 *
 * Every write of an entry is a compare-and-set against what its writer saw *before* it read the row: a lease that
 * it put on the empty key itself, or the entry it is about to renew. A revocation overwrites that with a
 * tombstone, so a fill that read the row earlier can no longer be written, however long its process slept, and
 * even when the tombstone has been evicted meanwhile. No two leases or tombstones are alike, so what stands at the
 * key also tells whether a read under way is recent enough to join. No raw token is ever a key or a value.
 */
export function createSessionCache({ cache, load, now }: SessionCacheParts) {
  const reads = new Map<string, Read>();
  let restsUntil = 0;

  return {
    /**
     * The session of a token hash as it stands in the cache or else in the database.
     * @param admit asked before the database is, and told when it knew nothing
     * @throws AppError `unavailable` when neither can tell; what `admit` throws
     */
    async find(tokenHash: Buffer, admit: Admission = FREE): Promise<SessionRecord | null> {
      const id = tokenHash.toString('hex');
      const seen = await look(id);
      if (seen.kind === 'entry' && now() < seen.entry.freshUntil) return seen.entry.record;
      if (seen.kind === 'absent') return null;
      if (seen.kind === 'entry' && now() < restsUntil) return seen.entry.record;
      if (seen.kind !== 'entry') await admit.read();
      try {
        const record = await loadOnce(id, tokenHash, seen);
        if (record === null) await admit.foundNothing();
        return record;
      } catch (error) {
        // Only when the database cannot answer may an entry past its freshness speak for it.
        if (seen.kind === 'entry' && error instanceof AppError && error.code === 'unavailable') {
          restsUntil = now() + REST_MS;
          return seen.entry.record;
        }
        throw error;
      }
    },

    /**
     * Makes every replica read the row again. Call it after the change has been committed.
     * @throws when the cache cannot be reached: an entry there may then serve until it is no longer fresh
     */
    async invalidate(tokenHash: Buffer): Promise<void> {
      const id = tokenHash.toString('hex');
      // Should the cache be out of reach, this replica's look-ups must still not join a read from before the change.
      reads.delete(id);
      await cache.put(keyOf(id), TOMBSTONE_PREFIX + randomUUID(), TOMBSTONE_MS);
    },
  };

  async function look(id: string): Promise<Seen> {
    let text: string | null;
    try {
      text = await cache.get(keyOf(id));
    } catch {
      // For whatever reason: the database is asked then, which has the truth.
      return { kind: 'unreachable', text: null };
    }
    if (text === null) return { kind: 'empty', text };
    if (text.startsWith(TOMBSTONE_PREFIX)) return { kind: 'tombstone', text };
    if (text === ABSENT) return { kind: 'absent', text };
    if (text.startsWith(LEASE_PREFIX)) return { kind: 'leased', text };
    const entry = parseEntry(text, id);
    return entry ? { kind: 'entry', text, entry } : { kind: 'garbage', text };
  }

  /** Many misses on one key become one read. */
  function loadOnce(id: string, tokenHash: Buffer, seen: Seen): Promise<SessionRecord | null> {
    const underWay = reads.get(id);
    if (underWay?.joinableBy === seen.text) return underWay.record;
    const read: Read = { joinableBy: seen.text, record: Promise.resolve(null) };
    reads.set(id, read);
    read.record = loadAndFill(id, tokenHash, seen, read).finally(() => {
      if (reads.get(id) === read) reads.delete(id);
    });
    return read.record;
  }

  async function loadAndFill(
    id: string,
    tokenHash: Buffer,
    seen: Seen,
    read: Read,
  ): Promise<SessionRecord | null> {
    const expected = await claim(id, seen);
    // From here on an empty key may be one whose tombstone was evicted.
    if (seen.kind === 'empty') read.joinableBy = expected ?? undefined;
    const record = await load(tokenHash);
    const isOver = record === null || record.ended;
    if (expected !== null) await (isOver ? fillAbsent(id, expected) : fill(id, expected, record));
    return record;
  }

  /** What must still stand at the key for a fill to be written; null when this read may not fill. */
  async function claim(id: string, seen: Seen): Promise<string | null> {
    if (seen.kind === 'entry' || seen.kind === 'garbage') return seen.text;
    if (seen.kind !== 'empty') return null;
    const lease = LEASE_PREFIX + randomUUID();
    const granted = await cache.putIfAbsent(keyOf(id), lease, LEASE_MS).catch(() => false);
    return granted ? lease : null;
  }

  /**
   * A token without a session never gets one, and an ended one never comes back: both are final. An entry of a
   * session whose end could not be told to the cache goes with it, or it would speak up again when the database is away.
   */
  async function fillAbsent(id: string, expected: string): Promise<void> {
    await cache.replace(keyOf(id), expected, ABSENT, ABSENT_MS).catch(() => false);
  }

  async function fill(id: string, expected: string, record: SessionRecord): Promise<void> {
    // Once the copy says that the session is over, another replica may know of a use that prolonged it.
    const freshUntil = Math.min(now() + FRESH_MS, record.expiresAt, record.idleExpiresAt);
    const entry: Entry = { tokenHash: id, freshUntil, record };
    // A fill that fails costs the next look-up a read, nothing else.
    await cache.replace(keyOf(id), expected, JSON.stringify(entry), KEEP_MS).catch(() => false);
  }
}

function keyOf(id: string): string {
  return `session:${id}`;
}

/** Null for whatever is not an entry of exactly this token: it must not be believed. */
function parseEntry(text: string, id: string): Entry | null {
  try {
    const value: unknown = JSON.parse(text);
    return entryShape.Check(value) && value.tokenHash === id ? value : null;
  } catch {
    return null;
  }
}
