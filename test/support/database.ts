import { randomBytes } from 'node:crypto';
import type { PGlite } from '@electric-sql/pglite';
import { Redis } from 'ioredis';
import postgres from 'postgres';
import { t as root } from 'tap';
import { migratePostgres } from '../../src/db/migrate-postgres.ts';
import { findOrStartPostgres, findOrStartRedis, type TestServer } from './servers.ts';

/** The part of a tap test that is needed here. */
type Teardown = { teardown(undo: () => Promise<void>): void };

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
 * Moves a test database's time, for every connection to it, from its next transaction on.
 *
 * @param database the URL that `createTestDatabase` returned, or a client
 * @param ms is added to the present shift; negative values go back
 */
export async function moveDatabaseTime(database: string | postgres.Sql | PGlite, ms: number): Promise<void> {
  const statement = `update public.test_time_shift set shift = shift + ${ms} * interval '1 millisecond'`;
  if (typeof database === 'string') await withClient(database, (sql) => sql.unsafe(statement));
  else if ('unsafe' in database) await database.unsafe(statement);
  else await database.query(statement);
}

/**
 * A fresh, migrated database for one test, dropped when the test ends. Its time can be moved, see `moveDatabaseTime`.
 */
export async function createTestDatabase(t: Teardown): Promise<{ url: string }> {
  template ??= createTemplate();
  const { adminUrl, name: templateName } = await template;
  const name = uniqueName();
  await createDatabase(adminUrl, name, templateName);
  t.teardown(() => dropDatabase(adminUrl, name));
  return { url: databaseUrl(adminUrl, name) };
}

/** A part of Redis for one test: its keys start with `keyPrefix` and are deleted when the test ends. */
export async function createTestRedis(t: Teardown): Promise<{ url: string; keyPrefix: string }> {
  redisServer ??= stopAtTheEnd(findOrStartRedis());
  const { url } = await redisServer;
  const keyPrefix = `${uniqueName()}:`;
  t.teardown(() => deleteKeys(url, keyPrefix));
  return { url, keyPrefix };
}

let template: Promise<{ adminUrl: string; name: string }> | undefined;
let redisServer: Promise<TestServer> | undefined;

/** Migrating takes much longer than copying, so it is done once a process. */
async function createTemplate(): Promise<{ adminUrl: string; name: string }> {
  const { url: adminUrl } = await stopAtTheEnd(findOrStartPostgres());
  const name = uniqueName();
  root.teardown(() => dropDatabase(adminUrl, name));
  await createDatabase(adminUrl, name, 'template0');
  const url = databaseUrl(adminUrl, name);
  await withClient(url, (sql) => sql.unsafe(timeTravelSql));
  await withClient(url, (sql) => migratePostgres(sql, () => {}));
  return { adminUrl, name };
}

async function stopAtTheEnd(starting: Promise<TestServer>): Promise<TestServer> {
  const server = await starting;
  root.teardown(() => server.stop());
  return server;
}

/** Unique over all processes, and over all machines that share the server. */
function uniqueName(): string {
  return `doorward_test_${process.pid}_${randomBytes(6).toString('hex')}`;
}

function databaseUrl(adminUrl: string, name: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function createDatabase(adminUrl: string, name: string, from: string): Promise<void> {
  await withClient(adminUrl, async (sql) => {
    // Encoding and locale are named because servers differ in theirs.
    await sql.unsafe(`create database ${name} template ${from} encoding 'UTF8' locale 'C'`);
    // A copy does not inherit this.
    await sql.unsafe(`alter database ${name} set search_path = public, pg_catalog`);
  });
}

async function dropDatabase(adminUrl: string, name: string): Promise<void> {
  await withClient(adminUrl, (sql) => sql.unsafe(`drop database if exists ${name} with (force)`));
}

async function withClient(url: string, use: (sql: postgres.Sql) => PromiseLike<unknown>): Promise<void> {
  const sql = postgres(url, { max: 2, onnotice: () => {} });
  try {
    await use(sql);
  } finally {
    await sql.end();
  }
}

async function deleteKeys(url: string, keyPrefix: string): Promise<void> {
  const redis = new Redis(url);
  try {
    for await (const keys of redis.scanStream({ match: `${keyPrefix}*`, count: 1000 })) {
      if (keys.length > 0) await redis.unlink(...keys);
    }
  } finally {
    redis.disconnect();
  }
}
