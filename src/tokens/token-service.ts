import { isAdminScope } from '../core/admin-scopes.ts';
import { channels } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { SIGNING_ALGORITHMS } from '../core/jwk.ts';
import type { FindKey } from '../keys/key-lookup.ts';
import type { KeyService, PublicKey } from '../keys/key-service.ts';
import type { SessionRecord } from '../sessions/session-rules.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { type CheckedToken, checkToken, type TokenRules } from '../verifier/check-token.ts';
import { audienceIn, type TokenType } from '../verifier/token-type.ts';
import { VerifierError } from '../verifier/verifier-error.ts';
import { accessTokenClaims, clientTokenClaims, type TokenResponse } from './access-token.ts';
import { createTokenId } from './token-id.ts';
import { createTokenReuse } from './token-reuse.ts';

/** What a page may ask for: a token for one audience only, or for a single use. */
export type TokenWish = { audience?: string | undefined; singleUse?: boolean | undefined };

type TokenServiceParts = {
  sessions: SessionService;
  keys: KeyService;
  findKey: FindKey;
  now: Clock;
  issuer: string;
  clientId: string;
  audiences: string[];
  /** The audience of a token if none was asked for. Without it: all of them. */
  defaultAudience?: string | undefined;
  ttlMs: number;
  /** How long after it was made a token may be given to its session again; 0: never. */
  reuseMs: number;
};

/** Which of our tokens to accept. */
export type TokenCheck = {
  types: TokenType[];
  /** The token must be for one of these; null: any audience is accepted. */
  audiences: string[] | null;
};

export type TokenService = ReturnType<typeof createTokenService>;

/** Long enough for the page to pass it on, short enough to be of little use to a thief. */
const SINGLE_USE_TTL_MS = 60_000;

/** Exchanges generate tokens for access tokens, and checks tokens that this server has made. */
export function createTokenService(parts: TokenServiceParts) {
  const { sessions, keys, findKey, now, issuer, clientId, audiences, defaultAudience, ttlMs, reuseMs } =
    parts;
  const reuse = createTokenReuse({ windowMs: reuseMs, keys, now });
  const audiencesOfOperators = [...new Set([...audiences, issuer])];

  return {
    /**
     * A token for the session of a generate token, for the requested audience, the default one, or all. This server is an
     * audience as well: of who asks for it, and of who has a scope of its own among all. It lets in by scope alone.
     * @param network of the client, for the limits
     * @throws AppError `unknown_audience`; `rate_limited`; `session_not_found` for every kind of mismatch;
     *   `unavailable`
     */
    async mint(generateToken: string | null, network: string, wish: TokenWish = {}): Promise<TokenResponse> {
      if (wish.audience !== undefined && wish.audience !== issuer) requireAudience(wish.audience);
      const session = generateToken === null ? null : await sessions.find(generateToken, network);
      if (session === null) throw new AppError('session_not_found');
      return mintFor(session, wish);
    },

    mintFor,
    requireAudience,
    requireKey,
    rulesFor,

    /**
     * A token for a service client itself.
     * @param scope the granted scopes, separated by spaces
     * @throws AppError `unavailable`
     */
    mintForClient(client: string, scope: string, clientAudiences: string[], lifeMs = ttlMs): TokenResponse {
      const options = optionsFor(clientAudiences, lifeMs);
      const claims = clientTokenClaims({ clientId: client, scope }, { ...options, clientId: client });
      return told('client', signed(claims, 'at+jwt'));
    },

    /**
     * The claims of one of our tokens that has not expired; null for any other text. Does not look for revocations.
     * @throws AppError `unavailable` when that cannot be known; unexpected errors unchanged
     */
    async verify(token: string, check: TokenCheck): Promise<CheckedToken | null> {
      try {
        return await checkToken(token, requireKey, rulesFor(check));
      } catch (error) {
        if (error instanceof VerifierError) return null;
        throw error;
      }
    },
  };

  /** @throws AppError `unavailable` */
  function mintFor(session: SessionRecord, wish: TokenWish): TokenResponse {
    const { audience = defaultAudience, singleUse = false } = wish;
    const tokenAudiences = audience === undefined ? audiencesOf(session) : [audience];
    if (singleUse)
      return told('single_use', signFor(session, tokenAudiences, 'one-time+jwt', SINGLE_USE_TTL_MS));
    const earlier = reuse.find(session, audience);
    if (earlier !== null) return told('reused', earlier);
    const response = signFor(session, tokenAudiences, 'at+jwt', ttlMs);
    reuse.keep(session, audience, response);
    return told('access', response);
  }

  function audiencesOf({ claims: { scope } }: SessionRecord): string[] {
    // Most users have no scope at all.
    return scope?.split(' ').some(isAdminScope) ? audiencesOfOperators : audiences;
  }

  function signFor(session: SessionRecord, tokenAudiences: string[], type: TokenType, lifeMs: number) {
    const named = tokenAudiences.map((audience) => audienceIn(type, audience));
    return signed(accessTokenClaims(session, optionsFor(named, lifeMs)), type);
  }

  function signed(claims: { iat: number; exp: number }, type: TokenType): TokenResponse {
    return {
      access_token: keys.sign(claims, type),
      token_type: 'Bearer',
      expires_in: claims.exp - claims.iat,
    };
  }

  /** @throws AppError `unknown_audience` */
  function requireAudience(audience: string): void {
    if (!audiences.includes(audience)) throw new AppError('unknown_audience');
  }

  function optionsFor(tokenAudiences: string[], lifeMs: number) {
    return { issuer, clientId, audiences: tokenAudiences, ttlMs: lifeMs, now: now(), jti: createTokenId() };
  }

  /** The rules for our own tokens. */
  function rulesFor({ types, audiences }: TokenCheck): TokenRules {
    return { issuer, audiences, types, algorithms: ALGORITHMS, leewaySeconds: LEEWAY_SECONDS, now };
  }

  /** @throws VerifierError `key_unknown`; AppError `unavailable` when that cannot be known */
  async function requireKey(kid: string): Promise<PublicKey> {
    const key = await findKey(kid);
    if (key === null) throw new VerifierError('key_unknown');
    return key;
  }
}

/** For metrics. @returns the response */
function told(kind: 'access' | 'single_use' | 'client' | 'reused', response: TokenResponse): TokenResponse {
  if (channels.token.hasSubscribers) channels.token.publish({ kind });
  return response;
}

/** All of them: `SIGNING_ALGORITHM` may change while tokens of the old one are still valid. */
const ALGORITHMS = [...SIGNING_ALGORITHMS];
/** Replicas know the database's time to within the time of one query. */
const LEEWAY_SECONDS = 5;
