import { hash } from 'node:crypto';
import type { Transaction } from './database.ts';
import { sql } from './drizzle.ts';
import { revocations } from './schema.ts';

export type RevocationLog = ReturnType<typeof createRevocationLog>;

/** A user, and the least claims version that counts from now on. */
export type ChangedUser = { userId: string; version: number };

type Kind = (typeof revocations.$inferSelect)['kind'];

/**
 * Where every act that makes tokens void before their time notes it, in its own transaction. Services that verify offline
 * hear of it from the feed (`src/revocations/`), which numbers and reads the rows after the commit.
 */
export function createRevocationLog() {
  const listeners = new Set<() => void>();

  return {
    /** The tokens of these sessions. */
    sessionsEnded: (transaction: Transaction, sessionIds: string[]) =>
      add(transaction, 'session', sessionIds.map(hashOfId)),

    /** One token, by its `jti`. */
    tokenRevoked: (transaction: Transaction, jti: string) => add(transaction, 'token', [hashOfId(jti)]),

    /** The user's tokens of earlier claims versions. */
    claimsChanged: (transaction: Transaction, userId: string, leastVersion: number) =>
      add(transaction, 'user', [hashOfId(userId)], leastVersion),

    /** The same of many users. */
    async claimsOfManyChanged(transaction: Transaction, users: ChangedUser[]): Promise<void> {
      for (const [version, some] of Map.groupBy(users, ({ version }) => version))
        await add(
          transaction,
          'user',
          some.map(({ userId }) => hashOfId(userId)),
          version,
        );
    },

    /** The tokens that a service client has got until the commit. */
    clientChanged: (transaction: Transaction, clientId: string) =>
      add(transaction, 'client', [hashOfId(clientId)]),

    /** The tokens that this key has signed. */
    keyRevoked: (transaction: Transaction, kid: string) => add(transaction, 'key', [Buffer.from(kid)]),

    /** @param listener called after each commit that this process noted something in */
    listen(listener: () => void): void {
      listeners.add(listener);
    },
  };

  async function add(transaction: Transaction, kind: Kind, subjects: Buffer[], value: number | null = null) {
    if (subjects.length === 0) return;
    // One parameter: building a placeholder for each of hundreds takes longer than the statement itself.
    const all = subjects.map((subject) => subject.toString('hex')).join(',');
    await transaction.database.execute(sql`
      insert into ${revocations} (kind, subject, value)
      select ${kind}, decode(subject, 'hex'), ${value}::bigint
      from unnest(${`{${all}}`}::text[]) as subject`);
    transaction.afterCommit(async () => {
      for (const listener of listeners) listener();
    });
  }
}

/** What the feed says of an id: enough to find it again, and nothing to find it out. 8 bytes of SHA-256. */
export function hashOfId(id: string): Buffer {
  return hash('sha256', id, 'buffer').subarray(0, 8);
}
