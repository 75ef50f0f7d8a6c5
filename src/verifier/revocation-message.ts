import { base64url } from 'jose';
import { UnusableAnswer } from './fetch-document.ts';

/** Up to when the auth server's knowledge is complete (`as_of`, on its database's clock), and how old that was when it was sent. */
export type Completeness = { asOfMs: number; ageMs: number };

/** What the feed tells: see docs/revocations.md. Hashes are 8 bytes each, one after the other. */
export type RevocationMessage = Completeness & {
  cursor: string;
  /** What this continues; null: it begins anew. */
  from: string | null;
  windowSeconds: number;
  /** There is more after this. */
  more: boolean;
  /** There are more entries than the server keeps, and these are only the latest. */
  overflow: boolean;
  sessions: Uint8Array;
  tokens: Uint8Array;
  /** Values are the least valid versions of the claims. */
  users: HashedValues;
  /** Values are seconds since the epoch. */
  clients: HashedValues;
  keys: string[];
};

type HashedValues = { hashes: Uint8Array; values: number[] };

/** An answer of the feed that is not as it must be, or is larger than it may be. Nothing of it is used. */
export class InvalidRevocations extends UnusableAnswer {
  constructor(what: string) {
    super('content', `sends ${what}`);
  }
}

export const HASH_BYTES = 8;
const HASH_CHARACTERS = 11;
const CURSOR = /^[\w-]+\.\d+$/;
const MAX_CURSOR_LENGTH = 64;
const MAX_WINDOW_SECONDS = 7 * 86_400;
const MAX_VERSION = 2 ** 31;
/** Values are kept in 32 bits. */
const MAX_SECONDS = 2 ** 32 - 1;
const DAY_SECONDS = 86_400;
const MAX_KEYS = 1000;
const KID = /^[\x21-\x7e]{1,256}$/;

type Members = Record<string, unknown>;

/** Reads the JSON of a message. @throws InvalidRevocations for anything that is not exactly as it must be */
export function readMessage(text: string): RevocationMessage {
  const members = parseObject(text);
  const completeness = completenessOf(members);
  const message = {
    ...completeness,
    cursor: cursorOf(members.cursor, 'cursor'),
    from: members.from === null ? null : cursorOf(members.from, 'from'),
    windowSeconds: integerOf(members.window, 'window', MAX_WINDOW_SECONDS),
    more: flagOf(members.more, 'more'),
    overflow: flagOf(members.overflow, 'overflow'),
    sessions: hashesOf(members.sessions, 'sessions'),
    tokens: hashesOf(members.tokens, 'tokens'),
    users: pairsOf(members.users, 'users', MAX_VERSION),
    clients: pairsOf(members.clients, 'clients', latestSeconds(completeness)),
    keys: keysOf(members.keys),
  };
  // Otherwise a server could keep this service asking for the next page for ever.
  if (message.more && entriesIn(message) === 0)
    throw new InvalidRevocations('an empty page, and says "more"');
  return message;
}

/** Reads the JSON of a beat. @throws InvalidRevocations */
export function readBeat(text: string): Completeness {
  return completenessOf(parseObject(text));
}

/** How many revocations a message tells of. */
export function entriesIn({ sessions, tokens, users, clients, keys }: RevocationMessage): number {
  const hashed = (sessions.length + tokens.length) / HASH_BYTES;
  return hashed + users.values.length + clients.values.length + keys.length;
}

function parseObject(text: string): Members {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidRevocations('something that is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidRevocations('something that is not a JSON object');
  return value as Members;
}

function completenessOf({ as_of, age }: Members): Completeness {
  const asOfMs = integerOf(as_of, 'as_of', Number.MAX_SAFE_INTEGER);
  if (typeof age === 'number' && Number.isFinite(age) && age >= 0) return { asOfMs, ageMs: age * 1000 };
  throw invalid('age');
}

function cursorOf(value: unknown, member: string): string {
  if (typeof value === 'string' && value.length <= MAX_CURSOR_LENGTH && CURSOR.test(value)) return value;
  throw invalid(member);
}

/** From 1 on. */
function integerOf(value: unknown, member: string, most: number): number {
  if (Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= most) return Number(value);
  throw invalid(member);
}

function flagOf(value: unknown, member: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true;
  throw invalid(member);
}

/** A client is disabled now, or was within the window: a time in the future would refuse tokens that are still to be issued. */
function latestSeconds({ asOfMs }: Completeness): number {
  return Math.min(Math.floor(asOfMs / 1000) + DAY_SECONDS, MAX_SECONDS);
}

function hashesOf(value: unknown, member: string): Uint8Array {
  const bytes = typeof value === 'string' ? decode(value) : null;
  if (bytes === null || bytes.length % HASH_BYTES !== 0) throw invalid(member);
  return bytes;
}

function pairsOf(value: unknown, member: string, most: number): HashedValues {
  if (!Array.isArray(value)) throw invalid(member);
  const hashes = new Uint8Array(value.length * HASH_BYTES);
  const values = value.map((pair: unknown, index) => {
    if (!Array.isArray(pair) || pair.length !== 2) throw invalid(member);
    const [hash, number] = pair as unknown[];
    if (typeof hash !== 'string' || hash.length !== HASH_CHARACTERS) throw invalid(member);
    hashes.set(hashesOf(hash, member), index * HASH_BYTES);
    return integerOf(number, member, most);
  });
  return { hashes, values };
}

function keysOf(value: unknown): string[] {
  const isValid =
    Array.isArray(value) &&
    value.length <= MAX_KEYS &&
    value.every((kid) => KID.test(kid) && `${kid}` === kid);
  if (!isValid) throw invalid('keys');
  return value;
}

function invalid(member: string): InvalidRevocations {
  return new InvalidRevocations(`a message whose ${member} is not valid`);
}

/** The bytes of base64url without padding (RFC 4648 §5); null for a text that no encoder makes, some of which jose accepts. */
function decode(text: string): Uint8Array | null {
  try {
    const bytes = base64url.decode(text);
    return base64url.encode(bytes) === text ? bytes : null;
  } catch {
    return null;
  }
}
