import type { TokenClaims } from './token-claims.ts';

/**
 * `request.user` with its type: the claims of the token that passed the door; null if an open door let the request pass
 * without a good one. A function, because @fastify/jwt and passport declare other types for `request.user`.
 */
export function userOf(request: object): TokenClaims | null {
  return (request as { user?: TokenClaims | null }).user ?? null;
}
