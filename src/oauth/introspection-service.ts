import type { TokenService } from '../tokens/token-service.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import type { TokenClaims, TokenType } from '../verifier/check-token.ts';
import type { ServiceClient } from './client-service.ts';
import { OAuthError } from './oauth-error.ts';

/** RFC 7662 §2.2: all claims of an active token, and one and the same answer for any other. */
export type Introspection = { active: false } | ({ active: true; token_type: 'Bearer' } & TokenClaims);

type IntrospectionServiceParts = { tokens: TokenService; statuses: TokenStatusService };

export type IntrospectionService = ReturnType<typeof createIntrospectionService>;

const INACTIVE: Introspection = { active: false };
const ANY_TYPE: TokenType[] = ['at+jwt', 'one-time+jwt'];

/** Answers clients from the database, which knows the current state of a token. */
export function createIntrospectionService({ tokens, statuses }: IntrospectionServiceParts) {
  return {
    /**
     * The state of a token for `client`, which sees only tokens for its audiences. A single-use token is redeemed by
     * this.
     * @param idempotencyKey lets the client that redeemed a token repeat the call if the answer was lost
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
     * Revokes one of the client's own tokens (RFC 7009). An invalid token needs no revocation (§2.2).
     * @throws OAuthError `invalid_grant` for a token of another client; AppError `unavailable`
     */
    async revoke(client: ServiceClient, token: string): Promise<void> {
      const verified = await tokens.verify(token, { types: ANY_TYPE, audiences: null });
      if (verified === null) return;
      const { client_id: owner, sid } = verified.claims;
      // Users' tokens carry CLIENT_ID, and a client may have got that id later. Users end their own tokens themselves.
      if (owner !== client.id || sid !== undefined)
        throw new OAuthError('invalid_grant', 'The token was issued to another client');
      await statuses.revoke(client.id, verified.claims);
    },
  };
}
