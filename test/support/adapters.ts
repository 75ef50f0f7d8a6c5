import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { PGlite } from '@electric-sql/pglite';
import { getTableName, is, Table } from 'drizzle-orm';
import { Redis } from 'ioredis';
import postgres from 'postgres';
import { t as root, type Test } from 'tap';
import { IGNORE_EVENTS } from '../../src/adapters/open-adapters.ts';
import type { Cache } from '../../src/cache/cache.ts';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';
import { createRedisCache } from '../../src/cache/redis-cache.ts';
import { parseRedisUrl, type RedisTarget } from '../../src/config/redis-target.ts';
import type { Database, Transact } from '../../src/db/database.ts';
import { createTransact, deadlineGuard } from '../../src/db/database-guard.ts';
import { loadPGliteDriver, loadPostgresDriver, sql } from '../../src/db/drizzle.ts';
import * as schema from '../../src/db/schema.ts';
import { createTestDatabase, createTestRedis, moveDatabaseTime } from './database.ts';
import { openMigratedPGlite } from './memory-database.ts';

const { drizzle: drizzlePostgres } = loadPostgresDriver();
const { drizzle: drizzlePGlite } = loadPGliteDriver();

const tables = Object.values(schema)
  .filter((value) => is(value, Table))
  .map(getTableName)
  .filter((name) => name !== 'roles');

/** A migrated database, empty at first, whose time the test can move. */
export type TestDatabase = {
  database: Database;
  transact: Transact;
  /** Moves the database's time from its next transaction on. */
  moveTime(ms: number): Promise<void>;
};

/** An empty cache whose time the test can move. */
export type TestCache = { cache: Cache; passTime(ms: number): Promise<void> };

type Kind<T> = { name: string; open(t: Test): Promise<T> };

/** The databases that every store must work on. */
export const databases: Kind<TestDatabase>[] = [
  { name: 'PGlite', open: openPGlite },
  { name: 'PostgreSQL', open: openPostgres },
];

/** The caches that everything built on a cache must work with. */
export const caches: Kind<TestCache>[] = [
  { name: 'memory', open: openMemoryCache },
  { name: 'Redis', open: openRedisCache },
];

/** Much longer than a busy machine needs: the real deadline has tests of its own. */
const GENEROUS_DEADLINE_MS = 30_000;

/** Making one takes much longer than emptying it, so each process has one; its tests run one after the other. */
let sharedPostgres: Promise<postgres.Sql> | undefined;
let sharedPGlite: Promise<PGlite> | undefined;

export async function openPostgres(): Promise<TestDatabase> {
  sharedPostgres ??= createPostgres();
  const client = await sharedPostgres;
  return emptied(drizzlePostgres(client, { schema }), (ms) => moveDatabaseTime(client, ms));
}

async function openPGlite(): Promise<TestDatabase> {
  sharedPGlite ??= createPGlite();
  const client = await sharedPGlite;
  return emptied(drizzlePGlite(client, { schema }), (ms) => moveDatabaseTime(client, ms));
}

async function createPostgres(): Promise<postgres.Sql> {
  const { url } = await createTestDatabase(root);
  const client = postgres(url, { max: 10, onnotice: () => {} });
  root.teardown(() => client.end());
  return client;
}

async function createPGlite(): Promise<PGlite> {
  const client = await openMigratedPGlite();
  root.teardown(() => client.close());
  return client;
}

async function emptied(database: Database, moveTime: TestDatabase['moveTime']): Promise<TestDatabase> {
  await database.execute(sql.raw(`truncate ${tables.join(', ')}`));
  // The migrations make one row: the role of the operators.
  await database.execute(sql`delete from roles where name <> 'admin'`);
  await database.execute(sql`update public.test_time_shift set shift = interval '0'`);
  return { database, transact: createTransact(database, deadlineGuard(GENEROUS_DEADLINE_MS)), moveTime };
}

async function openMemoryCache(): Promise<TestCache> {
  let nowMs = Date.now();
  const passTime = async (ms: number) => {
    nowMs += ms;
  };
  return { cache: createMemoryCache(() => nowMs), passTime };
}

async function openRedisCache(t: Test): Promise<TestCache> {
  const { url, keyPrefix } = await createTestRedis(t);
  return openCacheOn(t, redisTarget(url), [url], keyPrefix);
}

/** @param urls every server that may hold a key */
export async function openCacheOn(
  t: Test,
  target: RedisTarget,
  urls: string[],
  keyPrefix = `${randomUUID()}:`,
): Promise<TestCache> {
  const cache = createRedisCache(target, keyPrefix, IGNORE_EVENTS, GENEROUS_DEADLINE_MS);
  const servers = urls.map((url) => new Redis(url));
  t.teardown(() => {
    cache.close();
    for (const redis of servers) redis.disconnect();
  });
  // A cluster client connects to a server at its first use: this many keys are on all of them.
  for (let index = 0; index < 30; index += 1) await eventually(() => cache.get(String(index)));
  const passTime = async (ms: number) => {
    // A time to live of zero or less deletes the key.
    for (const redis of servers) {
      for (const key of await redis.keys(`${keyPrefix}*`)) {
        await redis.pexpire(key, (await redis.pttl(key)) - ms);
      }
    }
  };
  return { cache, passTime };
}

/** Parses a valid REDIS_URL; throws for any other. */
export function redisTarget(url: string): RedisTarget {
  const target = parseRedisUrl(url);
  if (target === null) throw new Error('no REDIS_URL');
  return target;
}

/** Tries again until it works; after a minute, which a stalled disk may take, it fails as the last try did. */
export async function eventually<T>(attempt: () => T | Promise<T>): Promise<T> {
  const giveUpAt = Date.now() + 60_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      await delay(10);
    }
  }
}
