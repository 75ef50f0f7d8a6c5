import type { TokenClaims } from '../verifier/check-token.ts';
import type { TokenStatusStore } from './token-status-store.ts';

export type TokenStatusService = ReturnType<typeof createTokenStatusService>;

/** No `jti` is empty. */
const NO_TOKEN = '';
/** Clocks may differ, and a spent token must not be forgotten before the last of them takes it for expired. */
const REMEMBER_AFTER_EXPIRY_MS = 60_000;

/** Whether tokens that verify still hold, by the database and never by the cache: a sign-out counts at once. */
export function createTokenStatusService(store: TokenStatusStore) {
  return {
    /**
     * The claims of an access token as they are now; null when it was revoked or what it rests on is over.
     * @throws AppError `unavailable`
     */
    async findLive(claims: TokenClaims): Promise<TokenClaims | null> {
      const { jti, sub, sid } = claims;
      if (sid === undefined) return (await store.isClientTokenLive(jti, sub)) ? claims : null;
      const user = await store.findUserClaims({ jti, sessionId: sid, userId: sub });
      return user && { ...claims, ...user };
    },

    /** Whether a session goes on, and its user may sign in. @throws AppError `unavailable` */
    async isSessionLive(sessionId: string, userId: string): Promise<boolean> {
      return (await store.findUserClaims({ jti: NO_TOKEN, sessionId, userId })) !== null;
    },

    /**
     * Redeems a single-use token for a client, if its session lives. One caller wins.
     * @param idempotencyKey lets the winner ask again should the answer get lost
     * @returns whether the client is the winner
     * @throws AppError `unavailable`
     */
    async redeem(clientId: string, claims: TokenClaims, idempotencyKey: string | null): Promise<boolean> {
      const { jti, sub, sid, exp } = claims;
      // Single-use tokens are made for sessions alone.
      const redemption = { jti, sessionId: String(sid), userId: sub, clientId, idempotencyKey };
      return store.redeem({ ...redemption, expiresAt: rememberUntil(exp) });
    },

    /** Ends a token of a client before its time. @throws AppError `unavailable` */
    async revoke(clientId: string, { jti, exp }: TokenClaims): Promise<void> {
      await store.revoke(jti, clientId, rememberUntil(exp));
    },

    /**
     * Takes a client's assertion as used (RFC 7523 §3).
     * @returns false when it was before
     * @throws AppError `unavailable`
     */
    spendAssertion: store.spendAssertion,
  };
}

function rememberUntil(exp: number): Date {
  return new Date(exp * 1000 + REMEMBER_AFTER_EXPIRY_MS);
}
