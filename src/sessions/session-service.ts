import { v7 as uuidv7 } from 'uuid';
import type { MissLimit } from '../cache/miss-limit.ts';
import type { DatabaseClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { Lane } from '../outbox/outbox-lane.ts';
import type { Device } from './device.ts';
import { createGenerateToken, hashGenerateToken, isGenerateToken } from './generate-token.ts';
import type { LastSeen } from './last-seen.ts';
import type { SessionCache } from './session-cache.ts';
import { isLive, isSeenDue, type SessionRecord } from './session-rules.ts';
import type { EndReason, ListedSession, SessionSelector, SessionStore } from './session-store.ts';
import type { SessionsEnded } from './sessions-ended.ts';

/** A session that was just started. Its generate token is known only now. */
export type StartedSession = { id: string; generateToken: string; maxAgeSeconds: number };

type SessionServiceParts = {
  store: SessionStore;
  cache: SessionCache;
  transact: Transact;
  clock: DatabaseClock;
  lastSeen: LastSeen;
  ttlMs: number;
  idleTtlMs: number;
  /** The outbox lane that brings ended sessions to the cache. */
  ended: Lane<typeof SessionsEnded>;
  missLimit: MissLimit;
};

export type SessionService = ReturnType<typeof createSessionService>;

/** Starts, finds and ends sessions. */
export function createSessionService(parts: SessionServiceParts) {
  const { store, cache, transact, clock, ended, missLimit, lastSeen, ttlMs, idleTtlMs } = parts;

  return {
    /** Starts a session for a user whose password has just been checked. */
    async start(transaction: Transaction, userId: string, device: Device): Promise<StartedSession> {
      const generateToken = createGenerateToken();
      const session = {
        id: uuidv7(),
        userId,
        tokenHash: hashGenerateToken(generateToken),
        ttlMs,
        idleTtlMs,
        device,
      };
      clock.observe((await store.insert(transaction, session)).databaseNow);
      return { id: session.id, generateToken, maxAgeSeconds: Math.floor(ttlMs / 1000) };
    },

    /**
     * The live session of a generate token; null for any other string.
     * @param network of the client, for the limits
     * @throws AppError `unavailable` when neither cache nor database answers; `rate_limited` after many unknown tokens
     */
    async find(generateToken: string, network: string): Promise<SessionRecord | null> {
      if (!isGenerateToken(generateToken)) return null;
      const session = await cache.find(hashGenerateToken(generateToken), (lookUp) =>
        missLimit.run(network, lookUp),
      );
      const now = clock.now();
      if (session === null || !isLive(session, now)) return null;
      if (isSeenDue(session, now)) lastSeen.note(session.id);
      return session;
    },

    /**
     * Ends the session of a generate token. The row decides, not the cache: that one could hide a session.
     * @param network of the client, for the limits, which never stop the sign-out of a session that the cache knows
     * @returns whether there was one to end
     * @throws AppError `unavailable`; `rate_limited` after many unknown tokens
     */
    async signOut(generateToken: string, network: string): Promise<boolean> {
      if (!isGenerateToken(generateToken)) return false;
      const tokenHash = hashGenerateToken(generateToken);
      const endIt = async () =>
        (await transact((transaction) => end(transaction, { tokenHash }, 'signed_out'))) || null;
      const ended = (await cache.knows(tokenHash)) ? await endIt() : await missLimit.run(network, endIt);
      return ended !== null;
    },

    /** Ends the session of a token that the same browser is about to replace, if there is one. */
    async endReplaced(transaction: Transaction, generateToken: string): Promise<void> {
      if (!isGenerateToken(generateToken)) return;
      await end(transaction, { tokenHash: hashGenerateToken(generateToken) }, 'replaced');
    },

    /** Ends one of the user's own sessions. @throws AppError `not_found` when it is not one of them, or has ended */
    async endOne(userId: string, sessionId: string): Promise<void> {
      const ended = await transact((transaction) => end(transaction, { userId, sessionId }, 'ended_by_user'));
      if (ended === 0) throw new AppError('not_found', { detail: 'You have no such session.' });
    },

    /** Ends all of the user's sessions but one. */
    async endOthers(userId: string, exceptSessionId: string): Promise<void> {
      await transact((transaction) => end(transaction, { userId, exceptSessionId }, 'ended_by_user'));
    },

    /** The user's live sessions, the latest used first, at most 100. */
    list(userId: string): Promise<ListedSession[]> {
      return store.list(userId);
    },
  };

  /**
   * Every session ends here. First the row, then, after the commit, the cache: in the other order a look-up between
   * the two would put the live row back into the cache.
   * @returns how many were ended
   */
  async function end(
    transaction: Transaction,
    selector: SessionSelector,
    reason: EndReason,
  ): Promise<number> {
    const tokenHashes = await store.end(transaction, selector, reason);
    if (tokenHashes.length > 0)
      await ended.send(transaction, { tokenHashes: tokenHashes.map((hash) => hash.toString('hex')) });
    return tokenHashes.length;
  }
}
