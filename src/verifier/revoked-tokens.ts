import { createHashTable, type HashTable } from './hash-table.ts';
import { HASH_BYTES, InvalidRevocations, type RevocationMessage } from './revocation-message.ts';
import type { TokenClaims } from './token-claims.ts';
import { createTokenHash, type Hash, type TokenHash } from './token-hash.ts';

/** A message that does not continue what is held. */
export class RevocationMismatch extends InvalidRevocations {
  constructor() {
    super('what does not continue what it sent before');
  }
}

/** What voids a token. The auth server keeps two million entries at most, and these are kept as long again. */
type Revocations = {
  cursor: string | null;
  sessions: HashTable;
  tokens: HashTable;
  users: HashTable;
  clients: HashTable;
  /** `kid` -> the second until which it is kept. */
  keys: Map<string, number>;
};

const MAX_ENTRIES = 4_400_000;
/** Within about this time each place is looked at, whether looks come ten times a second or every two seconds. */
const SWEEP_SECONDS = 300;
/** This takes a third of a millisecond. With a look every two seconds, two million entries are seen to in half an hour. */
const MOST_SWEPT_PLACES = 8192;

/** The revoked tokens that are known of. Each entry is kept for the time that its message says, by `steadyNow` in milliseconds. */
export function createRevokedTokens(
  steadyNow: () => number,
  hash = createTokenHash(),
  mostEntries = MAX_ENTRIES,
) {
  // The clock of the tables has whole seconds from 1 on, whatever the other one begins with.
  const startedAt = steadyNow();
  const seconds = () => 1 + (steadyNow() - startedAt) / 1000;
  let sweptAt = seconds();
  let held = createRevocations();
  /** What the auth server sends to replace `held`, which stays in force until all of it is here. */
  let next: Revocations | null = null;

  return {
    /** What the next message has to continue; null for nothing. */
    cursor: (): string | null => (next ?? held).cursor,

    /**
     * Takes in a message.
     * @throws RevocationMismatch if it does not continue what is held; InvalidRevocations if it is more than can be kept
     */
    take(message: RevocationMessage): void {
      if (message.from === null) next = createRevocations();
      const target = next ?? held;
      if (message.from !== target.cursor) throw new RevocationMismatch();
      add(target, message, Math.ceil(seconds() + message.windowSeconds));
      if (sizeOf(target) > mostEntries) throw new InvalidRevocations(`more than ${mostEntries} entries`);
      target.cursor = message.cursor;
      if (message.more) return;
      held = target;
      next = null;
    },

    /** Lets the next message begin anew. What is held stays in force until then. */
    forgetCursor(): void {
      next = null;
      held.cursor = null;
    },

    /** The keys that are revoked. */
    keys: (): string[] => [...held.keys.keys()],

    /**
     * Whether a token with these claims, signed by the key `kid`, is revoked: at once, if hashing needs no turn of the event
     * loop. Hashes only what it must.
     */
    isRevoked(claims: TokenClaims, kid: string): boolean | Promise<boolean> {
      if (held.keys.has(kid)) return true;
      return hash.now ? isVoid(held, claims, hash.now) : isVoidLater(held, claims, hash.later);
    },

    /** Drops some of the entries whose time is over. To be called now and then. */
    sweep(): void {
      const { sessions, tokens, users, clients, keys } = held;
      const now = seconds();
      const share = (now - sweptAt) / SWEEP_SECONDS;
      sweptAt = now;
      for (const table of [sessions, tokens, users, clients])
        table.sweep(now, Math.min(Math.ceil(share * table.capacity()), MOST_SWEPT_PLACES));
      for (const [kid, until] of keys) if (until <= now) keys.delete(kid);
    },
  };
}

function createRevocations(): Revocations {
  const [sessions, tokens, users, clients] = [
    createHashTable(),
    createHashTable(),
    createHashTable(),
    createHashTable(),
  ];
  return { cursor: null, sessions, tokens, users, clients, keys: new Map() };
}

/** @param until the second until which the entries are kept */
function add(target: Revocations, message: RevocationMessage, until: number): void {
  const { sessions, tokens, users, clients, keys } = target;
  addAll(sessions, message.sessions, until);
  addAll(tokens, message.tokens, until);
  addAll(users, message.users.hashes, until, message.users.values);
  addAll(clients, message.clients.hashes, until, message.clients.values);
  for (const kid of message.keys) keys.set(kid, until);
}

function sizeOf({ sessions, tokens, users, clients, keys }: Revocations): number {
  return sessions.size() + tokens.size() + users.size() + clients.size() + keys.size;
}

function addAll(table: HashTable, hashes: Uint8Array, until: number, values?: number[]): void {
  const words = new DataView(hashes.buffer, hashes.byteOffset, hashes.byteLength);
  for (let at = 0; at < hashes.length; at += HASH_BYTES) {
    const value = values ? Number(values[at / HASH_BYTES]) : 1;
    table.keep(words.getUint32(at), words.getUint32(at + 4), value, until);
  }
}

/** This is called for each token, so it makes no objects of its own. */
function isVoid(
  { sessions, tokens, users, clients }: Revocations,
  { sid, jti, sub, client_id, iat, cv = 0 }: TokenClaims,
  hash: TokenHash['now'] & {},
): boolean {
  return (
    has(sessions, sid, 1, hash) ||
    has(tokens, jti, 1, hash) ||
    // The `sub` of a service client's own token is no user; such a token has no session.
    (sid !== undefined && has(users, sub, cv + 1, hash)) ||
    has(clients, client_id, Math.max(1, iat), hash)
  );
}

/** Whether the entry of this text has the value `least` or a higher one. */
function has(
  table: HashTable,
  text: string | undefined,
  least: number,
  hash: TokenHash['now'] & {},
): boolean {
  if (table.size() === 0 || text === undefined) return false;
  const { high, low } = hash(text);
  return table.get(high, low) >= least;
}

/** The same where hashing takes a turn: asked again with one hash more, until it needs no other. */
async function isVoidLater(
  held: Revocations,
  claims: TokenClaims,
  hash: TokenHash['later'],
): Promise<boolean> {
  const hashes = new Map<string, Hash>();
  for (;;) {
    const missing: string[] = [];
    const isKnownVoid = isVoid(held, claims, (text) => {
      const known = hashes.get(text);
      if (known === undefined) missing.push(text);
      return known ?? NOT_YET;
    });
    const [next] = missing;
    if (next === undefined) return isKnownVoid;
    hashes.set(next, await hash(next));
  }
}

const NOT_YET: Hash = { high: 0, low: 0 };
