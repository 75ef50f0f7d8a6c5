import { createHashTable, type HashTable } from './hash-table.ts';
import { HASH_BYTES, InvalidRevocations, type RevocationMessage } from './revocation-message.ts';
import type { TokenClaims } from './token-claims.ts';
import { createTokenHash } from './token-hash.ts';

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
/** A tenth of a millisecond, and with an answer a second half a million entries are seen to in two minutes. */
const SWEPT_PLACES = 8192;

/** The revoked tokens that are known of. Each entry is kept for the time that its message says, by `steadyNow` in milliseconds. */
export function createRevokedTokens(steadyNow: () => number, hash = createTokenHash()) {
  // The clock of the tables has whole seconds from 1 on, whatever the other one begins with.
  const startedAt = steadyNow();
  const seconds = () => 1 + (steadyNow() - startedAt) / 1000;
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

    /** Whether a token with these claims, signed by the key `kid`, is revoked. Hashes only what it must. */
    async isRevoked(claims: TokenClaims, kid: string): Promise<boolean> {
      if (held.keys.has(kid)) return true;
      for (const [table, text, least] of questionsOf(held, claims)) {
        if (table.size() === 0 || text === undefined) continue;
        const hashed = hash(text);
        // Without a turn for each of them where that can be.
        const { high, low } = hashed instanceof Promise ? await hashed : hashed;
        if (table.get(high, low) >= least) return true;
      }
      return false;
    },

    /** Drops some of the entries whose time is over. To be called now and then. */
    sweep(): void {
      const { sessions, tokens, users, clients, keys } = held;
      const now = Math.floor(seconds());
      for (const table of [sessions, tokens, users, clients]) table.sweep(now, SWEPT_PLACES);
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
  const entries = sessions.size() + tokens.size() + users.size() + clients.size() + keys.size;
  if (entries > MAX_ENTRIES) throw new InvalidRevocations(`more than ${MAX_ENTRIES} entries`);
}

function addAll(table: HashTable, hashes: Uint8Array, until: number, values?: number[]): void {
  const words = new DataView(hashes.buffer, hashes.byteOffset, hashes.byteLength);
  for (let at = 0; at < hashes.length; at += HASH_BYTES) {
    const value = values ? Number(values[at / HASH_BYTES]) : 1;
    table.keep(words.getUint32(at), words.getUint32(at + 4), value, until);
  }
}

type Question = [table: HashTable, text: string | undefined, least: number];

/** Where to look for what, and from which value on an entry voids the token. No entry counts as 0. */
function questionsOf({ sessions, tokens, users, clients }: Revocations, claims: TokenClaims): Question[] {
  const { sid, jti, sub, client_id, iat, cv = 0 } = claims;
  // The `sub` of a service client's own token is no user; such a token has no session.
  const user = sid === undefined ? undefined : sub;
  return [
    [sessions, sid, 1],
    [tokens, jti, 1],
    [users, user, cv + 1],
    [clients, client_id, Math.max(1, iat)],
  ];
}
