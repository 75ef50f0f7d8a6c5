import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { hashOfId } from '../db/revocation-log.ts';
import type { TokenClaims } from '../verifier/token-claims.ts';
import { createLookLoop } from './look-loop.ts';
import type { RevocationKind } from './revocation-part.ts';
import type { RevocationStore } from './revocation-store.ts';
import { createRevocationWindow, type RevocationSlice, type RevocationWindow } from './revocation-window.ts';

/** A part of the feed, as one answer says it. */
export type FeedPart = Omit<RevocationSlice, 'last'> & {
  /** Opaque; to be given back as `after`. */
  cursor: string;
  /** What this continues; null: whoever holds anything must forget it. */
  from: string | null;
  /** Complete up to here: milliseconds since the epoch, by the database's clock. */
  asOf: number;
  /** How long ago that was: never less than in truth, as it is counted from before the look. */
  ageMs: number;
  /** How long an entry must be kept. */
  windowSeconds: number;
  /** The window is larger than its bound, and this is its newest part. */
  overflow: boolean;
};

/** The end of the feed, and how many entries this replica keeps. */
type FeedState = { cursor: string; asOf: number; ageMs: number; entries: number };

/** The claims that revocations are about. A token without `cv` is older than any version. */
type RevocableClaims = Pick<TokenClaims, 'sub' | 'client_id' | 'iat' | 'jti' | 'sid' | 'cv'>;

export type RevocationFeed = {
  /**
   * What came after the cursor, at most 50,000 entries; null: the whole window. `from` is null for a cursor that is
   * unknown, too old, or of a restored backup.
   * @throws AppError `unavailable` when the database does not answer, and nothing was ever read, or the cursor is not of
   *   what was read: an answer might take back what another replica has said
   */
  answer(after: string | null): Promise<FeedPart>;
  /** The end of the feed, for whoever waits for more; null while nothing has been read. */
  state(): FeedState | null;
  /**
   * @param listener called after each look that found something new
   * @returns stops it
   */
  onAdvance(listener: () => void): () => void;
  /** Whether a verified token is void, as far as this replica knows. @param kid of the key that signed it */
  isRevoked(claims: RevocableClaims, kid: string): boolean;
  /** Looks now: something new was committed. */
  hurry(): void;
  /** Looks now if another replica is further. @param head its cursor */
  hear(head: string): void;
  /** Reads the window, and follows the table from now on. Resolves also when the database does not answer. */
  start(): Promise<void>;
  /** Lets the look that is under way end, and begins no other. */
  close(): Promise<void>;
};

type FeedOptions = {
  store: Pick<RevocationStore, 'look' | 'list' | 'number'>;
  windowMs: number;
  /** Added to the database's epoch: hexadecimal, or empty. */
  incarnation?: string;
  /** Of this process alone. */
  now: Clock;
  /** Called when this replica has numbered rows, with the cursor of the new end. */
  announce?(head: string): void;
  /** Called when looks begin to fail for another reason than that the database does not answer. */
  onError?(error: unknown): void;
  mostEntries?: number | undefined;
};

type Held = {
  epoch: string;
  window: RevocationWindow;
  asOf: number;
  /** When the look at the table began, by this process's clock. */
  lookedAt: number;
};

const MOST_IN_ANSWER = 50_000;
const READ_AT_ONCE = 5_000;
const NUMBERED_AT_ONCE = 10_000;

/** The feed of revocations: this replica's window of them, which follows the table. */
export function createRevocationFeed(options: FeedOptions): RevocationFeed {
  const { store, windowMs, incarnation = '', now, announce, onError, mostEntries } = options;
  const loop = createLookLoop({ look: () => look().then(noteSuccess, noteFailure), now });
  const listeners = new Set<() => void>();
  let held: Held | null = null;
  let told = '';
  let isFailing = false;

  const hurry = () => void loop.soon().catch(ignore);

  return {
    async answer(after) {
      if (held === null || (after !== null && isAhead(held, after))) await loop.soon();
      return partAfter(held as Held, after);
    },
    state: () => held && stateOf(held),
    onAdvance(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    isRevoked: (claims, kid) => held !== null && isRevokedIn(held.window, claims, kid),
    hurry,
    hear(head) {
      if (held === null || isAhead(held, head)) hurry();
    },
    start: () => loop.soon().catch(ignore),
    close: loop.close,
  };

  async function look(): Promise<void> {
    const lookedAt = now();
    const table = await store.look();
    const numbered = table.hasUnnumbered ? await numberAll() : 0;
    const epoch = table.epoch + incarnation;
    // The last row is never deleted: a lower head is that of an older state, which was put back in place.
    const isSame = held?.epoch === epoch && table.head >= held.window.head();
    const window = isSame && held ? held.window : createRevocationWindow({ windowMs, mostEntries });
    // If another replica was faster in numbering, the look did not show it yet.
    if (table.hasUnnumbered || table.head > window.head()) await read(window, table.readAt);
    window.expire(table.readAt);
    held = { epoch, window, asOf: table.readAt, lookedAt };
    const head = cursorOf(held, window.head());
    if (numbered > 0) announce?.(head);
    if (head === told) return;
    told = head;
    for (const listener of listeners) listener();
  }

  /** Numbers until none is left of those that the look has seen. */
  async function numberAll(): Promise<number> {
    let all = 0;
    let numbered = NUMBERED_AT_ONCE;
    while (numbered === NUMBERED_AT_ONCE) {
      numbered = await store.number(NUMBERED_AT_ONCE);
      all += numbered;
    }
    return all;
  }

  async function read(window: RevocationWindow, readAt: number): Promise<void> {
    let count = READ_AT_ONCE;
    while (count === READ_AT_ONCE) {
      const rows = await store.list(window.head(), READ_AT_ONCE);
      for (const row of rows) window.add(row);
      window.expire(readAt);
      count = rows.length;
    }
  }

  function partAfter(held: Held, after: string | null): FeedPart {
    const { window } = held;
    const seq = after === null ? null : placeIn(held, after);
    const { last, ...entries } = window.after(seq ?? window.floor(), MOST_IN_ANSWER);
    const { asOf, ageMs } = stateOf(held);
    return {
      asOf,
      ageMs,
      cursor: cursorOf(held, last),
      from: seq === null ? null : after,
      windowSeconds: Math.ceil(windowMs / 1000),
      overflow: window.isOverflowing(held.asOf),
      ...entries,
    };
  }

  function stateOf(held: Held): FeedState {
    return {
      cursor: cursorOf(held, held.window.head()),
      asOf: held.asOf,
      ageMs: now() - held.lookedAt,
      entries: held.window.size(),
    };
  }

  function noteSuccess(): void {
    isFailing = false;
  }

  function noteFailure(error: unknown): never {
    // That the database does not answer is said by others, once.
    const isSaid = isFailing || (error instanceof AppError && error.code === 'unavailable');
    isFailing ||= !isSaid;
    if (!isSaid) onError?.(error);
    throw error;
  }
}

function ignore(): void {}

function cursorOf({ epoch }: Held, seq: number): string {
  return `${epoch}.${seq}`;
}

function parseCursor(cursor: string): { epoch: string; seq: number } {
  const dot = cursor.indexOf('.');
  return { epoch: cursor.slice(0, dot), seq: Number(cursor.slice(dot + 1)) };
}

/** Whether the cursor may be of something that was not read yet: the replica that gave it may be further than this one. */
function isAhead(held: Held, cursor: string): boolean {
  const { epoch, seq } = parseCursor(cursor);
  return epoch !== held.epoch || seq > held.window.head();
}

/** The place in the window from which on it goes on without a gap; null if there is none. */
function placeIn(held: Held, cursor: string): number | null {
  const { seq } = parseCursor(cursor);
  return isAhead(held, cursor) || seq < held.window.floor() ? null : seq;
}

function isRevokedIn(window: RevocationWindow, claims: RevocableClaims, kid: string): boolean {
  if (window.size() === 0) return false;
  const { sub, client_id, iat, jti, sid, cv = 0 } = claims;
  const find = (kind: RevocationKind, id: string) => window.find(kind, hashOfId(id));
  if (window.hasKey(kid)) return true;
  if (find('token', jti) !== undefined) return true;
  // Only a user's token has a session, and only there the subject is a user.
  if (sid !== undefined && (find('session', sid) !== undefined || cv < (find('user', sub) ?? 0))) return true;
  return iat <= (find('client', client_id) ?? -1);
}
