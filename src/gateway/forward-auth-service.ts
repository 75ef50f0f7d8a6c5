import { AppError } from '../core/errors.ts';
import type { SessionService } from '../sessions/session-service.ts';
import type { TokenService } from '../tokens/token-service.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import type { TokenClaims } from '../verifier/check-token.ts';

/** The identity that a gateway passes to the services behind it. */
export type Identity = {
  subject: string;
  email: string;
  session: string;
  scope: string;
  /** For the gateway to send upstream: the caller's own token, or one made for the service. */
  accessToken: string;
};

/** How the gateway wants the request to be checked. */
export type DoorQuery = {
  /** Audience of the service behind the door; any configured one if left out. */
  audience?: string | undefined;
  /** Whether to ask the database, so that a sign-out counts at once. */
  checkSession: boolean;
};

type ForwardAuthServiceParts = {
  sessions: SessionService;
  tokens: TokenService;
  statuses: TokenStatusService;
  /** Whether a token is void by what has been revoked lately. @param kid of the key that signed it */
  isRevoked(claims: TokenClaims, kid: string): boolean;
  audiences: string[];
};

export type ForwardAuthService = ReturnType<typeof createForwardAuthService>;

/** Decides for gateways whether a request may pass. */
export function createForwardAuthService(parts: ForwardAuthServiceParts) {
  const { sessions, tokens, statuses, isRevoked, audiences } = parts;

  return {
    /**
     * The identity of an access token. Single-use tokens are refused: only the door that they are for may redeem them.
     * @throws AppError `invalid_token`, `unknown_audience`, `unavailable`
     */
    async byToken(token: string, { audience, checkSession }: DoorQuery): Promise<Identity> {
      if (audience !== undefined) tokens.requireAudience(audience);
      const meantFor = audience === undefined ? audiences : [audience];
      const verified = await tokens.verify(token, { types: ['at+jwt'], audiences: meantFor });
      if (verified === null || isRevoked(verified.claims, verified.kid)) throw new AppError('invalid_token');
      const claims = checkSession ? await statuses.findLive(verified.claims) : verified.claims;
      if (claims === null) throw new AppError('invalid_token');
      return { ...identityOf(claims), accessToken: token };
    },

    /**
     * The user of a cookie, and an access token for the service: the cookie stays outside, the service gets a JWT.
     * @param network of the client, for the limits
     * @throws AppError `not_signed_in`, `unknown_audience`, `rate_limited`, `unavailable`
     */
    async byCookie(
      generateToken: string | null,
      network: string,
      { audience, checkSession }: DoorQuery,
    ): Promise<Identity> {
      if (audience !== undefined) tokens.requireAudience(audience);
      const session = generateToken === null ? null : await sessions.find(generateToken, network);
      if (session === null) throw new AppError('not_signed_in', { acceptsToken: true });
      const claims = checkSession ? await statuses.findLiveUser(session.id, session.userId) : session.claims;
      if (claims === null) throw new AppError('not_signed_in', { acceptsToken: true });
      return {
        subject: session.userId,
        email: claims.email,
        session: session.id,
        scope: claims.scope ?? '',
        accessToken: tokens.mintFor(session, { audience }).access_token,
      };
    },
  };
}

function identityOf({ sub, email = '', sid = '', scope }: TokenClaims) {
  return { subject: sub, email, session: sid, scope };
}
