import type { TokenService } from '../tokens/token-service.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import type { TokenClaims, TokenType } from '../verifier/check-token.ts';
import type { ServiceClient } from './client-service.ts';
import { OAuthError } from './oauth-error.ts';

/** RFC 7662 §2.2: a token that holds is told in full, and any other in one way. */
export type Introspection = { active: false } | ({ active: true; token_type: 'Bearer' } & TokenClaims);

type IntrospectionServiceParts = { tokens: TokenService; statuses: TokenStatusService };

export type IntrospectionService = ReturnType<typeof createIntrospectionService>;

const INACTIVE: Introspection = { active: false };
const ANY_TYPE: TokenType[] = ['at+jwt', 'one-time+jwt'];

/** Tells clients what the database says of a token right now. */
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
      const live =
        type === 'at+jwt'
          ? await statuses.findLive(claims)
          : (await statuses.redeem(client.id, claims, idempotencyKey)) && claims;
      return live ? { active: true, token_type: 'Bearer', ...live } : INACTIVE;
    },

    /**
     * Ends one of the client's own tokens (RFC 7009). What is no token any more needs no ending.
     * @throws OAuthError `invalid_grant` for somebody else's; AppError `unavailable`
     */
    async revoke(client: ServiceClient, token: string): Promise<void> {
      const verified = await tokens.verify(token, { types: ANY_TYPE, audiences: null });
      if (verified === null) return;
      const { client_id: owner, sid } = verified.claims;
      // Users' tokens carry CLIENT_ID, which may have been given to a client since: users end theirs themselves.
      if (owner !== client.id || sid !== undefined)
        throw new OAuthError('invalid_grant', 'The token was issued to another client');
      await statuses.revoke(client.id, verified.claims);
    },
  };
}
