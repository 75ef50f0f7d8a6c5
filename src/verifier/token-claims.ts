import { printable, SetupFault } from './setup-error.ts';
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
  /** The version of the user's claims. A later one voids the token, if the revocation feed tells of it. */
  cv?: number;
  email?: string;
  email_verified?: boolean;
  /** Names, of a user alone. The scopes of the roles are in `scope`. */
  roles?: string[];
  /** When the user last showed who they are. */
  auth_time?: number;
  /** How: names of methods as in RFC 8176, such as `pwd`. */
  amr?: string[];
  /** How strongly, by a name that the issuer gives it. */
  acr?: string;
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
  /** Called if the settings or the clock may be wrong, and not the token. */
  warn?: (fault: SetupFault) => void;
};

type Unchecked = Record<string, unknown>;

const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
const isTime = (value: unknown): boolean => Number.isFinite(value);
const isVersion = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 1;
const isAudience = (value: unknown): boolean =>
  isText(value) || (Array.isArray(value) && value.length > 0 && value.every(isText));

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);

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
  ['cv', isVersion],
  ['email', isText],
  ['email_verified', (value) => typeof value === 'boolean'],
  ['auth_time', isTime],
  ['roles', isTexts],
  ['amr', isTexts],
  ['acr', isText],
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
  if (checked.iss !== rules.issuer) {
    rules.warn?.(otherIssuer(checked.iss, rules.issuer));
    throw new VerifierError('issuer_mismatch');
  }
  if (rules.audiences !== null) checkAudience(checked.aud, rules.audiences, rules);
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

function checkAudience(aud: string | string[], audiences: string[], { warn }: ClaimRules): void {
  if (audiences.some((name) => (typeof aud === 'string' ? aud === name : aud.includes(name)))) return;
  warn?.(otherAudience([aud].flat(), audiences));
  throw new VerifierError('audience_mismatch');
}

/** RFC 7519 §4.1.4 to 4.1.6: valid before `exp`, from `nbf` on, and not issued in the future. */
function checkTimes({ exp, nbf, iat }: TokenClaims, rules: ClaimRules): void {
  const seconds = rules.now() / 1000;
  const { leewaySeconds, warn } = rules;
  // Written so that a clock which returns NaN refuses every token.
  if (!(seconds - leewaySeconds < exp)) throw new VerifierError('token_expired');
  if (seconds + leewaySeconds >= Math.max(iat, nbf ?? iat)) return;
  if (iat > seconds + leewaySeconds) warn?.(clockBehind(iat - seconds));
  throw new VerifierError('token_not_yet_valid');
}

/** The issuer alone can make such a token: the signature has been verified with a key of its own. */
function otherIssuer(found: string, issuer: string): SetupFault {
  return new SetupFault(
    'token issuer',
    `A token with a good signature is of the issuer ${printable(found)}, not ${issuer}: set issuer to PUBLIC_URL of the auth server, letter for letter`,
  );
}

/** Perhaps no fault at all: any client can send a token of another service here. */
function otherAudience(found: string[], audiences: string[]): SetupFault {
  return new SetupFault(
    'token audience',
    `A token with a good signature is for ${listed(found)}, and this service takes tokens for ${listed(audiences)}: if this service is among the first, set audience to that name; otherwise a client sends tokens of another service`,
  );
}

const MAX_LISTED = 5;

/** The first names of a list, for a log. */
function listed(names: string[]): string {
  const shown = names.slice(0, MAX_LISTED).map(printable).join(', ');
  return names.length > MAX_LISTED ? `${shown} and ${names.length - MAX_LISTED} more` : shown;
}

function clockBehind(seconds: number): SetupFault {
  return new SetupFault(
    'token clock',
    `A token was issued in the future by ${Math.ceil(seconds)} s: check the clock of this host`,
  );
}
