import type { FastifyReply, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify';
import { AppError } from '../core/errors.ts';
import type { TokenService } from '../tokens/token-service.ts';
import type { TokenClaims } from '../verifier/check-token.ts';

type ScopeCheck = {
  tokens: TokenService;
  /** This server: what the token must be for. */
  issuer: string;
  scope: string;
  /** Whether what the token rests on still holds. */
  isLive(claims: TokenClaims): Promise<boolean>;
};

/** Lets requests through that carry a live access token for this server itself, with the scope. */
export function requireScope({ tokens, issuer, scope, isLive }: ScopeCheck): preHandlerAsyncHookHandler {
  return async ({ headers }: FastifyRequest, reply: FastifyReply) => {
    if (headers.authorization === undefined) {
      // No error in it for who did not try (RFC 6750 §3.1).
      reply.header('www-authenticate', BEARER_CHALLENGE);
      throw new AppError('not_signed_in');
    }
    const token = bearerOf(headers.authorization);
    const verified = await tokens.verify(token, { types: ['at+jwt'], audiences: [issuer] });
    if (verified === null || !(await isLive(verified.claims))) throw new AppError('invalid_token');
    if (!verified.claims.scope.split(' ').includes(scope)) throw new AppError('insufficient_scope');
  };
}

/** What a 401 must bring along (RFC 9110 §15.5.2) where an access token would do. */
export const BEARER_CHALLENGE = 'Bearer realm="doorward"';

/** The token of an Authorization header (RFC 6750 §2.1); empty for anything else. */
export function bearerOf(authorization: string): string {
  const [, token = ''] = /^bearer +(\S+)$/i.exec(authorization) ?? [];
  return token;
}
