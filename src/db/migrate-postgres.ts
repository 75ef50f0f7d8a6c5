import { setTimeout as delay } from 'node:timers/promises';
import type { PgTable } from 'drizzle-orm/pg-core';
import type { Sql, TransactionSql } from 'postgres';
import { cleanError } from './database-guard.ts';
import { getTableConfig, loadMigrator } from './drizzle.ts';
import { LOCKS } from './locks.ts';
import { MIGRATIONS_FOLDER } from './migrations.ts';
import { beginOf, DatabaseSetupError } from './postgres.ts';
import * as schema from './schema.ts';

const PATIENCE_MS = 60_000;
const ASK_EVERY_MS = 100;
const JOURNAL = '__drizzle_migrations';
/** The first table of the first migration. */
const OLDEST_TABLE = 'signing_keys';

const LOCK_IS_TAKEN = `Another session holds the lock for migrations (number ${LOCKS.migrate} in pg_locks) and does not end: see in pg_stat_activity what it does, and start again`;

/** Where the tables are, and where it is written which migrations have run. */
type Home = { schema: string; journalSchema: string };

/**
 * Migrates in one transaction under an advisory lock, in the first schema of the `search_path` that has our tables, or
 * else in the current one. Drizzle's own migrator takes no lock, so replicas that start together would make it fail, and it
 * asks for the right to create schemas even when there is nothing to do.
 * @param client one connection, without a limit on statements: a migration may take long
 * @param onWait called once if another replica has the lock
 * @throws DatabaseSetupError when there is no schema, or the lock is not free in time; AppError `unavailable`,
 *   DatabaseError
 */
export async function migratePostgres(
  client: Sql,
  onWait: () => void,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const migrations = loadMigrator().readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER });
  const last = Math.max(...migrations.map(({ folderMillis }) => folderMillis));
  try {
    await beginOf(client)(async (transaction) => {
      // A role that may only read and write rows needs no lock to see that there is nothing to do.
      if (await isUpToDate(transaction, await findHome(transaction), last)) return;
      await takeLock(transaction, onWait, patienceMs);
      // Another replica may have made it all in the meantime.
      const home = await findHome(transaction);
      await prepareJournal(transaction, home);
      const done = await lastMigration(transaction, home);
      for (const { sql, hash, folderMillis } of migrations.filter((one) => one.folderMillis > done)) {
        for (const statement of sql) await transaction.unsafe(statement);
        await transaction`insert into ${journalOf(transaction, home)} (hash, created_at) values (${hash}, ${folderMillis})`;
      }
    });
  } catch (error) {
    throw cleanError(error);
  }
}

/** Tables that the role may not read belong to another deployment. */
async function findHome(transaction: TransactionSql): Promise<Home> {
  const [row] = await transaction<{ schema: string | null; apart: boolean; path: string; role: string }[]>`
    select coalesce(
        (select relnamespace::regnamespace::name from pg_class
          where oid = to_regclass(${OLDEST_TABLE}) and has_table_privilege(oid, 'select')),
        current_schema()
      )::text as schema,
      to_regnamespace('drizzle') is not null or has_database_privilege(current_database(), 'create') as apart,
      current_setting('search_path') as path, current_user::text as role`;
  if (row?.schema) {
    const { schema, apart } = row;
    await transaction`
      select set_config('search_path', quote_ident(${schema}) || ', ' || current_setting('search_path'), true)`;
    // Earlier releases know `public` alone, and kept the journal beside it.
    return { schema, journalSchema: schema === 'public' && apart ? 'drizzle' : schema };
  }
  throw new DatabaseSetupError(
    `search_path is ${row?.path}, and the role ${row?.role} can use none of these schemas: run "create schema ${row?.role} authorization ${row?.role}", or grant it one of them`,
  );
}

const journalOf = (transaction: TransactionSql, { journalSchema }: Home) =>
  transaction(`${journalSchema}.${JOURNAL}`);

/** Whether there is nothing to do for a role that may only read and write rows. */
async function isUpToDate(transaction: TransactionSql, home: Home, last: number): Promise<boolean> {
  const [journal] = await transaction<{ is_readable: boolean }[]>`
    select has_schema_privilege(s.oid, 'usage') and has_table_privilege(c.oid, 'select') as is_readable
    from pg_class c join pg_namespace s on s.oid = c.relnamespace
    where s.nspname = ${home.journalSchema} and c.relname = ${JOURNAL}`;
  if (journal === undefined) return false;
  if (!journal.is_readable) return hasAllColumns(transaction);
  return (await lastMigration(transaction, home)) >= last;
}

async function hasAllColumns(transaction: TransactionSql): Promise<boolean> {
  const tables = Object.values(schema as Record<string, PgTable>).map((table) => getTableConfig(table));
  const expected = tables.flatMap(({ name, columns }) =>
    columns.map((column) => ({ name, attribute: column.name })),
  );
  const missing = await transaction`
    select 1 from jsonb_to_recordset(${JSON.stringify(expected)}::text::jsonb) as expected (name text, attribute text)
    where not exists (
      select 1 from pg_attribute where attrelid = to_regclass(name) and attname = attribute and not attisdropped
    ) limit 1`;
  return missing.length === 0;
}

/** @returns when the last migration that has run was made, in milliseconds since the epoch; 0 if none has */
async function lastMigration(transaction: TransactionSql, home: Home): Promise<number> {
  const [row] = await transaction<{ last: string | null }[]>`
    select max(created_at) as last from ${journalOf(transaction, home)}`;
  return Number(row?.last);
}

/** The same table as Drizzle makes. */
async function prepareJournal(transaction: TransactionSql, home: Home): Promise<void> {
  const { journalSchema } = home;
  const [found] = await transaction`select 1 from pg_namespace where nspname = ${journalSchema}`;
  if (found === undefined) await transaction`create schema ${transaction(journalSchema)}`;
  await transaction`
    create table if not exists ${journalOf(transaction, home)} (
      id serial primary key, hash text not null, created_at bigint
    )`;
}

/** Asks again and again: a wait in the database would go on for ever, and no line would say why. */
async function takeLock(transaction: TransactionSql, onWait: () => void, patienceMs: number): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  for (let tries = 1; !(await tryToLock(transaction)); tries += 1) {
    if (performance.now() > giveUpAt) throw new DatabaseSetupError(LOCK_IS_TAKEN);
    if (tries === 1) onWait();
    await delay(ASK_EVERY_MS);
  }
}

async function tryToLock(transaction: TransactionSql): Promise<boolean> {
  const [row] = await transaction<{ is_mine: boolean }[]>`
    select pg_try_advisory_xact_lock(${LOCKS.migrate}) as is_mine`;
  return row?.is_mine === true;
}
