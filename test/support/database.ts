import type { PGlite } from '@electric-sql/pglite';
import { Redis } from 'ioredis';
import type postgres from 'postgres';
import { t as root } from 'tap';
import {
  createDatabase,
  createTemplate,
  databaseUrl,
  dropDatabase,
  uniqueName,
  withClient,
} from './database-template.ts';
import { findOrStartPostgres, findOrStartRedis, type TestServer } from './servers.ts';

/** The part of a tap test that is needed here. */
type Teardown = { teardown(undo: () => Promise<void>): void };

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
  template ??= findOrCreateTemplate();
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

/** The one of the whole run, see `test/run.ts`, or one for this process. */
async function findOrCreateTemplate(): Promise<{ adminUrl: string; name: string }> {
  const { url: adminUrl } = await stopAtTheEnd(findOrStartPostgres());
  const { TEST_DATABASE_TEMPLATE: shared } = process.env;
  if (shared !== undefined) return { adminUrl, name: shared };
  const name = await createTemplate(adminUrl);
  root.teardown(() => dropDatabase(adminUrl, name));
  return { adminUrl, name };
}

async function stopAtTheEnd(starting: Promise<TestServer>): Promise<TestServer> {
  const server = await starting;
  root.teardown(() => server.stop());
  return server;
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
