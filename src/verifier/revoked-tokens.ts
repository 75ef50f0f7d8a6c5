import { createHashTable, type HashTable } from './hash-table.ts';
import { HASH_BYTES, InvalidRevocations, type RevocationMessage } from './revocation-message.ts';
import type { TokenClaims } from './token-claims.ts';
import { createTokenHash, type TokenHash } from './token-hash.ts';

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
/** Little enough for ten answers a second; with one, half a million entries are seen to in six minutes. */
const SWEPT_PLACES = 2048;

/** The revoked tokens that are known of. Each entry is kept for the time that its message says, by `steadyNow` in milliseconds. */
export function createRevokedTokens(
  steadyNow: () => number,
  hash = createTokenHash(),
  mostEntries = MAX_ENTRIES,
) {
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
      const questions = questionsOf(held, claims);
      return hash.now ? isAnyVoid(questions, hash.now) : isAnyVoidLater(questions, hash.later);
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

/** Where to look for what. An entry with this value or a higher one voids the token; none counts as 0. */
type Question = { table: HashTable; text: string | undefined; least: number };

function questionsOf({ sessions, tokens, users, clients }: Revocations, claims: TokenClaims): Question[] {
  const { sid, jti, sub, client_id, iat, cv = 0 } = claims;
  return [
    { table: sessions, text: sid, least: 1 },
    { table: tokens, text: jti, least: 1 },
    // The `sub` of a service client's own token is no user; such a token has no session.
    { table: users, text: sid === undefined ? undefined : sub, least: cv + 1 },
    { table: clients, text: client_id, least: Math.max(1, iat) },
  ];
}

function isAnyVoid(questions: Question[], hash: TokenHash['now'] & {}): boolean {
  for (const { table, text, least } of questions) {
    if (table.size() === 0 || text === undefined) continue;
    const { high, low } = hash(text);
    if (table.get(high, low) >= least) return true;
  }
  return false;
}

/** The same, with a turn for each. */
async function isAnyVoidLater(questions: Question[], hash: TokenHash['later']): Promise<boolean> {
  for (const { table, text, least } of questions) {
    if (table.size() === 0 || text === undefined) continue;
    const { high, low } = await hash(text);
    if (table.get(high, low) >= least) return true;
  }
  return false;
}
