import { createLocalJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import type { PublicJwk } from '../core/jwk.ts';

/** What a client may sign its assertions with. */
export const ASSERTION_ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'RS256', 'PS256'];

const LEEWAY_SECONDS = 30;
/** An assertion is made for one call; its id is remembered until it expires. */
const MAX_LIFE_SECONDS = 600;
const MAX_ID_LENGTH = 128;

export type CheckedAssertion = { jti: string; expiresAt: Date };

/** Who an assertion says to be from, unchecked: it tells whose keys to check it with. Null for what is no JWT, or names none. */
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
  /** The issuer of this server, or the endpoint's URL: either may be meant by `aud`. */
  audiences: string[];
  /** Milliseconds since the epoch. */
  now: number;
};

/**
 * Checks a client's assertion (RFC 7523 §3; OpenID Connect Core §9 has `jti` required). That it is not used twice is
 * for the caller to see to.
 * @returns null for one that does not hold
 * @throws what is unexpected, as what it is: taken for a refusal, a bug would stay hidden behind a 401
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

/** Null for what jose has to say against an assertion. A wrong signature has no cause: one that has is a failure. */
function refuse(error: unknown): null {
  const { JOSEError, JWSSignatureVerificationFailed } = errors;
  const isFailure = error instanceof JWSSignatureVerificationFailed && error.cause !== undefined;
  if (error instanceof JOSEError && !isFailure) return null;
  throw isFailure ? error.cause : error;
}

function boundedOf({ aud, jti, exp = 0 }: JWTPayload, now: number): CheckedAssertion | null {
  // One that is meant for others as well, another server could use here.
  if ([aud].flat().length !== 1) return null;
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_ID_LENGTH || jti.includes('\0')) return null;
  if (exp - now / 1000 > MAX_LIFE_SECONDS) return null;
  return { jti, expiresAt: new Date((exp + LEEWAY_SECONDS) * 1000) };
}
