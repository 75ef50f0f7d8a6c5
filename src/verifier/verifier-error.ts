/** Why a token was refused, or why it could not be checked. Stable: programs may depend on it. */
export type VerifierErrorCode =
  | 'token_missing'
  | 'authorization_malformed'
  | 'token_malformed'
  | 'algorithm_not_allowed'
  | 'type_not_allowed'
  | 'critical_header'
  | 'key_unknown'
  | 'signature_invalid'
  | 'issuer_mismatch'
  | 'audience_mismatch'
  | 'token_expired'
  | 'token_not_yet_valid'
  | 'claim_invalid'
  | 'keys_unavailable'
  | 'introspection_unavailable'
  | 'revocations_unavailable'
  | 'token_inactive'
  | 'token_revoked'
  | 'scope_insufficient'
  | 'auth_too_old'
  | 'email_mismatch';

/** A sentence for each code. Clients may see them: none quotes a token. */
const MESSAGES: Record<VerifierErrorCode, string> = {
  token_missing: 'There is no token',
  authorization_malformed: 'The Authorization header is not Bearer and a token',
  token_malformed: 'The token is not a signed JWT',
  algorithm_not_allowed: 'The signature algorithm of the token is not allowed',
  type_not_allowed: 'The token is not of the type that is asked for here',
  critical_header: 'The token has a critical header that is not understood',
  key_unknown: 'The key of the token is not known',
  signature_invalid: 'The signature of the token is wrong',
  issuer_mismatch: 'The token is of another issuer',
  audience_mismatch: 'The token is meant for another service',
  token_expired: 'The token has expired',
  token_not_yet_valid: 'The token is not valid yet',
  claim_invalid: 'A claim of the token is missing or not valid',
  keys_unavailable: 'The signing keys cannot be fetched: try again',
  introspection_unavailable: 'The auth server gave no usable answer: try again',
  revocations_unavailable: 'It cannot be known now whether the token has been revoked: try again',
  token_inactive: 'The token has been revoked or used',
  token_revoked: 'The token has been revoked',
  scope_insufficient: 'The token does not have the scope that is asked for here',
  auth_too_old: 'The sign-in is too long ago',
  email_mismatch: 'The e-mail address is not the one of the token',
};

/** A refused token, or a failed check (codes that end in `_unavailable`). Never quotes the token. */
export class VerifierError extends Error {
  override readonly name = 'VerifierError';
  readonly code: VerifierErrorCode;

  /** @param cause only for a check that failed: errors of parsers quote the token */
  constructor(code: VerifierErrorCode, detail?: string, cause?: unknown) {
    super(detail ?? MESSAGES[code], cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
