import { OAuthError } from '../core/oauth-error.ts';
import type { TokenService } from '../tokens/token-service.ts';
import type { TokenClaims, TokenType } from '../verifier/check-token.ts';
import type { ServiceClient } from './client-service.ts';
import type { TokenStatusStore } from './token-status-store.ts';

/** RFC 7662 §2.2: a token that holds is told in full, and any other in one way. */
export type Introspection = { active: false } | ({ active: true; token_type: 'Bearer' } & TokenClaims);

type IntrospectionServiceParts = { tokens: TokenService; statuses: TokenStatusStore };

export type IntrospectionService = ReturnType<typeof createIntrospectionService>;

const INACTIVE: Introspection = { active: false };
const ANY_TYPE: TokenType[] = ['at+jwt', 'one-time+jwt'];
/** No `jti` is empty. */
const NO_TOKEN = '';
/** Clocks may differ, and a spent token must not be forgotten before the last of them takes it for expired. */
const REMEMBER_AFTER_EXPIRY_MS = 60_000;

/** Tells clients what the database says of a token right now. Never from the cache: a sign-out counts at once. */
export function createIntrospectionService({ tokens, statuses }: IntrospectionServiceParts) {
  return {
    /**
     * What becomes of the token at the door of `client`, who sees only what is meant for its audiences. A single-use
     * token is redeemed by it.
     * @param idempotencyKey lets the winner of a redemption repeat it should the answer get lost
     * @throws AppError `unavailable`
     */
    async introspect(
      client: ServiceClient,
      token: string,
      idempotencyKey: string | null,
    ): Promise<Introspection> {
      const verified = await tokens.verify(token, { types: ANY_TYPE, audiences: client.audiences });
      if (verified === null) return INACTIVE;
      const { claims, type } = verified;
      const live = type === 'at+jwt' ? await findLive(claims) : await redeem(client, claims, idempotencyKey);
      return live === null ? INACTIVE : { active: true, token_type: 'Bearer', ...live };
    },

    /** The claims of an access token as they are now; null when it was revoked or what it rests on is over. */
    findLive,

    /** Whether a session goes on, and its user may sign in. @throws AppError `unavailable` */
    async isSessionLive(sessionId: string, userId: string): Promise<boolean> {
      return (await statuses.findUser({ jti: NO_TOKEN, sessionId, userId })) !== null;
    },

    /**
     * Ends one of the client's own tokens (RFC 7009). What is no token any more needs no ending.
     * @throws OAuthError `invalid_grant` for somebody else's; AppError `unavailable`
     */
    async revoke(client: ServiceClient, token: string): Promise<void> {
      const verified = await tokens.verify(token, { types: ANY_TYPE, audiences: null });
      if (verified === null) return;
      const { client_id: owner, sid, jti, exp } = verified.claims;
      // Users' tokens carry CLIENT_ID, which may have been given to a client since: users end theirs themselves.
      if (owner !== client.id || sid !== undefined)
        throw new OAuthError('invalid_grant', 'The token was issued to another client');
      await statuses.revoke(jti, client.id, rememberUntil(exp));
    },
  };

  async function findLive(claims: TokenClaims): Promise<TokenClaims | null> {
    const { jti, sub, sid } = claims;
    if (sid === undefined) return (await statuses.isClientTokenLive(jti, sub)) ? claims : null;
    const user = await statuses.findUser({ jti, sessionId: sid, userId: sub });
    return user && { ...claims, email: user.email, email_verified: user.emailVerified };
  }

  async function redeem(
    client: ServiceClient,
    claims: TokenClaims,
    idempotencyKey: string | null,
  ): Promise<TokenClaims | null> {
    const { jti, sub, sid, exp } = claims;
    // Single-use tokens are made for sessions alone.
    const redemption = { jti, sessionId: String(sid), userId: sub, clientId: client.id, idempotencyKey };
    return (await statuses.redeem({ ...redemption, expiresAt: rememberUntil(exp) })) ? claims : null;
  }
}

function rememberUntil(exp: number): Date {
  return new Date(exp * 1000 + REMEMBER_AFTER_EXPIRY_MS);
}
