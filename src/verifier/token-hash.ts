/** The first 8 bytes of the SHA-256 of a text in UTF-8, as two words. */
export type Hash = { high: number; low: number };

/** `now` is there where hashing needs no turn of the event loop. */
export type TokenHash = { now?: (text: string) => Hash; later: (text: string) => Promise<Hash> };

type NodeCrypto = { hash(algorithm: string, text: string, encoding: 'latin1'): string };
/** The part of `globalThis` that tells whether this is Node. */
type Runtime = { process?: { getBuiltinModule?(name: string): unknown } };

/** About a megabyte in 8192 places. */
const PLACE_BITS = 13;
/** Ids are random at their end. */
const MIXED_CHARACTERS = 4;
const FACTOR = 0x9e3779b1;

/**
 * Hashes at once where Node's `crypto` is, or something like it: that takes a third of a microsecond. Elsewhere by
 * WebCrypto, which is asynchronous. It is not imported, or no bundler could make this module for a browser.
 */
export function createTokenHash(runtime: Runtime = globalThis): TokenHash {
  const node = runtime.process?.getBuiltinModule?.('node:crypto') as Partial<NodeCrypto> | undefined;
  const { hash } = node ?? {};
  if (!hash) return { later: hashLater };
  const now = (text: string) => hashOf(hash('sha256', text, 'latin1'));
  return isRight(now) ? { later: hashLater, now: remember(now) } : { later: hashLater };
}

/** In another runtime, what has this name may throw, or give something else: then no revoked token would be found. */
function isRight(hash: (text: string) => Hash): boolean {
  try {
    const { high, low } = hash('Zoë 🔑');
    return high === 0x84e51a60 && low === 0x65620fd7;
  } catch {
    return false;
  }
}

/**
 * Keeps what comes again: the same token comes with each request of a page, and a few clients have made all of them. Each
 * text has one place, where it takes that of another: where more tokens come than are kept, a Map that grows and is emptied
 * takes longer than the hashing.
 */
function remember(hash: (text: string) => Hash): (text: string) => Hash {
  const known = Array.from(
    { length: 2 ** PLACE_BITS },
    (): { text: string; hash: Hash } | undefined => undefined,
  );
  return (text) => {
    const place = placeOf(text);
    const before = known[place];
    if (before?.text === text) return before.hash;
    const hashed = hash(text);
    known[place] = { text, hash: hashed };
    return hashed;
  };
}

/** Multiplying mixes into the upper bits, which are taken. A character before the first one is 0. */
function placeOf(text: string): number {
  let mixed = 0;
  for (let at = text.length - MIXED_CHARACTERS; at < text.length; at += 1)
    mixed = Math.imul(mixed ^ text.charCodeAt(at), FACTOR);
  return mixed >>> (32 - PLACE_BITS);
}

async function hashLater(text: string): Promise<Hash> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return hashOf(String.fromCharCode(...new Uint8Array(digest)));
}

function hashOf(digest: string): Hash {
  return { high: wordAt(digest, 0), low: wordAt(digest, 4) };
}

/** @param digest a character for each byte */
function wordAt(digest: string, at: number): number {
  const upper = (digest.charCodeAt(at) << 8) | digest.charCodeAt(at + 1);
  const lower = (digest.charCodeAt(at + 2) << 8) | digest.charCodeAt(at + 3);
  return ((upper << 16) | lower) >>> 0;
}
