import type { SQL } from 'drizzle-orm';
import type { Database, Transaction } from '../db/database.ts';
import { and, asc, desc, eq, inArray, lt, ne, sql } from '../db/drizzle.ts';
import { isOpenSession } from '../db/live-session.ts';
import type { ChangedUser } from '../db/revocation-log.ts';
import { sessions, users } from '../db/schema.ts';

/** Selects live sessions. */
export type SessionSelector =
  | { tokenHash: Buffer }
  | { userId: string; sessionId: string }
  | { userId: string; sessionIds: string[] }
  /** All of the user's, or all but one. */
  | { userId: string; exceptSessionId: string | null }
  | { sessionIds: string[] };

/** A session that was ended just now. */
export type EndedSession = { id: string; userId: string; tokenHash: Buffer };

export type EndReason =
  | 'signed_out'
  | 'replaced'
  | 'too_many'
  | 'ended_by_user'
  | 'ended_by_operator'
  | 'password_changed'
  | 'password_reset'
  | 'email_changed'
  | 'disowned'
  | 'banned'
  | 'reset_forced'
  | 'account_deleted';

/** The user's new claims version, and the token hashes of their open sessions: at most 1,000, the latest used first. */
export type ChangedClaims = { version: number; openTokenHashes: Buffer[] };

/** What a new session takes the place of. */
export type MakeRoom = {
  userId: string;
  /** The generate token that the browser had, hashed. */
  replaced: Buffer | null;
  /** How many other sessions the user may keep: the newest. Null: any number. */
  mostOthers: number | null;
};

/** Some of a user's open sessions. */
export type OthersWish = {
  userId: string;
  /** Is left out. */
  exceptSessionId: string | null;
  /** That many of the latest used are left out too; none by default. */
  keep?: number;
};

/** About a twentieth of a second, far from the deadline of a transaction. */
const ENDED_AT_ONCE = 1_000;

/** No session has it: the hash of a token has 32 bytes. */
const NO_TOKEN = Buffer.alloc(0);

function matches(selector: SessionSelector): SQL | undefined {
  if ('tokenHash' in selector) return eq(sessions.generateToken, selector.tokenHash);
  if (!('userId' in selector)) return isOneOf(selector.sessionIds);
  const own = eq(sessions.userId, selector.userId);
  if ('exceptSessionId' in selector) return and(own, isNot(selector.exceptSessionId));
  return 'sessionId' in selector
    ? and(own, eq(sessions.id, selector.sessionId))
    : and(own, isOneOf(selector.sessionIds));
}

function isNot(sessionId: string | null): SQL | undefined {
  return sessionId === null ? undefined : ne(sessions.id, sessionId);
}

/** Condition with one parameter: building a placeholder for each of hundreds takes longer than the statement itself. */
export function isOneOf(sessionIds: string[]): SQL {
  return sql`${sessions.id} = any(${`{${sessionIds.join(',')}}`}::uuid[])`;
}

/** How rows of the `sessions` table end, and how what is copied from them changes. All times are database time. */
export function createSessionEndStore() {
  return {
    /** Ends the selected sessions that are still open, and returns exactly those. */
    async end(
      { database }: Transaction,
      selector: SessionSelector,
      reason: EndReason,
    ): Promise<EndedSession[]> {
      return endOpen(database, matches(selector), sql`${reason}`);
    },

    /**
     * Until the transaction ends, no other one starts a session of this user, or ends all of them. To be called before
     * anything else of the user is locked.
     */
    async lockUser({ database }: Transaction, userId: string): Promise<void> {
      await database.select({ id: users.id }).from(users).where(eq(users.id, userId)).for('no key update');
    },

    /** Whether the session is open, and the user's. */
    async isOpen({ database }: Transaction, userId: string, sessionId: string): Promise<boolean> {
      const [row] = await database
        .select({ id: sessions.id })
        .from(sessions)
        .where(and(eq(sessions.id, sessionId), eq(sessions.userId, userId), isOpenSession()));
      return row !== undefined;
    },

    /**
     * Ends the session that a new one replaces, and the oldest ones beyond the bound, at most 1,000 in all. The user must be
     * locked: otherwise two transactions would not count each other's new session.
     * @returns those that were ended
     */
    async makeRoom(
      { database }: Transaction,
      { userId, replaced, mostOthers }: MakeRoom,
    ): Promise<EndedSession[]> {
      const isReplaced = eq(sessions.generateToken, replaced ?? NO_TOKEN);
      const reason = sql`case when ${isReplaced} then 'replaced' else 'too_many' end`;
      if (mostOthers === null) return endOpen(database, isReplaced, reason);
      const others = database
        .select({ id: sessions.id, createdAt: sessions.createdAt })
        .from(sessions)
        .where(
          and(eq(sessions.userId, userId), ne(sessions.generateToken, replaced ?? NO_TOKEN), isOpenSession()),
        )
        .orderBy(desc(sessions.createdAt), desc(sessions.id))
        .offset(mostOthers)
        .as('others');
      const oldest = database
        .select({ id: others.id })
        .from(others)
        .orderBy(asc(others.createdAt), asc(others.id))
        .limit(ENDED_AT_ONCE - 1)
        .as('oldest');
      // Not `or`: for that, PostgreSQL would read the whole table.
      const chosen = database
        .select({ id: sessions.id })
        .from(sessions)
        .where(isReplaced)
        .unionAll(database.select({ id: oldest.id }).from(oldest));
      return endOpen(database, inArray(sessions.id, chosen), reason);
    },

    /** The ids of a user's open sessions, at most 1,000, the latest used first. */
    async listOthers(
      transaction: Transaction,
      { userId, exceptSessionId, keep = 0 }: OthersWish,
    ): Promise<string[]> {
      await preferIndexOrder(transaction);
      const others = await transaction.database
        .select({ id: sessions.id })
        .from(sessions)
        .where(and(eq(sessions.userId, userId), isNot(exceptSessionId), isOpenSession()))
        .orderBy(desc(sessions.lastSeenAt), desc(sessions.id))
        .offset(keep)
        .limit(ENDED_AT_ONCE);
      return others.map(({ id }) => id);
    },

    /**
     * Notes that the claims of a user's tokens have changed, so that no copy of a session from before is newer.
     * @returns null when the account is gone
     */
    async changeClaims(transaction: Transaction, userId: string): Promise<ChangedClaims | null> {
      const { database } = transaction;
      const [changed] = await raiseVersions(database, [userId]);
      if (changed === undefined) return null;
      await preferIndexOrder(transaction);
      const open = await database
        .select({ tokenHash: sessions.generateToken })
        .from(sessions)
        .where(and(eq(sessions.userId, userId), isOpenSession()))
        .orderBy(desc(sessions.lastSeenAt), desc(sessions.id))
        .limit(ENDED_AT_ONCE);
      return { version: changed.version, openTokenHashes: open.map(({ tokenHash }) => tokenHash) };
    },

    /**
     * The same of many users, who are locked. Accounts that are gone are left out.
     * @returns the token hashes of at most 1,000 open sessions of each
     */
    async changeClaimsOfMany(
      transaction: Transaction,
      userIds: string[],
    ): Promise<{ users: ChangedUser[]; openTokenHashes: Buffer[] }> {
      const { database } = transaction;
      const changed = await raiseVersions(database, userIds);
      await preferIndexOrder(transaction);
      const latest = database
        .select({ tokenHash: sessions.generateToken })
        .from(sessions)
        .where(and(eq(sessions.userId, users.id), isOpenSession()))
        .orderBy(desc(sessions.lastSeenAt), desc(sessions.id))
        .limit(ENDED_AT_ONCE)
        .as('latest');
      const open = await database
        .select({ tokenHash: latest.tokenHash })
        .from(users)
        .innerJoinLateral(latest, sql`true`)
        .where(isOneOfUsers(userIds));
      return { users: changed, openTokenHashes: open.map(({ tokenHash }) => tokenHash) };
    },

    /** The ids of open sessions of all users, at most 1,000, the last ones first. @param below where to go on */
    async listOpen({ database }: Transaction, below: string): Promise<string[]> {
      const open = await database
        .select({ id: sessions.id })
        .from(sessions)
        .where(and(lt(sessions.id, below), isOpenSession()))
        .orderBy(desc(sessions.id))
        .limit(ENDED_AT_ONCE);
      return open.map(({ id }) => id);
    },
  };
}

/** Condition with one parameter, as `isOneOf`. */
function isOneOfUsers(userIds: string[]): SQL {
  return sql`${users.id} = any(${`{${userIds.join(',')}}`}::uuid[])`;
}

async function raiseVersions(database: Database, userIds: string[]): Promise<ChangedUser[]> {
  return database
    .update(users)
    .set({ claimsVersion: sql`${users.claimsVersion} + 1` })
    .where(isOneOfUsers(userIds))
    .returning({ userId: users.id, version: users.claimsVersion });
}

/**
 * Until the transaction ends, PostgreSQL takes the first rows of an index in its order. It expects few sessions of any
 * user, and would otherwise read and sort all of them for each part of a list.
 */
export async function preferIndexOrder({ database }: Transaction): Promise<void> {
  await database.execute(
    sql`select set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true)`,
  );
}

/**
 * Ends those of the chosen sessions that are open. The rows are locked in the order of their ids: two transactions that
 * end some of the same sessions wait for each other one way only.
 */
async function endOpen(database: Database, chosen: SQL | undefined, reason: SQL): Promise<EndedSession[]> {
  const open = database
    .$with('open')
    .as(
      database
        .select({ id: sessions.id })
        .from(sessions)
        .where(and(chosen, isOpenSession()))
        .orderBy(asc(sessions.id))
        .for('update'),
    );
  return database
    .with(open)
    .update(sessions)
    .set({ endedAt: sql`now()`, endReason: reason, version: sql`${sessions.version} + 1` })
    .from(open)
    .where(eq(sessions.id, open.id))
    .returning({ id: sessions.id, userId: sessions.userId, tokenHash: sessions.generateToken });
}
