import type { FastifyRequest, preHandlerAsyncHookHandler } from 'fastify';
import { AppError } from '../core/errors.ts';
import type { TokenClaims } from '../verifier/check-token.ts';
import type { TokenService } from './token-service.ts';

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
  return async ({ headers }: FastifyRequest) => {
    if (headers.authorization === undefined) throw new AppError('not_signed_in', { acceptsToken: true });
    const token = bearerOf(headers.authorization);
    const verified = await tokens.verify(token, { types: ['at+jwt'], audiences: [issuer] });
    if (verified === null || !(await isLive(verified.claims))) throw new AppError('invalid_token');
    if (!verified.claims.scope.split(' ').includes(scope)) throw new AppError('insufficient_scope');
  };
}

/** The token of an Authorization header (RFC 6750 §2.1); empty for anything else. */
export function bearerOf(authorization: string): string {
  const [, token = ''] = /^bearer +(\S+)$/i.exec(authorization) ?? [];
  return token;
}
