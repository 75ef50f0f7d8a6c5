import type { PgTable } from 'drizzle-orm/pg-core';
import type { Sql, TransactionSql } from 'postgres';
import { DATABASE_DEADLINE_MS, DatabaseError, withDeadline } from './database-guard.ts';
import { getTableConfig } from './drizzle.ts';
import { readMigrations } from './migrations.ts';
import { beginOf, DatabaseSetupError, OLDEST_TABLE } from './postgres.ts';
import * as schema from './schema.ts';

const JOURNAL = '__drizzle_migrations';
/** SQLSTATE. */
const UNDEFINED_COLUMN = '42703';

/** Where the tables are, and where it is written which migrations have run. */
export type Home = { schema: string; journalSchema: string };

/**
 * Finds the first schema of the `search_path` that has our tables, or else the current one, and puts it first for the rest
 * of the transaction. Tables that the role may not read belong to another deployment.
 * @throws DatabaseSetupError when there is no schema
 */
export async function findHome(transaction: TransactionSql): Promise<Home> {
  const [row] = await transaction<{ schema: string | null; apart: boolean; path: string; role: string }[]>`
    select coalesce(
        (select s.nspname from pg_class c join pg_namespace s on s.oid = c.relnamespace
          where c.oid = to_regclass(${OLDEST_TABLE}) and has_table_privilege(c.oid, 'select')),
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

/** The table of the migrations that have run, for a statement. */
export function journalOf(transaction: TransactionSql, { journalSchema }: Home) {
  return transaction(`${journalSchema}.${JOURNAL}`);
}

/** The same table as Drizzle makes. */
export async function prepareJournal(transaction: TransactionSql, home: Home): Promise<void> {
  const { journalSchema } = home;
  const [found] = await transaction`select 1 from pg_namespace where nspname = ${journalSchema}`;
  if (found === undefined) await transaction`create schema ${transaction(journalSchema)}`;
  await transaction`
    create table if not exists ${journalOf(transaction, home)} (
      id serial primary key, hash text not null, created_at bigint
    )`;
}

/** @returns when the last migration that has run was made, in milliseconds since the epoch; 0 if none has */
export async function readJournal(transaction: TransactionSql, home: Home): Promise<number> {
  const [row] = await transaction<{ last: string | null }[]>`
    select max(created_at) as last from ${journalOf(transaction, home)}`;
  return Number(row?.last);
}

/**
 * The same for a role that may only read and write rows, and perhaps not the journal: the schema is up to date if it has
 * all columns. Takes no lock that others wait for.
 * @returns null when that cannot be known, and columns are missing
 */
export async function lookAtJournal(transaction: TransactionSql, home: Home): Promise<number | null> {
  const [journal] = await transaction<{ is_readable: boolean }[]>`
    select has_schema_privilege(s.oid, 'usage') and has_table_privilege(c.oid, 'select') as is_readable
    from pg_class c join pg_namespace s on s.oid = c.relnamespace
    where s.nspname = ${home.journalSchema} and c.relname = ${JOURNAL}`;
  if (journal === undefined) return 0;
  if (journal.is_readable) return readJournal(transaction, home);
  return (await hasAllColumns(transaction)) ? newestMigration() : null;
}

function newestMigration(): number {
  return Math.max(...readMigrations().map(({ madeAt }) => madeAt));
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

/**
 * When the last migration that has run was made, in milliseconds since the epoch; 0 if none has. Changes nothing.
 * @throws DatabaseSetupError when the role may not know; AppError `unavailable`, DatabaseError
 */
export async function findLastMigration(client: Sql): Promise<number> {
  const { home, last } = await lookWithoutChange(client);
  if (last !== null) return last;
  throw new DatabaseSetupError(
    `The schema is not up to date, and this role may not read which migrations have run: grant it select on ${home.journalSchema}.${JOURNAL}, and usage on schema ${home.journalSchema}`,
  );
}

/**
 * Checks that all migrations of this release have run; the next release may have run more.
 * @throws DatabaseError 42703, as if a column were missing; AppError `unavailable`
 */
export async function checkSchema(client: Sql): Promise<void> {
  const { last } = await lookWithoutChange(client);
  if (last === null || last < newestMigration()) throw new DatabaseError(UNDEFINED_COLUMN, undefined);
}

async function lookWithoutChange(client: Sql): Promise<{ home: Home; last: number | null }> {
  const looking = beginOf(client)(async (transaction) => {
    await transaction`set transaction read only`;
    const home = await findHome(transaction);
    return { home, last: await lookAtJournal(transaction, home) };
  });
  return withDeadline(looking, DATABASE_DEADLINE_MS);
}
