import { MAX, v7 as uuidv7 } from 'uuid';
import type { MissLimit } from '../cache/miss-limit.ts';
import type { DatabaseClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { createTurnsByKey } from '../core/turns.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { Lane } from '../outbox/outbox-lane.ts';
import type { Device } from './device.ts';
import { createGenerateToken, hashGenerateToken, isGenerateToken } from './generate-token.ts';
import type { LastSeen } from './last-seen.ts';
import type { SessionCache } from './session-cache.ts';
import { isLive, isSeenDue, type SessionRecord } from './session-rules.ts';
import type { EndReason, ListedSession, PageWish, SessionSelector, SessionStore } from './session-store.ts';
import { type SessionsEnded, sessionsEndedMessages } from './sessions-ended.ts';

/** A session that was just started. Its generate token is known only now. */
export type StartedSession = { id: string; generateToken: string; maxAgeSeconds: number };

type SessionStart = {
  /** The generate token that the same browser has: its session ends. */
  replaces?: string | null;
  /** How the user showed who they are (RFC 8176); with a password if left out. */
  amr?: string[];
};

/** A part of a user's sessions; `next` is where the list goes on, null at its end. */
export type SessionPage = { sessions: ListedSession[]; next: string | null };

/** Less than the time after which browsers and proxies give up. */
const END_OTHERS_WITHIN_MS = 5_000;

type SessionServiceParts = {
  store: SessionStore;
  cache: SessionCache;
  transact: Transact;
  clock: DatabaseClock;
  lastSeen: LastSeen;
  ttlMs: number;
  idleTtlMs: number;
  /** Sessions of one user at a time; 0: any number. */
  mostPerUser: number;
  /** The outbox lane that brings ended sessions to the cache. */
  ended: Lane<typeof SessionsEnded>;
  missLimit: MissLimit;
};

export type SessionService = ReturnType<typeof createSessionService>;

/** Starts, finds and ends sessions. */
export function createSessionService(parts: SessionServiceParts) {
  const { store, cache, transact, clock, ended, missLimit, lastSeen, ttlMs, idleTtlMs, mostPerUser } = parts;
  // Of one user one at a time, so that no user takes more than one database connection for each.
  const [listInTurn, endInTurn] = [createTurnsByKey<string>(), createTurnsByKey<string>()];

  return {
    /**
     * Starts a session for a user who has just shown who they are. The oldest ones beyond the bound end.
     */
    async start(
      transaction: Transaction,
      userId: string,
      device: Device,
      { replaces = null, amr = ['pwd'] }: SessionStart = {},
    ): Promise<StartedSession> {
      const room = {
        userId,
        replaced: hashIfToken(replaces),
        mostOthers: mostPerUser > 0 ? mostPerUser - 1 : null,
      };
      await sendEnded(transaction, await store.makeRoom(transaction, room));
      const generateToken = createGenerateToken();
      const session = {
        id: uuidv7(),
        userId,
        tokenHash: hashGenerateToken(generateToken),
        ttlMs,
        idleTtlMs,
        device,
        amr,
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

    /**
     * Brings a session that has just been committed to the cache, so that its first use is no miss, which the limit on
     * misses could refuse. Never rejects.
     */
    warm: (generateToken: string) => cache.warm(hashGenerateToken(generateToken)),

    /** Ends one of the user's own sessions. @throws AppError `not_found` when it is not one of them, or has ended */
    async endOne(userId: string, sessionId: string): Promise<void> {
      const ended = await transact((transaction) => end(transaction, { userId, sessionId }, 'ended_by_user'));
      if (ended === 0) throw new AppError('not_found', { detail: 'You have no such session.' });
    },

    /**
     * Ends all of the user's sessions but one, in several transactions if there are many.
     * @throws AppError `unavailable` when some are left after five seconds: those that have ended stay ended
     */
    async endOthers(userId: string, exceptSessionId: string): Promise<void> {
      const giveUpAt = clock.local() + END_OTHERS_WITHIN_MS;
      await endInTurn(userId, () => endAllOthers(userId, exceptSessionId, giveUpAt));
    },

    /**
     * Ends the sessions of all users, in many transactions. Those that start meanwhile go on: ids grow with time, so they
     * come after all that are listed.
     * @returns how many
     * @throws AppError `unavailable`: what has ended until then stays ended
     */
    async endAll(): Promise<number> {
      let ended = 0;
      for (let ids = await listOpen(MAX); ids.length > 0; ids = await listOpen(String(ids.at(-1)))) {
        const some = { sessionIds: ids };
        ended += await transact((transaction) => end(transaction, some, 'ended_by_operator'));
      }
      return ended;
    },

    /** The user's live sessions, the latest used first. */
    async list(userId: string, { limit, after }: PageWish): Promise<SessionPage> {
      // One more shows whether the list goes on.
      const wish = { limit: limit + 1, after };
      const list = () => transact((transaction) => store.list(transaction, userId, wish));
      const found = await listInTurn(userId, list);
      const sessions = found.slice(0, limit);
      const last = found.length > limit ? sessions.at(-1) : undefined;
      return { sessions, next: last?.cursor ?? null };
    },
  };

  function listOpen(below: string): Promise<string[]> {
    return transact((transaction) => store.listOpen(transaction, below));
  }

  async function endAllOthers(userId: string, exceptSessionId: string, giveUpAt: number): Promise<void> {
    const listOthers = () =>
      transact((transaction) => store.listOthers(transaction, userId, exceptSessionId));
    // Until there is none, not until none was ended: another request may have ended just those of this list.
    for (let ids = await listOthers(); ids.length > 0; ids = await listOthers()) {
      if (clock.local() >= giveUpAt) {
        const detail = 'There are very many sessions, and some have not ended yet: try again.';
        throw new AppError('unavailable', { detail, retryAfterSeconds: 1 });
      }
      const selector = { userId, sessionIds: ids };
      await transact((transaction) => end(transaction, selector, 'ended_by_user'));
    }
  }

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
    await sendEnded(transaction, tokenHashes);
    return tokenHashes.length;
  }

  async function sendEnded(transaction: Transaction, tokenHashes: Buffer[]): Promise<void> {
    if (tokenHashes.length > 0) await ended.send(transaction, ...sessionsEndedMessages(tokenHashes));
  }
}

function hashIfToken(text: string | null): Buffer | null {
  return text !== null && isGenerateToken(text) ? hashGenerateToken(text) : null;
}
