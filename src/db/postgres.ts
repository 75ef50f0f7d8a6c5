import postgres, { type Sql, type TransactionSql } from 'postgres';
import { unavailable } from '../core/errors.ts';
import { cleanError, DATABASE_DEADLINE_MS, DatabaseError, withDeadline } from './database-guard.ts';
import { loadPostgresDriver } from './drizzle.ts';
import { LOCKS } from './locks.ts';
import { MIGRATIONS_FOLDER } from './migrations.ts';

const { drizzle, migrate } = loadPostgresDriver();

/** SQLSTATE class 40 without a reason. */
const TRANSACTION_ROLLBACK = '40000';

/** A pool of at most `poolSize` connections, opened on first use. */
export function connect(databaseUrl: string, poolSize: number): Sql {
  return postgres(databaseUrl, {
    max: poolSize,
    connect_timeout: DATABASE_DEADLINE_MS / 1000,
    onnotice: () => {},
    // Drizzle parses arrays itself. The driver would query their types, and if the connection is dropped during that
    // query, its unhandled rejection ends the process.
    fetch_types: false,
    connection: {
      application_name: 'doorward',
      statement_timeout: DATABASE_DEADLINE_MS,
      idle_in_transaction_session_timeout: DATABASE_DEADLINE_MS * 2,
    },
  });
}

/**
 * A client whose connections can all be replaced at once. After a failover or a network failure, dead connections do
 * not end by themselves, and postgres.js would go on queueing queries on them.
 */
export function createRenewableClient(open: () => Sql) {
  let current = open();
  return {
    // Drizzle keeps the client that it gets, so it gets one that always uses the current one.
    sql: withCheckedCommits(() => current),
    current: () => current,
    renew(): void {
      const abandoned = current;
      current = open();
      // Drizzle has set these on the first client: it parses and serializes dates and JSON itself.
      Object.assign(current.options.parsers, abandoned.options.parsers);
      Object.assign(current.options.serializers, abandoned.options.serializers);
      void abandoned.end({ timeout: 0 }).catch(() => {});
    },
  };
}

/** The same client, whose transactions fail when they are not committed. */
function withCheckedCommits(current: () => Sql): Sql {
  return new Proxy(current(), {
    get: (_first, name) => (name === 'begin' ? beginOf(current()) : Reflect.get(current(), name)),
  });
}

type Begin = <T>(work: (transaction: TransactionSql) => Promise<T>) => Promise<T>;

/**
 * `begin` of postgres.js, which does not look at the answer to its own `commit`: if the transaction was aborted by then,
 * PostgreSQL rolls it back and answers ROLLBACK, and that is no error.
 *
 * So this commits by itself. What the driver commits afterwards is the empty transaction that `and chain` begins: without
 * one, the server would log a warning. Both statements leave in one write.
 * @throws AppError `unavailable` when the transaction was rolled back
 */
function beginOf(client: Sql): Begin {
  return async <T>(work: (transaction: TransactionSql) => Promise<T>) => {
    const ours: { commit?: Promise<{ result: T; command: string }> } = {};
    const driver = client.begin(async (transaction) => {
      const result = await work(transaction);
      ours.commit = transaction.unsafe('commit and chain').then(({ command }) => ({ result, command }));
      ours.commit.catch(() => {});
    });
    await driver.catch((error: unknown) => {
      // After our commit, what became of the driver's own does not matter.
      if (!ours.commit) throw error;
    });
    return requireCommit(await ours.commit);
  };
}

function requireCommit<T>(commit: { result: T; command: string } | undefined): T {
  if (commit?.command === 'COMMIT') return commit.result;
  throw unavailable(new DatabaseError(TRANSACTION_ROLLBACK, undefined));
}

/** Migrates under an advisory lock. Drizzle's migrator takes none: replicas that start together would make it fail. */
export async function migrateUnderLock(databaseUrl: string): Promise<void> {
  const client = postgres(databaseUrl, {
    max: 1,
    onnotice: () => {},
    connection: { application_name: 'doorward' },
  });
  try {
    await client`select pg_advisory_lock(${LOCKS.migrate})`;
    await migrate(drizzle(withCheckedCommits(() => client)), { migrationsFolder: MIGRATIONS_FOLDER });
  } catch (error) {
    throw cleanError(error);
  } finally {
    // Closing the connection releases the lock in every case.
    await client.end({ timeout: 1 });
  }
}

/** @throws PoolSizeError when one replica alone could open more connections than the server allows */
export async function checkPoolSize(client: Sql, poolSize: number): Promise<void> {
  const asked = client<{ free: number }[]>`
    select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as free`;
  const [row] = await withDeadline(asked, DATABASE_DEADLINE_MS);
  if (row !== undefined && poolSize > row.free) throw new PoolSizeError(poolSize, row.free);
}

/** The pool is larger than the server allows: the message has both numbers. */
export class PoolSizeError extends Error {
  override readonly name = 'PoolSizeError';
  constructor(poolSize: number, free: number) {
    super(
      `DATABASE_POOL_SIZE is ${poolSize}, and PostgreSQL allows ${free} connections in all: lower DATABASE_POOL_SIZE, or raise max_connections of PostgreSQL`,
    );
  }
}
