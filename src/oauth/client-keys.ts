import { createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import { validationFailed } from '../core/errors.ts';
import type { PublicJwk } from '../core/jwk.ts';
import { ASSERTION_ALGORITHMS } from './client-assertion.ts';

const MAX_KEYS = 10;
const MIN_RSA_BITS = 2048;
/** The types of keys that can sign an assertion. */
const TYPES = ['ec prime256v1', 'ec secp384r1', 'ed25519', 'rsa'];
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/**
 * The public keys of a client from a JWK or a JWK Set (RFC 7517), with the needed members and no others: another member
 * could make a key unusable later, when it checks an assertion.
 * @throws AppError `validation_failed` for private keys, unusable keys, and several keys without different kids
 */
export function readPublicKeys(document: unknown): PublicJwk[] {
  const { keys = [document] } = (document ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > MAX_KEYS)
    throw refusal('', `must be one JWK, or a JWK Set of 1 to ${MAX_KEYS} keys`);
  const jwks = keys.map(readPublicKey);
  const kids = new Set(jwks.map(({ kid }) => kid));
  if (jwks.length > 1 && (kids.size < jwks.length || kids.has(undefined as never)))
    throw refusal('', 'must have a different kid for each key');
  return jwks;
}

function readPublicKey(jwk: unknown, at: number): PublicJwk {
  const path = `/keys/${at}`;
  if (typeof jwk !== 'object' || jwk === null) throw refusal(path, 'must be a JWK');
  if (PRIVATE_MEMBERS.some((member) => member in jwk))
    throw refusal(path, 'must not hold the private key: the client keeps that for itself');
  const key = importKey(jwk, path);
  const { namedCurve, modulusLength: bits = MIN_RSA_BITS } = { ...key.asymmetricKeyDetails };
  const type = [key.asymmetricKeyType, namedCurve].filter(Boolean).join(' ');
  if (!TYPES.includes(type)) throw refusal(path, 'must be of P-256, P-384, Ed25519 or RSA');
  if (bits < MIN_RSA_BITS) throw refusal(path, `must have at least ${MIN_RSA_BITS} bits`);
  return { ...key.export({ format: 'jwk' }), ...readPurpose(jwk, path) } as PublicJwk;
}

/** The members of a JWK that say what its key is for (RFC 7517 §4.2 to 4.5). */
function readPurpose(jwk: object, path: string): Partial<PublicJwk> {
  const { kid, alg, use, key_ops: operations } = jwk as Partial<Record<string, unknown>>;
  const verifies = !Array.isArray(operations) || operations.includes('verify');
  if (!ASSERTION_ALGORITHMS.includes(String(alg ?? 'ES256')) || (use ?? 'sig') !== 'sig' || !verifies)
    throw refusal(path, `must be for signatures, by one of ${ASSERTION_ALGORITHMS.join(', ')}`);
  if (kid !== undefined && typeof kid !== 'string') throw refusal(path, 'must have a text for a kid');
  return JSON.parse(JSON.stringify({ kid, alg, use }));
}

function importKey(jwk: object, path: string): KeyObject {
  try {
    return createPublicKey({ key: jwk as webcrypto.JsonWebKey, format: 'jwk' });
  } catch {
    // The operator must look at the file in any case: Node has a separate code for each missing member.
    throw refusal(path, 'must be a public key of type EC, OKP or RSA');
  }
}

function refusal(path: string, message: string) {
  return validationFailed([{ path, message }]);
}
