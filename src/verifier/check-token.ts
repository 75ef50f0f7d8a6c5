import {
  type CompactJWSHeaderParameters,
  type CompactVerifyGetKey,
  type CryptoKey,
  compactVerify,
  errors,
  type KeyObject,
} from 'jose';
import { type ClaimRules, checkClaims, type TokenClaims } from './token-claims.ts';
import { VerifierError } from './verifier-error.ts';

export type { TokenClaims } from './token-claims.ts';

/** The `typ` of an access token (RFC 9068 §2.1), and that of a single-use token. */
export type TokenType = 'at+jwt' | 'one-time+jwt';

/** A public key to verify with. */
type VerificationKey = CryptoKey | KeyObject;

/** A key and the one algorithm that it is for. */
export type KnownKey = { algorithm: string; key: VerificationKey };

/**
 * Finds the key of a token in the configured issuer's key set, by its `kid` and never by what else the token says.
 * @throws VerifierError `key_unknown` when there is none, `keys_unavailable` when that cannot be known
 */
export type GetKey = (kid: string) => KnownKey | Promise<KnownKey>;

/** What a token is held against. */
export type TokenRules = ClaimRules & {
  types: TokenType[];
  algorithms: string[];
};

export type CheckedToken = { claims: TokenClaims; type: TokenType };

/** What tokens may be signed with unless told otherwise. */
export const DEFAULT_ALGORITHMS = ['ES256', 'EdDSA', 'RS256'];

/** Never `none`, and never a MAC: its "public" key would sign as well. */
const ASYMMETRIC = new Set([
  ...DEFAULT_ALGORITHMS,
  ...['ES384', 'ES512', 'Ed25519', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
]);

const MAX_LEEWAY_SECONDS = 60;
const MAX_TOKEN_LENGTH = 8 * 1024;

/** Three parts of base64url (RFC 7515 §7.1) and nothing else. */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** What a part may end with, by its length modulo 4: bits that do not count are zero (RFC 4648 §3.5). */
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
  if (audiences !== null && !(audiences.length > 0 && audiences.every((audience) => audience !== '')))
    throw new TypeError('audience must name this service');
  if (!(leewaySeconds >= 0 && leewaySeconds <= MAX_LEEWAY_SECONDS))
    throw new TypeError(`leewaySeconds must be from 0 to ${MAX_LEEWAY_SECONDS}`);
}

/**
 * Checks a token: shape, header, signature, claims, in this order, so that what is cheap to refuse costs little.
 *
 * `jwk`, `jku`, `x5c` and `x5u` in the header count for nothing: whoever makes a token would choose its key.
 * @throws VerifierError for whatever may be wrong with a token. Anything else comes from `getKey`, or is a bug or broken
 *   cryptography, and is thrown as what it is: taken for a refusal, it would stay hidden behind a 401.
 */
export async function checkToken(token: string, getKey: GetKey, rules: TokenRules): Promise<CheckedToken> {
  checkShape(token);
  const findKey = (header: CompactJWSHeaderParameters) => {
    const found = findKeyOf(header, getKey, rules);
    return found instanceof Promise ? found.then(({ key }) => key) : found.key;
  };
  const { algorithms } = rules;
  const { payload, protectedHeader } = await verifySignature(token, findKey, algorithms);
  return { claims: checkClaims(payload, rules), type: checkHeader(protectedHeader, rules) };
}

async function verifySignature(token: string, findKey: CompactVerifyGetKey, algorithms: string[]) {
  try {
    return await compactVerify(token, findKey, { algorithms });
  } catch (error) {
    return refuse(error);
  }
}

/**
 * What a token must look like before it is taken apart.
 * @throws VerifierError `token_missing`, `token_malformed`
 */
export function checkShape(token: string): void {
  if (!token) throw new VerifierError('token_missing');
  if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH || !COMPACT.test(token))
    throw new VerifierError('token_malformed');
  // One token has one spelling, so that nothing that goes by the spelling (a log, a cache) is misled.
  if (!token.split('.').every(isCanonical)) throw new VerifierError('token_malformed');
}

function isCanonical(part: string): boolean {
  const rest = part.length % 4;
  return rest === 0 || (LAST_CHARACTERS.get(rest)?.includes(part.charAt(part.length - 1)) ?? false);
}

/** @returns the type of the token */
function checkHeader(header: Record<string, unknown>, rules: Pick<TokenRules, 'types'>): TokenType {
  // jose itself understands `b64`; in a JWT it has no place (RFC 7797 §7).
  if (header.crit !== undefined) throw new VerifierError('critical_header');
  const type = rules.types.find((allowed) => allowed === typeOf(header.typ));
  if (type === undefined) throw new VerifierError('type_not_allowed');
  return type;
}

/** Media types compare without case, and `application/` may be left out (RFC 7515 §4.1.9). */
function typeOf(typ: unknown): string | undefined {
  if (typeof typ !== 'string') return undefined;
  return typ.toLowerCase().replace(/^application\//, '');
}

/**
 * The key of a token whose header is as it must be. One that is at hand costs no turn of the event loop.
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

/** A key is good for its own algorithm alone (RFC 8725 §3.1). jose would throw a TypeError, as for a bug. */
function boundTo<Known extends Pick<KnownKey, 'algorithm'>>(alg: unknown, known: Known): Known {
  if (known.algorithm !== alg) throw new VerifierError('algorithm_not_allowed');
  return known;
}

/** What jose throws for a bad token, in our words. Without its causes: those of parsers quote the token. */
function refuse(error: unknown): never {
  if (error instanceof errors.JOSEAlgNotAllowed) throw new VerifierError('algorithm_not_allowed');
  if (error instanceof errors.JOSENotSupported) throw new VerifierError('critical_header');
  if (error instanceof errors.JWSInvalid) throw new VerifierError('token_malformed');
  if (error instanceof errors.JWSSignatureVerificationFailed) refuseSignature(error);
  throw error;
}

/** A wrong signature has no cause. Where there is one, the cryptography failed and said nothing about the token. */
function refuseSignature({ cause }: errors.JWSSignatureVerificationFailed): never {
  throw cause ?? new VerifierError('signature_invalid');
}
