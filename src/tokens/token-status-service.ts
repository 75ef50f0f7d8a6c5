import type { UserClaims } from '../core/user-claims.ts';
import type { Transact } from '../db/database.ts';
import type { RevocationLog } from '../db/revocation-log.ts';
import type { TokenClaims } from '../verifier/check-token.ts';
import type { ClientRights, TokenStatusStore } from './token-status-store.ts';

type TokenStatusParts = { store: TokenStatusStore; transact: Transact; revocations: RevocationLog };

export type TokenStatusService = ReturnType<typeof createTokenStatusService>;

/** No `jti` is empty. */
const NO_TOKEN = '';
/** Clocks may differ: a spent token must be remembered until it has expired by every clock. */
const REMEMBER_AFTER_EXPIRY_MS = 60_000;

/** Whether verified tokens are still valid. Asks the database, never the cache, so that a sign-out counts at once. */
export function createTokenStatusService({ store, transact, revocations }: TokenStatusParts) {
  return {
    /**
     * The current claims of an access token; null if it was revoked, if its session or its client is no longer live, or
     * if it names a scope or an audience that its client has lost.
     * @throws AppError `unavailable`
     */
    async findLive(claims: TokenClaims): Promise<TokenClaims | null> {
      const { jti, sub, sid } = claims;
      if (sid === undefined) {
        const rights = await store.findClientRights(jti, sub);
        return rights !== null && isWithin(claims, rights) ? claims : null;
      }
      const user = await store.findUserClaims({ jti, sessionId: sid, userId: sub });
      return user && withClaimsOf(user, claims);
    },

    /** The current claims of the user of a session; null if it is not live. @throws AppError `unavailable` */
    findLiveUser(sessionId: string, userId: string): Promise<UserClaims | null> {
      return store.findUserClaims({ jti: NO_TOKEN, sessionId, userId });
    },

    /**
     * Redeems a single-use token for a client, if its session is live. Only one caller wins.
     * @param idempotencyKey lets the winner ask again if the answer was lost
     * @returns whether the client is the winner
     * @throws AppError `unavailable`
     */
    async redeem(clientId: string, claims: TokenClaims, idempotencyKey: string | null): Promise<boolean> {
      const { jti, sub, sid, exp } = claims;
      // Single-use tokens are made for sessions alone.
      const redemption = { jti, sessionId: String(sid), userId: sub, clientId, idempotencyKey };
      return store.redeem({ ...redemption, expiresAt: rememberUntil(exp) });
    },

    /** Revokes a token of a client. @throws AppError `unavailable` */
    async revoke(clientId: string, { jti, exp }: TokenClaims): Promise<void> {
      await transact(async (transaction) => {
        const isNew = await store.revoke(transaction, { jti, clientId, expiresAt: rememberUntil(exp) });
        if (isNew) await revocations.tokenRevoked(transaction, jti);
      });
    },

    /**
     * Marks a client's assertion as used (RFC 7523 §3).
     * @returns false if it was used before
     * @throws AppError `unavailable`
     */
    spendAssertion: store.spendAssertion,
  };
}

/** A user who has lost all roles has lost their scope as well. */
function withClaimsOf(user: UserClaims, claims: TokenClaims): TokenClaims {
  return { ...claims, roles: [], scope: '', ...user };
}

/** Services compare the scope with the token itself, so a token that says too much is as good as revoked. */
function isWithin({ scope, aud }: TokenClaims, { scopes, audiences }: ClientRights): boolean {
  const named = scope.split(' ').filter(Boolean);
  return named.every((one) => scopes.includes(one)) && [aud].flat().every((one) => audiences.includes(one));
}

function rememberUntil(exp: number): Date {
  return new Date(exp * 1000 + REMEMBER_AFTER_EXPIRY_MS);
}
