import { createLocalJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import type { PublicJwk } from '../core/jwk.ts';

/** Algorithms with which a client may sign its assertions. */
export const ASSERTION_ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'RS256', 'PS256'];

const LEEWAY_SECONDS = 30;
/** An assertion is made for one call; its id is remembered until it expires. */
const MAX_LIFE_SECONDS = 600;
const MAX_ID_LENGTH = 128;

export type CheckedAssertion = { jti: string; expiresAt: Date };

/** The unchecked issuer of an assertion, to find the keys for the check. Null if it is no JWT or names no issuer. */
export function assertionIssuer(assertion: string): string | null {
  try {
    const { iss } = decodeJwt(assertion);
    return typeof iss === 'string' ? iss : null;
  } catch (error) {
    return refuse(error);
  }
}

type AssertionRules = {
  clientId: string;
  publicKeys: PublicJwk[];
  /**
   * What `aud` may be: the issuer of this server. With an endpoint's URL as well, a client that also uses a malicious
   * server could be led to make an assertion for us there: that server only has to name our URL as its own endpoint.
   */
  audiences: string[];
  /** Milliseconds since the epoch. */
  now: number;
};

/**
 * Checks a client's assertion (RFC 7523 §3; OpenID Connect Core §9 requires `jti`). The caller must make sure that it
 * is used only once.
 * @returns null for an assertion that is not valid
 * @throws unexpected errors unchanged: as a refusal, a bug would stay hidden behind a 401
 */
export async function checkAssertion(
  assertion: string,
  { clientId, publicKeys, audiences, now }: AssertionRules,
): Promise<CheckedAssertion | null> {
  try {
    const { payload } = await jwtVerify(assertion, createLocalJWKSet({ keys: publicKeys }), {
      issuer: clientId,
      subject: clientId,
      audience: audiences,
      algorithms: ASSERTION_ALGORITHMS,
      clockTolerance: LEEWAY_SECONDS,
      currentDate: new Date(now),
      requiredClaims: ['exp', 'jti'],
    });
    return boundedOf(payload, now);
  } catch (error) {
    return refuse(error);
  }
}

/** Null if jose refuses an assertion. A signature error that has a cause is no refusal but a failure. */
function refuse(error: unknown): null {
  const { JOSEError, JWSSignatureVerificationFailed } = errors;
  const isFailure = error instanceof JWSSignatureVerificationFailed && error.cause !== undefined;
  if (error instanceof JOSEError && !isFailure) return null;
  throw isFailure ? error.cause : error;
}

function boundedOf({ aud, jti, exp = 0 }: JWTPayload, now: number): CheckedAssertion | null {
  // If it were meant for several audiences, another server could use it here.
  if ([aud].flat().length !== 1) return null;
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_ID_LENGTH || jti.includes('\0')) return null;
  if (exp - now / 1000 > MAX_LIFE_SECONDS) return null;
  return { jti, expiresAt: new Date((exp + LEEWAY_SECONDS) * 1000) };
}
