import { v7 as uuidv7 } from 'uuid';
import type { Actor } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { MissLimit } from '../cache/miss-limit.ts';
import type { DatabaseClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { createTurnsByKey } from '../core/turns.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { RevocationLog } from '../db/revocation-log.ts';
import type { Lane } from '../outbox/outbox-lane.ts';
import type { Device } from './device.ts';
import { createGenerateToken, hashGenerateToken, isGenerateToken } from './generate-token.ts';
import type { LastSeen } from './last-seen.ts';
import type { SessionCache } from './session-cache.ts';
import type { EndReason } from './session-end-store.ts';
import { createSessionEnds } from './session-ends.ts';
import { isLive, isSeenDue, type SessionRecord } from './session-rules.ts';
import type { ListedSession, PageWish, SessionStore } from './session-store.ts';
import type { SessionsEnded } from './sessions-ended.ts';

/** A session that was just started. Its generate token is known only now. */
export type StartedSession = { id: string; generateToken: string; maxAgeSeconds: number };

type SessionStart = {
  /** If left out, a new one: for whoever writes it down before there is the session. */
  id?: string;
  /** The generate token that the same browser has: its session ends. */
  replaces?: string | null;
  /** How the user showed who they are (RFC 8176); with a password if left out. */
  amr?: string[];
};

/** A part of a user's sessions; `next` is where the list goes on, null at its end. */
export type SessionPage = { sessions: ListedSession[]; next: string | null };

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
  audit: AuditService;
  revocations: RevocationLog;
};

export type SessionService = ReturnType<typeof createSessionService>;

/** Starts, finds and ends sessions. */
export function createSessionService(parts: SessionServiceParts) {
  const { store, cache, transact, clock, missLimit, lastSeen, ttlMs, idleTtlMs, mostPerUser } = parts;
  const ends = createSessionEnds(parts);
  // Of one user one at a time, so that no user takes more than one database connection for this.
  const listInTurn = createTurnsByKey<string>();

  return {
    /**
     * Starts a session for a user who has just shown who they are. The oldest ones beyond the bound end.
     */
    async start(
      transaction: Transaction,
      userId: string,
      device: Device,
      { id = uuidv7(), replaces = null, amr = ['pwd'] }: SessionStart = {},
    ): Promise<StartedSession> {
      await store.lockUser(transaction, userId);
      const room = {
        userId,
        replaced: hashIfToken(replaces),
        mostOthers: mostPerUser > 0 ? mostPerUser - 1 : null,
      };
      await ends.tell(transaction, await store.makeRoom(transaction, room));
      const generateToken = createGenerateToken();
      const session = {
        id,
        userId,
        tokenHash: hashGenerateToken(generateToken),
        ttlMs,
        idleTtlMs,
        device,
        amr,
      };
      clock.observe((await store.insert(transaction, session)).databaseNow);
      return { id, generateToken, maxAgeSeconds: Math.floor(ttlMs / 1000) };
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
    async signOut(generateToken: string, network: string, device?: Device): Promise<boolean> {
      if (!isGenerateToken(generateToken)) return false;
      const tokenHash = hashGenerateToken(generateToken);
      const endIt = async () =>
        (await transact((transaction) => ends.end(transaction, { tokenHash }, 'signed_out', device))) || null;
      const ended = (await cache.knows(tokenHash)) ? await endIt() : await missLimit.run(network, endIt);
      return ended !== null;
    },

    /**
     * Brings a session that has just been committed to the cache, so that its first use is no miss, which the limit on
     * misses could refuse. Never rejects.
     */
    warm: (generateToken: string) => cache.warm(hashGenerateToken(generateToken)),

    /** Ends one of the user's own sessions. @throws AppError `not_found` when it is not one of them, or has ended */
    async endOne(userId: string, sessionId: string, device?: Device): Promise<void> {
      const selector = { userId, sessionId };
      const count = await transact((transaction) => ends.end(transaction, selector, 'ended_by_user', device));
      if (count === 0) throw new AppError('not_found', { detail: 'You have no such session.' });
    },

    /** Ends a session of any user, for an operator. @throws AppError `not_found` when there is none, or it has ended */
    async endAnyOne(sessionId: string, actor: Actor): Promise<void> {
      const selector = { sessionIds: [sessionId] };
      const count = await transact((transaction) =>
        ends.end(transaction, selector, 'ended_by_operator', actor),
      );
      if (count === 0)
        throw new AppError('not_found', { detail: 'There is no such session, or it has ended.' });
    },

    /**
     * Makes sure in the transaction of a change that the session of the request has not ended in the meantime: the
     * password, say, may just have been reset. Until the transaction ends, that stays so. To be called first in it.
     * @throws AppError `not_signed_in`
     */
    async requireOpen(transaction: Transaction, userId: string, sessionId: string): Promise<void> {
      await store.lockUser(transaction, userId);
      if (!(await store.isOpen(transaction, userId, sessionId))) throw new AppError('not_signed_in');
    },

    /** Ends one session of the user in the transaction, if it is open. */
    async endOneIn(
      transaction: Transaction,
      userId: string,
      sessionId: string,
      reason: EndReason,
      device?: Device,
    ): Promise<void> {
      await ends.end(transaction, { userId, sessionId }, reason, device);
    },

    endOthers: ends.endOthers,
    endSurplus: ends.endSurplus,
    endAllIn: ends.endAllIn,
    endAll: ends.endAll,
    claimsChanged: ends.claimsChanged,
    claimsOfManyChanged: ends.claimsOfManyChanged,

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
}

function hashIfToken(text: string | null): Buffer | null {
  return text !== null && isGenerateToken(text) ? hashGenerateToken(text) : null;
}
