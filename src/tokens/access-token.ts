import type { UserClaims } from '../core/user-claims.ts';
import { endsAt } from '../sessions/session-rules.ts';
import type { TokenClaims } from '../verifier/token-claims.ts';

/** What an access token says about the user and the session. */
export type TokenSubject = {
  /** Session id. */
  id: string;
  userId: string;
  claims: UserClaims;
  /** When the user last showed who they are, in milliseconds since the epoch. */
  authenticatedAt: number;
  /** How, and how strongly. */
  amr: string[];
  acr: string | null;
  /** The ends of the session, used and unused, in milliseconds since the epoch. */
  expiresAt: number;
  idleExpiresAt: number;
};

/** RFC 6749 §5.1. `expires_in` is in whole seconds. */
export type TokenResponse = { access_token: string; token_type: 'Bearer'; expires_in: number };

/** A service client that asks for a token of its own. */
export type ClientSubject = { clientId: string; scope: string };

export type AccessTokenOptions = {
  issuer: string;
  /** The client that asked for the token. */
  clientId: string;
  audiences: string[];
  ttlMs: number;
  /** Milliseconds since the epoch. */
  now: number;
  /** 128 random bits. */
  jti: string;
};

/** Claims that every access token has. */
type CommonClaims = Omit<TokenClaims, 'nbf' | keyof SessionClaims | Exclude<keyof UserClaims, 'scope'>>;

type SessionClaims = Required<Pick<TokenClaims, 'sid' | 'auth_time' | 'amr'>> & Pick<TokenClaims, 'acr'>;

/** The claims of a user's access token. */
export type AccessTokenClaims = CommonClaims & SessionClaims & UserClaims;

const seconds = (ms: number): number => Math.floor(ms / 1000);

/**
 * The claims of RFC 9068 §2.2, `sid`, `email` and `email_verified` of OpenID Connect, the user's `roles` with their `scope`,
 * and `cv`, the user's claims version, by which a service knows that the token is from before a change. The token never
 * outlives the session as it is now: a later use may put off the idle end, but it is unknown whether there will be one.
 */
export function accessTokenClaims(subject: TokenSubject, options: AccessTokenOptions): AccessTokenClaims {
  const common = commonClaims(subject.userId, '', options);
  return {
    ...common,
    exp: Math.min(common.exp, seconds(endsAt(subject))),
    sid: subject.id,
    roles: [],
    ...subject.claims,
    auth_time: seconds(subject.authenticatedAt),
    amr: subject.amr,
    ...(subject.acr === null ? {} : { acr: subject.acr }),
  };
}

/** The claims of a service client's own token: the client is the subject (RFC 9068 §2.2, RFC 6749 §4.4). */
export function clientTokenClaims(subject: ClientSubject, options: AccessTokenOptions): CommonClaims {
  return commonClaims(subject.clientId, subject.scope, options);
}

function commonClaims(sub: string, scope: string, options: AccessTokenOptions): CommonClaims {
  const { issuer, clientId, audiences, ttlMs, now, jti } = options;
  const [only, ...others] = audiences;
  return {
    iss: issuer,
    sub,
    aud: only !== undefined && others.length === 0 ? only : audiences,
    client_id: clientId,
    iat: seconds(now),
    exp: seconds(now) + seconds(ttlMs),
    jti,
    scope,
  };
}
