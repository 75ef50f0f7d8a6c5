import { type CompactJWSHeaderParameters, type CompactVerifyGetKey, compactVerify, errors } from 'jose';
import type { ImportedKey } from './key-types.ts';
import { type ClaimRules, checkClaims, type TokenClaims } from './token-claims.ts';
import { audienceIn, isReservedAudience, type TokenType } from './token-type.ts';
import { VerifierError } from './verifier-error.ts';

export type { TokenClaims } from './token-claims.ts';
export type { TokenType } from './token-type.ts';

/** A public key and the one algorithm that it is for. */
export type KnownKey = { algorithm: string; key: ImportedKey };

/**
 * Finds the key of a token in the configured issuer's key set, by its `kid` and never by what else the token says.
 * @throws VerifierError `key_unknown` when there is none, `keys_unavailable` when that cannot be known
 */
export type GetKey = (kid: string) => KnownKey | Promise<KnownKey>;

/** The rules that a token must keep. */
export type TokenRules = ClaimRules & {
  types: TokenType[];
  algorithms: string[];
};

/** `kid` names the key that has verified the signature. */
export type CheckedToken = { claims: TokenClaims; type: TokenType; kid: string };

/** The signature algorithms that are accepted if none are configured. */
export const DEFAULT_ALGORITHMS = ['ES256', 'EdDSA', 'RS256'];

/** Never `none`, and never a MAC: anyone who can verify a MAC can also make one. */
const ASYMMETRIC = new Set([
  ...DEFAULT_ALGORITHMS,
  ...['ES384', 'ES512', 'Ed25519', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
]);

const MAX_LEEWAY_SECONDS = 60;
const MAX_TOKEN_LENGTH = 8 * 1024;

/** Three parts of base64url (RFC 7515 §7.1) and nothing else. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** The characters that a part may end with, by its length modulo 4: unused bits must be zero (RFC 4648 §3.5). */
const LAST_CHARACTERS = new Map([
  [2, 'AQgw'],
  [3, 'AEIMQUYcgkosw048'],
]);

/**
 * Refuses rules that would check too little, when they are declared.
 * @throws TypeError saying which
 */
export function assertTokenRules(
  rules: Pick<TokenRules, 'algorithms' | 'audiences' | 'leewaySeconds'>,
): void {
  const { algorithms, audiences, leewaySeconds } = rules;
  const refused = algorithms.find((algorithm) => !ASYMMETRIC.has(algorithm));
  if (refused !== undefined || algorithms.length === 0)
    throw new TypeError(`algorithms must be some of ${[...ASYMMETRIC].join(', ')}`);
  const reserved = audiences?.find(isReservedAudience);
  if (reserved !== undefined)
    throw new TypeError(
      `audience must be the name of this service alone, not ${reserved}: verify and the once doors take the audience of single-use tokens by themselves`,
    );
  if (!(leewaySeconds >= 0 && leewaySeconds <= MAX_LEEWAY_SECONDS))
    throw new TypeError(`leewaySeconds must be from 0 to ${MAX_LEEWAY_SECONDS}`);
}

/**
 * Checks a token: shape, header, signature, claims. The cheap checks come first, so that bad tokens cost little.
 *
 * `jwk`, `jku`, `x5c` and `x5u` in the header are ignored: with them, the maker of a token would choose its key.
 * @throws VerifierError for everything that can be wrong with a token. Any other error comes from `getKey`, or is a bug or
 *   broken cryptography. It is thrown unchanged: turned into a refusal, it would be hidden behind a 401.
 */
export async function checkToken(token: string, getKey: GetKey, rules: TokenRules): Promise<CheckedToken> {
  checkShape(token);
  const findKey = (header: CompactJWSHeaderParameters) => {
    const found = findKeyOf(header, getKey, rules);
    return found instanceof Promise ? found.then(joseKeyOf) : joseKeyOf(found);
  };
  const { algorithms } = rules;
  const { payload, protectedHeader } = await verifySignature(token, findKey, algorithms);
  const type = checkHeader(protectedHeader, rules);
  const audiences = rules.audiences?.map((audience) => audienceIn(type, audience)) ?? null;
  // `findKeyOf` has refused a token without one.
  const kid = String(protectedHeader.kid);
  return { claims: checkClaims(payload, { ...rules, audiences }), type, kid };
}

function joseKeyOf({ key }: KnownKey): CryptoKey {
  return key as CryptoKey;
}

async function verifySignature(token: string, findKey: CompactVerifyGetKey, algorithms: string[]) {
  try {
    return await compactVerify(token, findKey, { algorithms });
  } catch (error) {
    return refuse(error);
  }
}

/**
 * Checks the form of a token before it is parsed.
 * @throws VerifierError `token_missing`, `token_malformed`
 */
export function checkShape(token: string): void {
  if (!token) throw new VerifierError('token_missing');
  if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH || !COMPACT.test(token))
    throw new VerifierError('token_malformed');
  // Otherwise anyone could give a token other spellings. This does not leave only one: ES256 has two signatures for
  // each, (r, s) and (r, n - s). Only `jti` tells whether two texts are the same token.
  if (!token.split('.').every(isCanonical)) throw new VerifierError('token_malformed');
}

function isCanonical(part: string): boolean {
  const rest = part.length % 4;
  return rest === 0 || (LAST_CHARACTERS.get(rest)?.includes(part.charAt(part.length - 1)) ?? false);
}

/** @returns the type of the token */
function checkHeader(header: Record<string, unknown>, rules: Pick<TokenRules, 'types'>): TokenType {
  // jose supports `b64`, but a JWT must not use it (RFC 7797 §7).
  if (header.crit !== undefined) throw new VerifierError('critical_header');
  const type = rules.types.find((allowed) => allowed === typeOf(header.typ));
  if (type === undefined) throw new VerifierError('type_not_allowed');
  return type;
}

/** Media types are compared without case, and `application/` may be left out (RFC 7515 §4.1.9). */
function typeOf(typ: unknown): string | undefined {
  if (typeof typ !== 'string') return undefined;
  return typ.toLowerCase().replace(/^application\//, '');
}

/**
 * The key for a token with a valid header. If the key is in memory, this takes no turn of the event loop.
 * @throws VerifierError `critical_header`, `type_not_allowed`, `key_unknown`, `algorithm_not_allowed`; what `getKey` throws
 */
export function findKeyOf<Known extends Pick<KnownKey, 'algorithm'>>(
  header: Record<string, unknown>,
  getKey: (kid: string) => Known | Promise<Known>,
  rules: Pick<TokenRules, 'types'>,
): Known | Promise<Known> {
  checkHeader(header, rules);
  const { alg, kid } = header;
  if (typeof kid !== 'string' || kid === '') throw new VerifierError('key_unknown');
  const found = getKey(kid);
  return found instanceof Promise ? found.then((known) => boundTo(alg, known)) : boundTo(alg, found);
}

/** A key may be used only with its own algorithm (RFC 8725 §3.1). jose would throw a TypeError here, as it does for bugs. */
function boundTo<Known extends Pick<KnownKey, 'algorithm'>>(alg: unknown, known: Known): Known {
  if (known.algorithm !== alg) throw new VerifierError('algorithm_not_allowed');
  return known;
}

/** Translates jose's errors for bad tokens. Their causes are dropped: parser errors quote the token. */
function refuse(error: unknown): never {
  if (error instanceof errors.JOSEAlgNotAllowed) throw new VerifierError('algorithm_not_allowed');
  if (error instanceof errors.JOSENotSupported) throw new VerifierError('critical_header');
  if (error instanceof errors.JWSInvalid) throw new VerifierError('token_malformed');
  if (error instanceof errors.JWSSignatureVerificationFailed) refuseSignature(error);
  throw error;
}

/** jose sets a cause only if the cryptography itself failed. Then nothing is known about the signature. */
function refuseSignature({ cause }: errors.JWSSignatureVerificationFailed): never {
  throw cause ?? new VerifierError('signature_invalid');
}
