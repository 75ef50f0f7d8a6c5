import { setTimeout as delay } from 'node:timers/promises';
import type { Sql, TransactionSql } from 'postgres';
import { AppError } from '../core/errors.ts';
import { cleanError, DatabaseError } from './database-guard.ts';
import { buildIndexes } from './index-build.ts';
import { LOCKS } from './locks.ts';
import {
  findHome,
  type Home,
  journalOf,
  lookAtJournal,
  prepareJournal,
  readJournal,
} from './migration-journal.ts';
import { isConcurrent, type Migration, readMigrations } from './migrations.ts';
import { beginOf, DatabaseSetupError } from './postgres.ts';

const PATIENCE_MS = 60_000;
const ASK_EVERY_MS = 100;
/**
 * A statement that waits for the lock on a table holds up all statements that come to the table after it, so it waits no
 * longer than a request may take.
 */
const TABLE_LOCK_WITHIN_MS = 500;
/** For those that were held up to pass. */
const TABLE_LOCK_AGAIN_AFTER_MS = 1_000;
/** Lock not available, deadlock: another session was served first. */
const IN_THE_WAY = /^(55P03|40P01)$/;

const LOCK_IS_TAKEN = `Another session holds the lock for migrations (number ${LOCKS.migrate} in pg_locks) and does not end: see in pg_stat_activity what it does, and start again`;
const TABLE_IS_BUSY =
  'A migration needs a table for itself for a moment, and another session keeps a lock on it: see in pg_stat_activity which one, end it, and start again';

type MigrateOptions = {
  /** How long to wait for others, in all. */
  patienceMs?: number;
  migrations?: Migration[];
};

/**
 * Migrates in the schema that `findHome` finds, each migration in one transaction under an advisory lock. Drizzle's own
 * migrator takes no lock, so replicas that start together would make it fail, and it asks for the right to create schemas
 * even when there is nothing to do.
 * @param client two connections, without a limit on statements: a migration may take long
 * @param say called with one line for the log, once for each thing that is waited for
 * @throws DatabaseSetupError when there is no schema, or a lock is not free in time; AppError `unavailable`,
 *   DatabaseError
 */
export async function migratePostgres(
  client: Sql,
  say: (line: string) => void,
  { patienceMs = PATIENCE_MS, migrations = readMigrations() }: MigrateOptions = {},
): Promise<void> {
  const newest = Math.max(...migrations.map(({ madeAt }) => madeAt));
  const wait = createPatience(say, patienceMs);
  while (await takeTurn().catch(waitForTable));

  /** @returns whether there may be more to do */
  async function takeTurn(): Promise<boolean> {
    const turn = await runNext();
    if (turn === 'not ours')
      await wait('waiting for another process, which is migrating the database', ASK_EVERY_MS, LOCK_IS_TAKEN);
    return turn !== 'up to date';
  }

  /**
   * Asks for the lock once, and again in another transaction: the build of an index waits for all transactions that may
   * see rows of earlier, so it would wait for those who wait for its end. A wait in the database would go on for ever.
   */
  async function runNext(): Promise<'up to date' | 'not ours' | 'done'> {
    return beginOf(client)(async (transaction) => {
      // A role that may only read and write rows needs no lock to see that there is nothing to do.
      const seen = await lookAtJournal(transaction, await findHome(transaction));
      if (seen !== null && seen >= newest) return 'up to date';
      if (!(await tryToLock(transaction))) return 'not ours';
      const home = await findHome(transaction);
      await prepareJournal(transaction, home);
      const last = await readJournal(transaction, home);
      // One a turn, or none, if another replica was faster.
      const [next] = migrations.filter(({ madeAt }) => madeAt > last);
      if (next !== undefined) await run(transaction, home, next);
      return 'done';
    });
  }

  async function run(transaction: TransactionSql, home: Home, migration: Migration): Promise<void> {
    if (isConcurrent(migration)) await buildIndexes(client, transaction, home, migration);
    else await runInside(transaction, migration);
    const { hash, madeAt } = migration;
    await transaction`
      insert into ${journalOf(transaction, home)} (hash, created_at) values (${hash}, ${madeAt})`;
  }

  async function waitForTable(cause: unknown): Promise<boolean> {
    const error = cleanError(cause);
    const inner = error instanceof AppError ? error.cause : error;
    if (!(inner instanceof DatabaseError && IN_THE_WAY.test(inner.sqlState))) throw error;
    await wait(
      'waiting for a table that another session keeps locked',
      TABLE_LOCK_AGAIN_AFTER_MS,
      TABLE_IS_BUSY,
    );
    return true;
  }
}

async function runInside(transaction: TransactionSql, { statements }: Migration): Promise<void> {
  await transaction`select set_config('lock_timeout', ${String(TABLE_LOCK_WITHIN_MS)}, true)`;
  for (const statement of statements) await transaction.unsafe(statement);
}

type Wait = (what: string, ms: number, ifTooLong: string) => Promise<void>;

/** Waits in parts, until it has been too long in all. Says what it waits for, once. */
function createPatience(say: (line: string) => void, patienceMs: number): Wait {
  const giveUpAt = performance.now() + patienceMs;
  const said = new Set<string>();
  return async (what, ms, ifTooLong) => {
    if (performance.now() > giveUpAt) throw new DatabaseSetupError(ifTooLong);
    if (!said.has(what)) say(what);
    said.add(what);
    await delay(ms);
  };
}

async function tryToLock(transaction: TransactionSql): Promise<boolean> {
  const [row] = await transaction<{ is_mine: boolean }[]>`
    select pg_try_advisory_xact_lock(${LOCKS.migrate}) as is_mine`;
  return row?.is_mine === true;
}
