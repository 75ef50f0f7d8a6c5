import type { Sql, TransactionSql } from 'postgres';
import { AppError, unavailable } from '../core/errors.ts';
import { DATABASE_DEADLINE_MS, DatabaseError, withDeadline } from './database-guard.ts';
import { openClient } from './postgres-client.ts';

/** How a pooler refuses a start-up parameter. */
const PROTOCOL_VIOLATION = '08P01';

/** SQLSTATE of a change that a server does not take, because it follows another one or is set so. */
const READ_ONLY = '25006';

/** The first table of the first migration. */
export const OLDEST_TABLE = 'signing_keys';

/** What a role must have when a pooler does not pass it on. */
const NEEDED: Record<string, string> = {
  DateStyle: 'ISO, MDY',
  bytea_output: 'hex',
  default_transaction_isolation: 'read committed',
  standard_conforming_strings: 'on',
};

/** SQLSTATE class 40 without a reason. */
const TRANSACTION_ROLLBACK = '40000';

/** Settings that every pooler passes on for each of its clients. */
const TRACKED_SETTINGS = {
  application_name: 'doorward',
  DateStyle: 'ISO, MDY',
  TimeZone: 'UTC',
  standard_conforming_strings: 'on',
};

/** A database or a role may bring other values along. Under those, dates and bytes would be misread. */
const PINNED_SETTINGS = {
  ...TRACKED_SETTINGS,
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  default_transaction_isolation: 'read committed',
  // As text: the driver leaves out a number that is 0.
  lock_timeout: '0',
};

/** How to connect: through a pooler that gives a connection for each transaction only, or directly. */
export type Route = 'direct' | 'pooled';

function optionsOf(route: Route) {
  return {
    connect_timeout: DATABASE_DEADLINE_MS / 1000,
    onnotice: () => {},
    // Drizzle parses arrays itself. The driver would query their types, and if the connection is dropped during that
    // query, its unhandled rejection ends the process.
    fetch_types: false,
    // A pooler may run a prepared statement where it was never prepared.
    prepare: route === 'direct',
  };
}

/** A pool of at most `poolSize` connections, opened on first use. */
export function connect(databaseUrl: string, poolSize: number, route: Route): Sql {
  const direct = {
    ...PINNED_SETTINGS,
    statement_timeout: DATABASE_DEADLINE_MS,
    idle_in_transaction_session_timeout: DATABASE_DEADLINE_MS * 2,
  };
  return openClient(databaseUrl, {
    ...optionsOf(route),
    max: poolSize,
    connection: route === 'direct' ? direct : TRACKED_SETTINGS,
  });
}

/**
 * Finds out how to connect. A pooler in transaction mode refuses what we ask for at connect, or ignores it.
 * @param client opened for the direct route
 * @throws AppError `unavailable`
 */
export async function findRoute(client: Sql): Promise<Route> {
  const asked = client.unsafe<{ is_ours: boolean }[]>(
    `select setting = '${DATABASE_DEADLINE_MS}' as is_ours from pg_settings where name = 'statement_timeout'`,
  );
  try {
    const [row] = await withDeadline(asked, DATABASE_DEADLINE_MS);
    return row?.is_ours ? 'direct' : 'pooled';
  } catch (error) {
    if (isRefusal(error, PROTOCOL_VIOLATION)) return 'pooled';
    throw error;
  }
}

function isRefusal(error: unknown, sqlState: string): boolean {
  const cause = error instanceof AppError ? error.cause : error;
  return cause instanceof DatabaseError && cause.sqlState === sqlState;
}

/** The database is set up in a way that we cannot run on: the message says which, and what to do. */
export class DatabaseSetupError extends Error {
  override readonly name = 'DatabaseSetupError';
}

/**
 * Checks what cannot be set at connect: the encoding, and through a pooler all that it does not pass on.
 * @throws DatabaseSetupError, AppError `unavailable`
 */
export async function checkServer(client: Sql): Promise<void> {
  const asked = client<{ name: string; setting: string; role: string }[]>`
    select name, setting, current_user as role from pg_settings
    where (name, setting) in (values ('bytea_output', 'escape'), ('standard_conforming_strings', 'off'))
      or name = 'default_transaction_isolation' and setting <> 'read committed'
      or name = 'DateStyle' and setting not like 'ISO%'
      or name = 'server_encoding' and setting <> 'UTF8'`;
  const [wrong] = await withDeadline(asked.simple(), DATABASE_DEADLINE_MS);
  if (wrong === undefined) return;
  const { name, setting, role } = wrong;
  throw new DatabaseSetupError(
    name === 'server_encoding'
      ? `The database is encoded in ${setting}: make another one, with "create database … encoding 'UTF8' template template0"`
      : `The database connections have ${name}=${setting}, and a pooler stands before PostgreSQL: run "alter role ${role} set ${name} = '${NEEDED[name]}'", and reconnect the pooler`,
  );
}

/**
 * Checks that the server takes changes: one that follows another, or recovers, answers questions alone. And that the tables
 * are there, of which one stands for all.
 * @throws AppError `unavailable` when it is read-only; DatabaseError when there are no tables
 */
export async function checkUse(client: Sql): Promise<void> {
  const asked = client<{ is_read_only: boolean }[]>`
    select pg_is_in_recovery() or current_setting('transaction_read_only')::bool as is_read_only
    from (select count(*) from ${client(OLDEST_TABLE)} where false) as tables`;
  const rows = await withDeadline(asked, DATABASE_DEADLINE_MS);
  if (rows.some((row) => row.is_read_only)) throw unavailable(new DatabaseError(READ_ONLY, undefined));
}

/**
 * A client whose connections can all be replaced at once. After a failover or a network failure, dead connections do
 * not end by themselves, and postgres.js would go on queueing queries on them.
 */
export function createRenewableClient(open: () => Sql) {
  let current = open();
  let demand = 0;
  return {
    // Drizzle keeps the client that it gets, so it gets one that always uses the current one.
    sql: withCheckedCommits(() => current, counted),
    /** How many queries and transactions have a connection, or wait for one. The driver does not tell. */
    demand: (): number => demand,
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

  function counted<Work extends Promise<unknown>>(work: Work): Work {
    demand += 1;
    const end = () => {
      demand -= 1;
    };
    void work.then(end, end);
    return work;
  }
}

type Count = <Work extends Promise<unknown>>(work: Work) => Work;

/** The same client, whose transactions fail when they are not committed. Drizzle asks by `unsafe` and `begin` alone. */
function withCheckedCommits(current: () => Sql, counted: Count): Sql {
  const begin: Begin = (work) => counted(beginOf(current())(work));
  const unsafe: Sql['unsafe'] = (...query) => counted(current().unsafe(...query));
  const own: Record<string | symbol, unknown> = { begin, unsafe };
  return new Proxy(current(), {
    get: (_first, name) => own[name] ?? Reflect.get(current(), name),
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
export function beginOf(client: Sql): Begin {
  return async <T>(work: (transaction: TransactionSql) => Promise<T>) => {
    const ours: { commit?: Promise<{ result: T; command: string }> } = {};
    const driver = client.begin(async (transaction) => {
      const result = await work(transaction);
      ours.commit = transaction.unsafe('commit and chain').then(({ command }) => ({ result, command }));
      // It is awaited below: until then its rejection must not count as unhandled.
      void Promise.allSettled([ours.commit]);
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

/**
 * Two connections for migrations, which may take long: the database does not end their statements. One holds the lock,
 * and the other, opened when it is needed, does what cannot be done in a transaction.
 */
export function connectForMigration(databaseUrl: string, route: Route): Sql {
  const unlimited = { statement_timeout: '0', idle_in_transaction_session_timeout: '0' };
  return openClient(databaseUrl, {
    ...optionsOf(route),
    max: 2,
    connection: route === 'direct' ? { ...PINNED_SETTINGS, ...unlimited } : TRACKED_SETTINGS,
  });
}

/** @throws PoolSizeError when one replica alone, with all its workers, could open more connections than the server allows */
export async function checkPoolSize(client: Sql, poolSize: number, workers: number): Promise<void> {
  const asked = client<{ free: number }[]>`
    select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as free`;
  const [row] = await withDeadline(asked, DATABASE_DEADLINE_MS);
  if (row !== undefined && poolSize * workers > row.free)
    throw new PoolSizeError(poolSize, workers, row.free);
}

/** The pools of all workers are larger than the server allows: the message has the numbers. */
export class PoolSizeError extends Error {
  override readonly name = 'PoolSizeError';
  constructor(poolSize: number, workers: number, free: number) {
    super(
      `DATABASE_POOL_SIZE is ${poolSize}${workers > 1 ? ` in each of ${workers} workers` : ''}, and PostgreSQL allows ${free} connections in all: lower DATABASE_POOL_SIZE, or raise max_connections of PostgreSQL`,
    );
  }
}
