import { MAX } from 'uuid';
import { type Actor, byActor, type NewAuditEvent, OPERATOR } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { DatabaseClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { createTurnsByKey } from '../core/turns.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { RevocationLog } from '../db/revocation-log.ts';
import type { Lane } from '../outbox/outbox-lane.ts';
import type { Device } from './device.ts';
import type { EndedSession, EndReason, OthersWish, SessionSelector } from './session-end-store.ts';
import type { SessionStore } from './session-store.ts';
import { type SessionsEnded, sessionsEndedMessages } from './sessions-ended.ts';

/** Less than the time after which browsers and proxies give up. */
const END_OTHERS_WITHIN_MS = 5_000;

/** As many end with a change of the password or the address, in the same transaction. */
const ENDED_WITH_A_CHANGE = 1_000;

/** Reasons of those who had not signed in: the code of a mail was enough. */
const BY_NO_USER: EndReason[] = ['password_reset', 'disowned'];

/** What is known of who ends sessions: the device of their user, or an operator. */
export type EndedBy = Device | Actor;

type SessionEndsParts = {
  store: SessionStore;
  transact: Transact;
  clock: DatabaseClock;
  audit: AuditService;
  revocations: RevocationLog;
  /** The outbox lane that brings ended sessions to the cache. */
  ended: Lane<typeof SessionsEnded>;
};

/**
 * How sessions end. First the row, then, after the commit, the cache: in the other order a look-up between the two would
 * put the live row back into the cache. Each operation is one event of the audit, or one for each 1,000 sessions.
 */
export function createSessionEnds({ store, transact, clock, audit, revocations, ended }: SessionEndsParts) {
  // Of one user one at a time, so that no user takes more than one database connection for this.
  const inTurn = createTurnsByKey<string>();

  return { end, endOthers, endSurplus, endAllIn, endAll, claimsChanged, claimsOfManyChanged, tell };

  /** Ends those of the selected sessions that are open. @returns how many */
  async function end(
    transaction: Transaction,
    selector: SessionSelector,
    reason: EndReason,
    by?: EndedBy,
  ): Promise<number> {
    const sessions = await store.end(transaction, selector, reason);
    await tell(transaction, sessions);
    await record(transaction, sessions, reason, by);
    return sessions.length;
  }

  /** Lets every replica, and the services, know once the transaction has been committed that these sessions have ended. */
  async function tell(transaction: Transaction, sessions: EndedSession[]): Promise<void> {
    await tellCache(
      transaction,
      sessions.map(({ tokenHash }) => tokenHash),
    );
    await revocations.sessionsEnded(
      transaction,
      sessions.map(({ id }) => id),
    );
  }

  /** Lets every replica read the rows of these sessions again once the transaction has been committed. */
  async function tellCache(transaction: Transaction, tokenHashes: Buffer[]): Promise<void> {
    if (tokenHashes.length > 0) await ended.send(transaction, ...sessionsEndedMessages(tokenHashes));
  }

  async function record(
    transaction: Transaction,
    sessions: EndedSession[],
    reason: EndReason,
    by?: EndedBy,
  ): Promise<void> {
    const [first] = sessions;
    if (first !== undefined) await audit.record(transaction, eventOf(first, sessions.length, reason, by));
  }

  /**
   * Ends all of the user's sessions but one, in several transactions if there are many.
   * @param exceptSessionId null: all of them
   * @returns how many
   * @throws AppError `unavailable` when some are left after five seconds: those that have ended stay ended
   */
  function endOthers(
    userId: string,
    exceptSessionId: string | null,
    reason: EndReason,
    by?: EndedBy,
  ): Promise<number> {
    return endMany({ userId, exceptSessionId, keep: 0 }, reason, by);
  }

  /**
   * Ends so many of the user's sessions that `endAllIn` can end the rest in one transaction. To be called before that
   * transaction begins. Mostly there is nothing to do.
   * @throws AppError `unavailable` when too many are left after five seconds
   */
  async function endSurplus(
    userId: string,
    exceptSessionId: string | null,
    reason: EndReason,
    by?: EndedBy,
  ): Promise<void> {
    const wish = { userId, exceptSessionId, keep: ENDED_WITH_A_CHANGE };
    await endMany(wish, reason, by);
  }

  async function endMany(
    wish: Required<OthersWish>,
    reason: EndReason,
    by: EndedBy | undefined,
  ): Promise<number> {
    const giveUpAt = clock.local() + END_OTHERS_WITHIN_MS;
    return inTurn(wish.userId, () => endUntil(giveUpAt, wish, reason, by));
  }

  async function endUntil(
    giveUpAt: number,
    wish: Required<OthersWish>,
    reason: EndReason,
    by: EndedBy | undefined,
  ): Promise<number> {
    const list = () => transact((transaction) => store.listOthers(transaction, wish));
    let count = 0;
    // Until there is none, not until none was ended: another request may have ended just those of this list.
    for (let sessionIds = await list(); sessionIds.length > 0; sessionIds = await list()) {
      if (clock.local() >= giveUpAt) {
        const detail = 'There are very many sessions, and some have not ended yet: try again.';
        throw new AppError('unavailable', { detail, retryAfterSeconds: 1 });
      }
      const selector = { userId: wish.userId, sessionIds };
      count += await transact((transaction) => end(transaction, selector, reason, by));
    }
    return count;
  }

  /**
   * Ends all of the user's sessions but one, and makes all tokens from before void, in the transaction of the change that
   * makes this necessary. To be called before a new one is started in it, and before the account is deleted. A sign-in at
   * the same time comes first, and ends as well, or waits for the commit.
   * @param exceptSessionId null: all of them
   * @returns how many
   */
  async function endAllIn(
    transaction: Transaction,
    userId: string,
    exceptSessionId: string | null,
    reason: EndReason,
    by?: EndedBy,
  ): Promise<number> {
    await store.lockUser(transaction, userId);
    const count = await end(transaction, { userId, exceptSessionId }, reason, by);
    await claimsChanged(transaction, userId);
    return count;
  }

  /**
   * Ends the sessions of all users, in many transactions. Those that start meanwhile go on: ids grow with time, so they
   * come after all that are listed.
   * @returns how many
   * @throws AppError `unavailable`: what has ended until then stays ended
   */
  async function endAll(): Promise<number> {
    let count = 0;
    for (let ids = await listOpen(MAX); ids.length > 0; ids = await listOpen(String(ids.at(-1)))) {
      const some = { sessionIds: ids };
      count += await transact((transaction) => end(transaction, some, 'ended_by_operator'));
    }
    return count;
  }

  function listOpen(below: string): Promise<string[]> {
    return transact((transaction) => store.listOpen(transaction, below));
  }

  /**
   * Lets tokens say what has just changed of the user, from the next route change on, and makes those from before void. To
   * be called in the transaction of that change, before a session is started in it. Of more than 1,000 sessions, the rest
   * follows within a minute.
   */
  async function claimsChanged(transaction: Transaction, userId: string): Promise<void> {
    const changed = await store.changeClaims(transaction, userId);
    if (changed === null) return;
    await tellCache(transaction, changed.openTokenHashes);
    await revocations.claimsChanged(transaction, userId, changed.version);
  }

  /** The same for some hundred users at once, who are locked. */
  async function claimsOfManyChanged(transaction: Transaction, userIds: string[]): Promise<void> {
    const { users, openTokenHashes } = await store.changeClaimsOfMany(transaction, userIds);
    await tellCache(transaction, openTokenHashes);
    await revocations.claimsOfManyChanged(transaction, users);
  }
}

/** The end of some sessions. An operator without a name has ended those of all users. */
function eventOf(first: EndedSession, count: number, reason: EndReason, by?: EndedBy): NewAuditEvent {
  const { id, userId } = first;
  const only = count === 1 ? { sessionId: id } : {};
  const ended = { kind: 'session.ended' as const, details: { reason, count } };
  // The session of the event is then that of the operator.
  if (by !== undefined && 'kind' in by)
    return { ...ended, userId, ...byActor(by), details: { ...ended.details, session_id: only.sessionId } };
  if (reason === 'ended_by_operator') return { ...ended, ...only, userId: null, ...byActor(OPERATOR) };
  const actorId = BY_NO_USER.includes(reason) ? null : userId;
  return { ...ended, ...only, userId, actorId, ...(by && { device: by }) };
}
