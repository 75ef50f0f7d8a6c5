import { randomUUID } from 'node:crypto';
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Cache } from '../cache/cache.ts';
import type { Binding, CacheSeal } from '../cache/cache-seal.ts';
import { channels, type LookUpResult, outcomeOf, tell } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { within } from '../core/deadline.ts';
import { unavailable } from '../core/errors.ts';
import { UserClaims } from '../core/user-claims.ts';
import type { SessionRecord } from './session-rules.ts';

export const FRESH_MS = 60_000;
/** No copy of a session lives longer than this. */
export const KEEP_MS = 10 * 60_000;
/** A fill that takes longer than this is not written. */
const LEASE_MS = 3_000;
/** After the database has failed to answer, stale entries are used for this time without another try. */
const REST_MS = 1_000;
/** How long a sign-in waits for its session to be in the cache. */
const WARM_WITHIN_MS = 100;
/** Longer than any fill can take. */
const TOMBSTONE_MS = 60_000;

/** Short: it only saves the database from a client that asks again and again. */
const ABSENT_MS = 10_000;

const TOMBSTONE_PREFIX = 'tombstone:';
const LEASE_PREFIX = 'lease:';

const Entry = Type.Object({
  /** The seal cannot show whether an attacker has put back an old entry. */
  writtenAt: Type.Integer(),
  /** Null when there was no session, or it was over. */
  record: Type.Union([
    Type.Null(),
    Type.Object({
      id: Type.String(),
      userId: Type.String(),
      claims: UserClaims,
      userStatus: Type.Union([Type.Literal('active'), Type.Literal('banned')]),
      createdAt: Type.Integer(),
      // Missing in entries of the release before, whose replicas may run beside this one.
      authenticatedAt: Type.Optional(Type.Integer()),
      amr: Type.Optional(Type.Array(Type.String())),
      acr: Type.Optional(Type.Union([Type.String(), Type.Null()])),
      lastSeenAt: Type.Integer(),
      expiresAt: Type.Integer(),
      idleExpiresAt: Type.Integer(),
      ended: Type.Boolean(),
      version: Type.Integer(),
    }),
  ]),
});
type Entry = Static<typeof Entry>;
type CachedRecord = NonNullable<Entry['record']>;
const entryShape = Compile(Entry);

type SessionCacheParts = {
  cache: Cache;
  seal: CacheSeal;
  /** Reads the row. Rejects with `unavailable` when the database does not answer. */
  load(tokenHash: Buffer): Promise<SessionRecord | null>;
  now: Clock;
};

/** What the cache had at the key before the database is read. */
type Seen =
  | { kind: 'unreachable' | 'empty'; text: null }
  | { kind: 'tombstone' | 'leased' | 'absent' | 'garbage'; text: string }
  | { kind: 'entry'; text: string; record: SessionRecord; freshUntil: number };

/** A running read of the row. */
type Read = {
  /** A look-up that finds this at the key may join: no revocation came since the read began. Undefined: none may. */
  joinableBy: string | null | undefined;
  record: Promise<SessionRecord | null>;
};

/** Runs a look-up in the database, or throws instead. */
export type Admission = (lookUp: () => Promise<SessionRecord | null>) => Promise<SessionRecord | null>;

const FREE: Admission = (lookUp) => lookUp();

export type SessionCache = ReturnType<typeof createSessionCache>;

/**
 * Session look-ups through the cache. A revoked session never comes back (docs/architecture.md).
 *
 * Every write of an entry is a compare-and-set against the value that its writer saw *before* it read the row: its own
 * lease on the empty key, or the entry that it renews. A revocation overwrites that value with a tombstone, so a fill
 * that read the row earlier can no longer be written, even if its process slept for long, and even if the tombstone has
 * been evicted. Every lease and every tombstone is unique, so the value at the key also shows whether a running read
 * is recent enough to join. A raw token is never a key or a value, and an entry that does not open is a miss.
 */
export function createSessionCache({ cache, seal, load, now }: SessionCacheParts) {
  const reads = new Map<string, Read>();
  let restsUntil = 0;

  return {
    /**
     * Finds the session of a token hash in the cache, otherwise in the database.
     * @param admit runs a look-up in the database for a token that the cache does not know
     * @throws AppError `unavailable` when neither answers; what `admit` throws
     */
    async find(tokenHash: Buffer, admit: Admission = FREE): Promise<SessionRecord | null> {
      const id = tokenHash.toString('hex');
      const seen = await look(id);
      if (seen.kind === 'entry' && now() < seen.freshUntil) return telling('hit', seen.record);
      if (seen.kind === 'absent') return telling('absent', null);
      if (seen.kind === 'entry' && now() < restsUntil) return telling('stale', seen.record);
      try {
        if (seen.kind === 'entry') return found('renewed', await loadOnce(id, tokenHash, seen));
        return found('miss', await admit(() => loadOnce(id, tokenHash, seen)));
      } catch (error) {
        // An entry that is no longer fresh may be used only when the database does not answer.
        if (seen.kind !== 'entry' || !isUnavailable(error)) throw toldFailure(error);
        restsUntil = now() + REST_MS;
        return telling('stale', seen.record);
      }
    },

    /** Whether the cache has an entry of this token, fresh or not. */
    async knows(tokenHash: Buffer): Promise<boolean> {
      return (await look(tokenHash.toString('hex'))).kind === 'entry';
    },

    /**
     * Fills the cache for a session that has just been committed, as a miss would. Never rejects, and takes no longer
     * than a command to the cache may: a sign-in waits for it.
     */
    async warm(tokenHash: Buffer): Promise<void> {
      const id = tokenHash.toString('hex');
      const filled = loadOnce(id, tokenHash, { kind: 'empty', text: null });
      await within(filled, WARM_WITHIN_MS, () => unavailable(undefined)).catch(() => {});
    },

    /**
     * Makes every replica read the row again. Call it after the change has been committed.
     *
     * A full cache takes no tombstone, but it still deletes, which is as good: a fill that began before finds neither its
     * lease nor the entry that it renews, and is not written.
     * @throws when the cache cannot be reached: an entry there may then serve until it is no longer fresh
     */
    async invalidate(tokenHash: Buffer): Promise<void> {
      const id = tokenHash.toString('hex');
      // Even if the cache cannot be reached, look-ups of this replica must not join a read from before the change.
      reads.delete(id);
      const tombstone = TOMBSTONE_PREFIX + randomUUID();
      await cache.put(keyOf(id), tombstone, TOMBSTONE_MS).catch(() => cache.remove(keyOf(id)));
    },
  };

  async function look(id: string): Promise<Seen> {
    let text: string | null;
    try {
      text = await cache.get(keyOf(id));
    } catch {
      // After any error the row in the database decides.
      return { kind: 'unreachable', text: null };
    }
    if (text === null) return { kind: 'empty', text };
    if (text.startsWith(TOMBSTONE_PREFIX)) return { kind: 'tombstone', text };
    if (text.startsWith(LEASE_PREFIX)) return { kind: 'leased', text };
    return judge(text, openEntry(id, text));
  }

  /** Null if the text is not an entry of exactly this token: then it must not be believed. */
  function openEntry(id: string, text: string): Entry | null {
    const opened = seal.open(bindingOf(id), text);
    const value: unknown = opened === null ? null : JSON.parse(opened);
    return entryShape.Check(value) ? value : null;
  }

  function judge(text: string, entry: Entry | null): Seen {
    if (entry === null) return { kind: 'garbage', text };
    const { writtenAt } = entry;
    const record = entry.record && complete(entry.record);
    // The cache forgets by itself. An entry that is older has been put back.
    if (now() >= writtenAt + (record ? KEEP_MS : ABSENT_MS)) return { kind: 'garbage', text };
    if (record === null) return { kind: 'absent', text };
    // Not fresh after the expiry in the copy: a use at another replica may have prolonged the session.
    const freshUntil = Math.min(writtenAt + FRESH_MS, record.expiresAt, record.idleExpiresAt);
    // Nor is one of the release before, whose tokens would lack their claims version: services may take them for void.
    return { kind: 'entry', text, record, freshUntil: record.claims.cv === undefined ? 0 : freshUntil };
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
    // From now on the key may be empty because a tombstone was evicted.
    if (seen.kind === 'empty') read.joinableBy = expected ?? undefined;
    const record = await load(tokenHash);
    if (expected !== null) await fill(id, expected, record?.ended ? null : record);
    return record;
  }

  /** The value that must still be at the key when a fill is written; null if this read may not fill. */
  async function claim(id: string, seen: Seen): Promise<string | null> {
    if (seen.kind === 'entry' || seen.kind === 'garbage') return seen.text;
    if (seen.kind !== 'empty') return null;
    const lease = LEASE_PREFIX + randomUUID();
    const granted = await cache.putIfAbsent(keyOf(id), lease, LEASE_MS).catch(() => false);
    return granted ? lease : null;
  }

  /**
   * A token without a session never gets one, and an ended session stays ended: both are final, and null. This also
   * replaces the entry of a session whose tombstone could not be written: otherwise it would be used again when the
   * database is down.
   */
  async function fill(id: string, expected: string, record: SessionRecord | null): Promise<void> {
    const entry: Entry = { writtenAt: now(), record };
    const sealed = seal.seal(bindingOf(id), JSON.stringify(entry));
    // If a fill fails, the next look-up reads the row again, nothing worse.
    await cache.replace(keyOf(id), expected, sealed, record ? KEEP_MS : ABSENT_MS).catch(() => false);
  }
}

/** How the users of the release before signed in. */
function complete({ authenticatedAt, amr, acr, ...rest }: CachedRecord): SessionRecord {
  return {
    ...rest,
    authenticatedAt: authenticatedAt ?? rest.createdAt,
    amr: amr ?? ['pwd'],
    acr: acr ?? null,
  };
}

/** For metrics. The usual result by far is a hit: no message is made unless there is a subscriber. @returns the record */
function telling<Found extends SessionRecord | null>(result: LookUpResult, record: Found): Found {
  if (channels.sessionLookUp.hasSubscribers) channels.sessionLookUp.publish({ result });
  return record;
}

function found(result: LookUpResult, record: SessionRecord | null): SessionRecord | null {
  return telling(record === null ? 'unknown' : result, record);
}

function toldFailure(error: unknown): unknown {
  tell(channels.sessionLookUp, { result: outcomeOf(error) === 'rate_limited' ? 'refused' : 'error' });
  return error;
}

function isUnavailable(error: unknown): boolean {
  return outcomeOf(error) === 'unavailable';
}

function keyOf(id: string): string {
  return `session:${id}`;
}

function bindingOf(id: string): Binding {
  return { kind: 'session', id };
}
