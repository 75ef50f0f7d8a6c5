import { randomBytes } from 'node:crypto';
import postgres from 'postgres';
import { migratePostgres } from '../../src/db/migrate-postgres.ts';

/**
 * Replaces `now()` by a function of ours, so that a test can move the database's time. Run it, and then
 * `timeTravelSearchPath`, before the migrations: a column default keeps the function that it was made with.
 *
 * Only an unqualified `now()` moves; `current_timestamp`, `clock_timestamp()` and the like do not.
 */
export const timeTravelSql = `
  create table public.test_time_shift (shift interval not null);
  insert into public.test_time_shift values (interval '0');
  create function public.now() returns timestamptz language sql stable
    as 'select pg_catalog.now() + shift from public.test_time_shift';
`;

/** For PGlite, which has one connection; on a real server the path is a setting of the database. */
export const timeTravelSearchPath = 'set search_path = public, pg_catalog';

/**
 * Makes a migrated database to copy: migrating takes much longer than copying. Drop it with `dropDatabase`.
 * @returns its name
 */
export async function createTemplate(adminUrl: string): Promise<string> {
  const name = uniqueName();
  await createDatabase(adminUrl, name, 'template0');
  const url = databaseUrl(adminUrl, name);
  await withClient(url, (sql) => sql.unsafe(timeTravelSql));
  await withClient(url, (sql) => migratePostgres(sql, () => {}));
  return name;
}

/** Unique over all processes, and over all machines that share the server. */
export function uniqueName(): string {
  return `doorward_test_${process.pid}_${randomBytes(6).toString('hex')}`;
}

/** The URL of another database on the same server. */
export function databaseUrl(adminUrl: string, name: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** Copies a database. */
export async function createDatabase(adminUrl: string, name: string, from: string): Promise<void> {
  await withClient(adminUrl, async (sql) => {
    // Encoding and locale are named because servers differ in theirs.
    await sql.unsafe(`create database ${name} template ${from} encoding 'UTF8' locale 'C'`);
    // A copy does not inherit this.
    await sql.unsafe(`alter database ${name} set search_path = public, pg_catalog`);
  });
}

/** Drops a database, also one with open connections. */
export async function dropDatabase(adminUrl: string, name: string): Promise<void> {
  await withClient(adminUrl, (sql) => sql.unsafe(`drop database if exists ${name} with (force)`));
}

/** A client for one use. */
export async function withClient(
  url: string,
  use: (sql: postgres.Sql) => PromiseLike<unknown>,
): Promise<void> {
  const sql = postgres(url, { max: 2, onnotice: () => {} });
  try {
    await use(sql);
  } finally {
    await sql.end();
  }
}
