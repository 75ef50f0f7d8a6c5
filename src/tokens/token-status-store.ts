import type { SQL } from 'drizzle-orm';
import type { UserClaims } from '../core/user-claims.ts';
import type { Database, Transaction } from '../db/database.ts';
import { and, eq, inArray, isNull, lt, or, sql } from '../db/drizzle.ts';
import { isLiveSession } from '../db/live-session.ts';
import { tryLock } from '../db/locks.ts';
import { serviceClients, sessions, spentTokens, users } from '../db/schema.ts';
import { toUserClaims, userClaimsColumns } from '../db/user-claims-columns.ts';

/** The claims of a user's token that the database compares with its rows. */
export type UserToken = { jti: string; sessionId: string; userId: string };

export type Redemption = UserToken & {
  clientId: string;
  /** With it the winner may ask again if the answer was lost. */
  idempotencyKey: string | null;
  expiresAt: Date;
};

/** What a service client may put into its own tokens. */
export type ClientRights = { scopes: string[]; audiences: string[] };

export type TokenStatusStore = ReturnType<typeof createTokenStatusStore>;

const notSpent = (): SQL =>
  sql`not exists (select from ${spentTokens} where ${spentTokens.jti} = ${sql.placeholder('jti')})`;

/** The state of verified tokens, from the `sessions`, `users`, `service_clients` and `spent_tokens` tables. */
export function createTokenStatusStore(database: Database) {
  const isSame = and(eq(sessions.id, sql.placeholder('sessionId')), eq(users.id, sql.placeholder('userId')));
  const findLiveUser = database
    .select(userClaimsColumns)
    .from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(and(isSame, isLiveSession(), notSpent()))
    .prepare('find_user_of_live_token');
  const findLiveClient = database
    .select({ scopes: serviceClients.scopes, audiences: serviceClients.audiences })
    .from(serviceClients)
    .where(
      and(eq(serviceClients.id, sql.placeholder('clientId')), isNull(serviceClients.disabledAt), notSpent()),
    )
    .prepare('find_client_of_live_token');

  return {
    /** The current claims about the token's user; null when its session is not live or the token was revoked. */
    async findUserClaims(token: UserToken): Promise<UserClaims | null> {
      const [row] = await findLiveUser.execute(token);
      return row === undefined ? null : toUserClaims(row);
    },

    /** What the client may have now; null when it was disabled, or its own token `jti` was revoked. */
    async findClientRights(jti: string, clientId: string): Promise<ClientRights | null> {
      const [row] = await findLiveClient.execute({ jti, clientId });
      return row ?? null;
    },

    /**
     * Redeems a single-use token, if its session is live. It is one statement, so that only one of many callers wins.
     * The winner may ask again with its idempotency key and wins again, even if the session has ended in the meantime.
     * @returns whether the caller is the winner
     */
    async redeem({
      jti,
      sessionId,
      userId,
      clientId,
      idempotencyKey,
      expiresAt,
    }: Redemption): Promise<boolean> {
      const isWinner = sql`
        ${spentTokens.reason} = 'redeemed' and ${spentTokens.clientId} = ${clientId}
        and ${spentTokens.idempotencyKey} = ${idempotencyKey}::text`;
      const mayRedeem = database
        .select({
          jti: sql`${jti}::text`.as('jti'),
          reason: sql`'redeemed'`.as('reason'),
          clientId: sql`${clientId}::text`.as('client_id'),
          idempotencyKey: sql`${idempotencyKey}::text`.as('idempotency_key'),
          spentAt: sql`now()`.as('spent_at'),
          expiresAt: sql`${expiresAt.toISOString()}::timestamptz`.as('expires_at'),
        })
        .from(sessions)
        .innerJoin(users, eq(users.id, sessions.userId))
        .where(
          and(
            eq(sessions.id, sessionId),
            eq(users.id, userId),
            or(
              isLiveSession(),
              sql`exists (select from ${spentTokens} where ${and(eq(spentTokens.jti, jti), isWinner)})`,
            ),
          ),
        );
      const won = await database
        .insert(spentTokens)
        .select(mayRedeem)
        .onConflictDoUpdate({
          target: spentTokens.jti,
          set: { idempotencyKey: sql`excluded.idempotency_key` },
          setWhere: isWinner,
        })
        .returning({ jti: spentTokens.jti });
      return won.length > 0;
    },

    /** Revokes an access token. @returns false if it was revoked before */
    async revoke(
      { database }: Transaction,
      { jti, clientId, expiresAt }: { jti: string; clientId: string; expiresAt: Date },
    ): Promise<boolean> {
      const revoked = await database
        .insert(spentTokens)
        .values({ jti, reason: 'revoked', clientId, expiresAt })
        .onConflictDoNothing()
        .returning({ jti: spentTokens.jti });
      return revoked.length > 0;
    },

    /** Marks a client's assertion as used. @returns false if it was used before */
    async spendAssertion(
      clientId: string,
      { jti, expiresAt }: { jti: string; expiresAt: Date },
    ): Promise<boolean> {
      const used = await database
        .insert(spentTokens)
        // A client chooses these ids. The slash keeps them apart from the ids of our tokens, which have none.
        .values({ jti: `${clientId}/${jti}`, reason: 'asserted', clientId, expiresAt })
        .onConflictDoNothing()
        .returning({ jti: spentTokens.jti });
      return used.length > 0;
    },

    /**
     * Deletes what has expired, at most `limit` rows.
     * @returns how many; 0 while another replica is sweeping
     */
    async sweep(transaction: Transaction, limit: number): Promise<number> {
      if (!(await tryLock(transaction, 'sweepSpentTokens'))) return 0;
      const { database } = transaction;
      const over = database
        .select({ jti: spentTokens.jti })
        .from(spentTokens)
        .where(lt(spentTokens.expiresAt, sql`now() - interval '1 minute'`))
        .limit(limit);
      const swept = await database
        .delete(spentTokens)
        .where(inArray(spentTokens.jti, over))
        .returning({ jti: spentTokens.jti });
      return swept.length;
    },
  };
}
