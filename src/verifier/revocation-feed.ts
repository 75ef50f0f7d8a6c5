import type { TokenClaims } from './token-claims.ts';

/** Follows the auth server's feed of revocations. */
export function createRevocationFeed() {
  return {
    /** Whether a token with these claims, signed by the key `kid`, is known to be revoked. */
    isRevoked: (_claims: TokenClaims, _kid: string): boolean | Promise<boolean> => false,
    /** Milliseconds since the moment up to which all revocations are known; Infinity if that is unknown. */
    lagMs: (): number => Number.POSITIVE_INFINITY,
    close: async (): Promise<void> => {},
  };
}
