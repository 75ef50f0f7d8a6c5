import { VerifierError } from './verifier-error.ts';

/** The claims of an access token (RFC 9068 §2.2). Times are seconds since the epoch (NumericDate). */
export type TokenClaims = {
  iss: string;
  sub: string;
  aud: string | string[];
  client_id: string;
  iat: number;
  exp: number;
  jti: string;
  /** Separated by spaces; empty for none. */
  scope: string;
  nbf?: number;
  /** Session id. A service client's own token has neither this nor the claims below. */
  sid?: string;
  email?: string;
  email_verified?: boolean;
  /** When the user signed in. */
  auth_time?: number;
};

/** What the claims of a token are compared with. */
export type ClaimRules = {
  issuer: string;
  /** The token must name one of them; null: any audience is accepted. */
  audiences: string[] | null;
  /** How far the clocks of issuer and service may be apart, 60 at most. */
  leewaySeconds: number;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Called for a token that is refused only because its `iat` is later than `now` and the leeway. */
  onIssuedInFuture?: (seconds: number) => void;
};

type Unchecked = Record<string, unknown>;

const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
const isTime = (value: unknown): boolean => Number.isFinite(value);
const isAudience = (value: unknown): boolean =>
  isText(value) || (Array.isArray(value) && value.length > 0 && value.every(isText));

const REQUIRED: [claim: string, isValid: (value: unknown) => boolean][] = [
  ['iss', isText],
  ['sub', isText],
  ['aud', isAudience],
  ['client_id', isText],
  ['iat', isTime],
  ['exp', isTime],
  ['jti', isText],
];

const OPTIONAL: typeof REQUIRED = [
  ['scope', (value) => typeof value === 'string'],
  ['nbf', isTime],
  ['sid', isText],
  ['email', isText],
  ['email_verified', (value) => typeof value === 'boolean'],
  ['auth_time', isTime],
];

const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * The claims of a token whose signature has been checked. If a member occurs twice, the last one counts.
 * @throws VerifierError `token_malformed`, `claim_invalid`, `issuer_mismatch`, `audience_mismatch`, `token_expired`,
 *   `token_not_yet_valid`
 */
export function checkClaims(payload: Uint8Array, rules: ClaimRules): TokenClaims {
  const claims = parseObject(payload);
  for (const [claim, isValid] of REQUIRED) if (!isValid(claims[claim])) throw claimInvalid(claim);
  for (const [claim, isValid] of OPTIONAL)
    if (claims[claim] !== undefined && !isValid(claims[claim])) throw claimInvalid(claim);
  claims.scope ??= '';
  const checked = claims as TokenClaims;
  if (checked.iss !== rules.issuer) throw new VerifierError('issuer_mismatch');
  if (!isMeantFor(checked.aud, rules.audiences)) throw new VerifierError('audience_mismatch');
  checkTimes(checked, rules);
  return checked;
}

function parseObject(payload: Uint8Array): Unchecked {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(payload));
  } catch {
    // Without its cause, which quotes the token.
    throw new VerifierError('token_malformed');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new VerifierError('token_malformed');
  return value as Unchecked;
}

function claimInvalid(claim: string): VerifierError {
  return new VerifierError('claim_invalid', `The claim ${claim} of the token is missing or not valid`);
}

function isMeantFor(aud: string | string[], audiences: string[] | null): boolean {
  if (audiences === null) return true;
  return audiences.some((audience) => (typeof aud === 'string' ? aud === audience : aud.includes(audience)));
}

/** RFC 7519 §4.1.4 to 4.1.6: valid before `exp`, from `nbf` on, and not issued in the future. */
function checkTimes({ exp, nbf, iat }: TokenClaims, rules: ClaimRules): void {
  const seconds = rules.now() / 1000;
  const { leewaySeconds, onIssuedInFuture } = rules;
  // Written so that a clock which returns NaN refuses every token.
  if (!(seconds - leewaySeconds < exp)) throw new VerifierError('token_expired');
  if (seconds + leewaySeconds >= Math.max(iat, nbf ?? iat)) return;
  if (iat > seconds + leewaySeconds) onIssuedInFuture?.(iat - seconds);
  throw new VerifierError('token_not_yet_valid');
}
