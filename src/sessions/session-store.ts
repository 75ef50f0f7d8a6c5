import type { SQL } from 'drizzle-orm';
import type { Database, Transaction } from '../db/database.ts';
import { and, eq, inArray, lt, ne, or, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { isOpenSession } from '../db/live-session.ts';
import { tryLock } from '../db/locks.ts';
import { sessions, users } from '../db/schema.ts';
import { toUserClaims, userClaimsColumns } from '../db/user-claims-columns.ts';
import type { Device } from './device.ts';
import type { SessionRecord } from './session-rules.ts';

/** Selects live sessions. */
export type SessionSelector =
  | { tokenHash: Buffer }
  | { userId: string; sessionId: string }
  | { userId: string; exceptSessionId: string };

export type EndReason = 'signed_out' | 'replaced' | 'ended_by_user';

export type NewSession = {
  id: string;
  userId: string;
  tokenHash: Buffer;
  ttlMs: number;
  idleTtlMs: number;
  device: Device;
};

export type ListedSession = {
  id: string;
  createdAt: Date;
  lastSeenAt: Date;
  expiresAt: Date;
  ip: string | null;
  userAgent: string | null;
};

/** A session's row as it was at that time. */
export type FoundSession = { record: SessionRecord; databaseNow: Date };

export type SessionStore = ReturnType<typeof createSessionStore>;

const MAX_LISTED = 100;

function matches(selector: SessionSelector): SQL | undefined {
  if ('tokenHash' in selector) return eq(sessions.generateToken, selector.tokenHash);
  const own = eq(sessions.userId, selector.userId);
  return 'sessionId' in selector
    ? and(own, eq(sessions.id, selector.sessionId))
    : and(own, ne(sessions.id, selector.exceptSessionId));
}

/** The `sessions` table. All times are database time. */
export function createSessionStore(database: Database) {
  const findByTokenHashes = prepareFind(database);

  return {
    /**
     * The sessions of generate tokens, live or not, in the order of the hashes; null if there is none. Each has the
     * database time of the answer.
     */
    async findAll(tokenHashes: Buffer[]): Promise<(FoundSession | null)[]> {
      const hexes = tokenHashes.map((hash) => hash.toString('hex'));
      const literals = hexes.map((hex) => `"\\\\x${hex}"`);
      const rows = await findByTokenHashes.execute({ tokenHashes: `{${literals.join(',')}}` });
      const found = new Map(rows.map((row) => [row.session.tokenHash.toString('hex'), toFoundSession(row)]));
      return hexes.map((hex) => found.get(hex) ?? null);
    },

    /** Starts a session; returns its id and the database's time. */
    async insert(transaction: Transaction, session: NewSession): Promise<{ databaseNow: Date }> {
      const { id, userId, tokenHash, ttlMs, idleTtlMs, device } = session;
      const [row] = await transaction.database
        .insert(sessions)
        .values({
          id,
          userId,
          generateToken: tokenHash,
          createdAt: sql`now()`,
          lastSeenAt: sql`now()`,
          expiresAt: sql`now() + ${inMs(ttlMs)}`,
          idleExpiresAt: sql`now() + ${inMs(idleTtlMs)}`,
          ip: device.ip,
          userAgent: device.userAgent,
        })
        .returning({ databaseNow: sessions.createdAt });
      if (row === undefined) throw new Error('an insert returned no row');
      return row;
    },

    /** Ends the selected sessions that are still open, and returns the token hashes of exactly those. */
    async end(transaction: Transaction, selector: SessionSelector, reason: EndReason): Promise<Buffer[]> {
      const ended = await transaction.database
        .update(sessions)
        .set({ endedAt: sql`now()`, endReason: reason, version: sql`${sessions.version} + 1` })
        .where(and(matches(selector), isOpenSession()))
        .returning({ tokenHash: sessions.generateToken });
      return ended.map((row) => row.tokenHash);
    },

    /** A user's open sessions, the latest used first, at most 100. */
    async list(userId: string): Promise<ListedSession[]> {
      return database
        .select({
          id: sessions.id,
          createdAt: sessions.createdAt,
          lastSeenAt: sessions.lastSeenAt,
          expiresAt: sessions.expiresAt,
          ip: sessions.ip,
          userAgent: sessions.userAgent,
        })
        .from(sessions)
        .where(and(eq(sessions.userId, userId), isOpenSession()))
        .orderBy(sql`${sessions.lastSeenAt} desc`, sql`${sessions.id} desc`)
        .limit(MAX_LISTED);
    },

    /**
     * Deletes sessions that have been over for a day, at most `limit`.
     * @returns how many; 0 while another replica is sweeping
     */
    async sweep(transaction: Transaction, limit: number): Promise<number> {
      if (!(await tryLock(transaction, 'sweepSessions'))) return 0;
      const { database } = transaction;
      const aDayAgo = sql`now() - interval '1 day'`;
      const over = database
        .select({ id: sessions.id })
        .from(sessions)
        .where(or(lt(sessions.idleExpiresAt, aDayAgo), lt(sessions.endedAt, aDayAgo)))
        .limit(limit);
      const swept = await database
        .delete(sessions)
        .where(inArray(sessions.id, over))
        .returning({ id: sessions.id });
      return swept.length;
    },

    /** Marks the sessions as used just now. Each is written at most once a minute, over all replicas. */
    async touch(sessionIds: string[], idleTtlMs: number): Promise<void> {
      await database
        .update(sessions)
        .set({
          lastSeenAt: sql`now()`,
          idleExpiresAt: sql`least(${sessions.expiresAt}, now() + ${inMs(idleTtlMs)})`,
        })
        .where(
          and(
            // One parameter: building a placeholder for each of hundreds takes longer than the update itself.
            sql`${sessions.id} = any(${`{${sessionIds.join(',')}}`}::uuid[])`,
            isOpenSession(),
            lt(sessions.lastSeenAt, sql`now() - interval '1 minute'`),
          ),
        );
    },
  };
}

/**
 * One parameter, so that one prepared statement serves any number of hashes. It is read in a subquery, so that
 * PostgreSQL does not know the number and keeps its plan: planning each time takes longer than the look-up.
 */
function prepareFind(database: Database) {
  return database
    .select({
      session: {
        id: sessions.id,
        userId: sessions.userId,
        tokenHash: sessions.generateToken,
        createdAt: sessions.createdAt,
        lastSeenAt: sessions.lastSeenAt,
        expiresAt: sessions.expiresAt,
        idleExpiresAt: sessions.idleExpiresAt,
        endedAt: sessions.endedAt,
        version: sessions.version,
      },
      claims: userClaimsColumns,
      userStatus: users.status,
      claimsVersion: users.claimsVersion,
      databaseNow: sql`now()`.mapWith(sessions.createdAt),
    })
    .from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(
      sql`${sessions.generateToken} = any((select ${sql.placeholder('tokenHashes')}::text::bytea[])::bytea[])`,
    )
    .prepare('find_sessions_by_token_hashes');
}

type FoundRow = Awaited<ReturnType<ReturnType<typeof prepareFind>['execute']>>[number];

function toFoundSession(row: FoundRow): FoundSession {
  const { session } = row;
  return {
    databaseNow: row.databaseNow,
    record: {
      id: session.id,
      userId: session.userId,
      claims: toUserClaims(row.claims),
      userStatus: row.userStatus,
      createdAt: session.createdAt.getTime(),
      lastSeenAt: session.lastSeenAt.getTime(),
      expiresAt: session.expiresAt.getTime(),
      idleExpiresAt: session.idleExpiresAt.getTime(),
      ended: session.endedAt !== null,
      // Both parts only grow, so the sum shows which of two copies is newer.
      version: session.version + row.claimsVersion,
    },
  };
}
