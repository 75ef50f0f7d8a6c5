import { type CryptoKey, importJWK, type JWK } from 'jose';
import type { KnownKey } from './check-token.ts';
import { type FetchedDocument, objectOf, UnusableAnswer } from './fetch-document.ts';

/** The keys of an issuer by their `kid`. */
export type KeySet = ReadonlyMap<string, KnownKey>;

const MIN_AGE_MS = 1000;
const DEFAULT_AGE_MS = 5 * 60_000;
/** RFC 7518 §3.3 and §3.5. */
const MIN_RSA_BITS = 2048;

/**
 * The usable keys of a JWKS (RFC 7517 §5), imported. As §5 asks, keys that are not for signatures, of another
 * algorithm, broken or too small are left out: a token that names one gets "no such key" instead of an unexpected
 * error.
 * @throws UnusableAnswer when no key is left: such an answer says nothing about the earlier keys
 */
export async function readKeySet(document: FetchedDocument, algorithms: string[]): Promise<KeySet> {
  const { keys } = objectOf(document);
  const candidates: unknown[] = Array.isArray(keys) ? keys : [];
  const imported = await Promise.all(candidates.map((jwk) => importKey(jwk, algorithms)));
  const set = new Map(imported.filter((entry) => entry !== null));
  if (set.size === 0) throw new UnusableAnswer('keys', `has no usable key for ${algorithms.join(', ')}`);
  return set;
}

async function importKey(jwk: unknown, algorithms: string[]): Promise<[string, KnownKey] | null> {
  if (!isPublicSigningKey(jwk) || !algorithms.includes(jwk.alg)) return null;
  try {
    const key = await importJWK(jwk, jwk.alg);
    return isUsable(key) ? [jwk.kid, { algorithm: jwk.alg, key }] : null;
  } catch {
    // A key that cannot be imported cannot be used, for any reason. If the reason is not the key, no other one can be
    // imported either, and the empty set is an error.
    return null;
  }
}

/** Whether jose would accept the key when it verifies. A symmetric secret is imported as bytes. */
function isUsable(key: CryptoKey | Uint8Array): key is CryptoKey {
  if (key instanceof Uint8Array || !key.usages.includes('verify')) return false;
  const { modulusLength = MIN_RSA_BITS } = key.algorithm as { modulusLength?: number };
  return modulusLength >= MIN_RSA_BITS;
}

function isPublicSigningKey(jwk: unknown): jwk is JWK & { kid: string; alg: string } {
  if (typeof jwk !== 'object' || jwk === null) return false;
  const { kid, alg, use = 'sig', d } = jwk as JWK;
  return typeof kid === 'string' && typeof alg === 'string' && use === 'sig' && d === undefined;
}

/**
 * How long an answer may be kept, in milliseconds: its `max-age` less its `Age` (RFC 9111 §4.2), at least 1 s.
 * @param longestMs never longer than this
 */
export function freshForMs(headers: Headers, longestMs: number): number {
  const cacheControl = headers.get('cache-control') ?? '';
  const maxAge = /(?:^|[\s,])max-age="?(\d+)/i.exec(cacheControl)?.[1];
  const ageSeconds = Number(headers.get('age') ?? 0) || 0;
  const saidMs = maxAge === undefined ? DEFAULT_AGE_MS : (Number(maxAge) - ageSeconds) * 1000;
  const mayKeep = !/(?:^|[\s,])no-(store|cache)/i.test(cacheControl);
  return Math.max(MIN_AGE_MS, Math.min(mayKeep ? saidMs : 0, longestMs));
}
