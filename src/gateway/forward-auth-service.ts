import { AppError } from '../core/errors.ts';
import type { SessionService } from '../sessions/session-service.ts';
import type { TokenService } from '../tokens/token-service.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import type { TokenClaims } from '../verifier/check-token.ts';

/** Who a gateway may let in, for the services behind it. */
export type Identity = {
  subject: string;
  email: string;
  session: string;
  scope: string;
  /** For the gateway to put upstream: the caller's own, or one made for the service. */
  accessToken: string;
};

/** What the gateway wants to know of the door. */
export type DoorQuery = {
  /** Of the service behind the door; any configured one when left out. */
  audience?: string | undefined;
  /** Whether to ask the database, so that a sign-out counts at once. */
  checkSession: boolean;
};

type ForwardAuthServiceParts = {
  sessions: SessionService;
  tokens: TokenService;
  statuses: TokenStatusService;
  audiences: string[];
};

export type ForwardAuthService = ReturnType<typeof createForwardAuthService>;

/** Answers gateways who ask whether a request may pass. */
export function createForwardAuthService(parts: ForwardAuthServiceParts) {
  const { sessions, tokens, statuses, audiences } = parts;

  return {
    /**
     * Who brings this access token. Single-use tokens do not pass: only the door that they are for may spend them.
     * @throws AppError `invalid_token`, `unknown_audience`, `unavailable`
     */
    async byToken(token: string, { audience, checkSession }: DoorQuery): Promise<Identity> {
      if (audience !== undefined) tokens.requireAudience(audience);
      const meantFor = audience === undefined ? audiences : [audience];
      const verified = await tokens.verify(token, { types: ['at+jwt'], audiences: meantFor });
      const claims = verified && checkSession ? await statuses.findLive(verified.claims) : verified?.claims;
      if (claims == null) throw new AppError('invalid_token');
      return { ...identityOf(claims), accessToken: token };
    },

    /**
     * Who the cookie is of, and an access token for the service: the cookie outside, a JWT inside.
     * @param network of the client, which limits go by
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
      if (checkSession && !(await statuses.isSessionLive(session.id, session.userId)))
        throw new AppError('not_signed_in', { acceptsToken: true });
      return {
        subject: session.userId,
        email: session.claims.email,
        session: session.id,
        scope: '',
        accessToken: tokens.mintFor(session, { audience }).access_token,
      };
    },
  };
}

function identityOf({ sub, email = '', sid = '', scope }: TokenClaims) {
  return { subject: sub, email, session: sid, scope };
}
