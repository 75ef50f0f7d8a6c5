import type { SQL } from 'drizzle-orm';
import type { Database, Transaction } from '../db/database.ts';
import { and, desc, eq, inArray, lt, or, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { isOpenSession } from '../db/live-session.ts';
import { tryLock } from '../db/locks.ts';
import { instantOfMicros, microsOf } from '../db/micros.ts';
import { sessions, users } from '../db/schema.ts';
import { toUserClaims, userClaimsColumns } from '../db/user-claims-columns.ts';
import { currentStatus } from '../db/user-status.ts';
import type { Device } from './device.ts';
import { createSessionEndStore, isOneOf, preferIndexOrder } from './session-end-store.ts';
import type { SessionRecord } from './session-rules.ts';

export type NewSession = {
  id: string;
  userId: string;
  tokenHash: Buffer;
  ttlMs: number;
  idleTtlMs: number;
  device: Device;
  /** How the user showed who they are (RFC 8176). */
  amr: string[];
};

export type ListedSession = {
  id: string;
  userId: string;
  createdAt: Date;
  /** When the user last showed who they are. */
  authenticatedAt: Date;
  /** How (RFC 8176). */
  amr: string[];
  lastSeenAt: Date;
  expiresAt: Date;
  ip: string | null;
  userAgent: string | null;
  /** For `after`: the list goes on behind this session. */
  cursor: string;
};

/** A part of a list. */
export type PageWish = { limit: number; after?: string | undefined };

/** A session's row as it was at that time. */
export type FoundSession = { record: SessionRecord; databaseNow: Date };

export type SessionStore = ReturnType<typeof createSessionStore>;

/**
 * The instant of `last_seen_at` to the microsecond, which a Date does not hold, and the id.
 * `CURSOR_PATTERN` in session-rules.ts is its form.
 */
const CURSOR = sql<string>`${microsOf(sessions.lastSeenAt)} || '.' || ${sessions.id}`;

const authenticatedAt = sql<Date>`coalesce(${sessions.authenticatedAt}, ${sessions.createdAt})`.mapWith(
  sessions.createdAt,
);

/** Condition: the session comes later in the list than that of the cursor. */
function isAfter(cursor: string): SQL {
  const [micros, id] = cursor.split('.');
  return sql`(${sessions.lastSeenAt}, ${sessions.id}) < (${instantOfMicros(String(micros))}, ${id}::uuid)`;
}

/** The `sessions` table. All times are database time. */
export function createSessionStore(database: Database) {
  const findByTokenHashes = prepareFind(database);

  return {
    ...createSessionEndStore(),

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
      const { id, userId, tokenHash, ttlMs, idleTtlMs, device, amr } = session;
      const [row] = await transaction.database
        .insert(sessions)
        .values({
          id,
          userId,
          generateToken: tokenHash,
          createdAt: sql`now()`,
          authenticatedAt: sql`now()`,
          amr,
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

    /** A user's open sessions, the latest used first. */
    async list(
      transaction: Transaction,
      userId: string,
      { limit, after }: PageWish,
    ): Promise<ListedSession[]> {
      await preferIndexOrder(transaction);
      return transaction.database
        .select({
          id: sessions.id,
          userId: sessions.userId,
          createdAt: sessions.createdAt,
          authenticatedAt,
          amr: sessions.amr,
          lastSeenAt: sessions.lastSeenAt,
          expiresAt: sessions.expiresAt,
          ip: sessions.ip,
          userAgent: sessions.userAgent,
          cursor: CURSOR,
        })
        .from(sessions)
        .where(
          and(eq(sessions.userId, userId), isOpenSession(), after === undefined ? undefined : isAfter(after)),
        )
        .orderBy(desc(sessions.lastSeenAt), desc(sessions.id))
        .limit(limit);
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

    /**
     * Marks the sessions as used just now. Each is written at most once a minute, over all replicas. A session that
     * another transaction is changing is left out, because this one has locks of many users and must not wait: that
     * other transaction ends the session, or marks it too.
     */
    async touch(sessionIds: string[], idleTtlMs: number): Promise<void> {
      const due = database.$with('due').as(
        database
          .select({ id: sessions.id })
          .from(sessions)
          .where(
            and(
              isOneOf(sessionIds),
              isOpenSession(),
              lt(sessions.lastSeenAt, sql`now() - interval '1 minute'`),
            ),
          )
          .for('update', { skipLocked: true }),
      );
      await database
        .with(due)
        .update(sessions)
        .set({
          lastSeenAt: sql`now()`,
          idleExpiresAt: sql`least(${sessions.expiresAt}, now() + ${inMs(idleTtlMs)})`,
        })
        .from(due)
        .where(eq(sessions.id, due.id));
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
        authenticatedAt,
        amr: sessions.amr,
        acr: sessions.acr,
        lastSeenAt: sessions.lastSeenAt,
        expiresAt: sessions.expiresAt,
        idleExpiresAt: sessions.idleExpiresAt,
        endedAt: sessions.endedAt,
        version: sessions.version,
      },
      claims: userClaimsColumns,
      userStatus: currentStatus(),
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
      authenticatedAt: session.authenticatedAt.getTime(),
      amr: session.amr,
      acr: session.acr,
      lastSeenAt: session.lastSeenAt.getTime(),
      expiresAt: session.expiresAt.getTime(),
      idleExpiresAt: session.idleExpiresAt.getTime(),
      ended: session.endedAt !== null,
      // Both parts only grow, so the sum shows which of two copies is newer.
      version: session.version + row.claims.claimsVersion,
    },
  };
}
