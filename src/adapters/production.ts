import postgres, { type Sql } from 'postgres';
import { loadPostgresDriver } from '../db/drizzle.ts';
import * as schema from '../db/schema.ts';
import type { Adapters } from './adapters.ts';
import { cleanError, DATABASE_DEADLINE_MS, withDeadline } from './database-guard.ts';
import { MIGRATIONS_FOLDER } from './migrations.ts';
import { createRedisCache, type RedisCacheEvents } from './redis-cache.ts';
import type { RedisTarget } from './redis-target.ts';

const { drizzle, migrate } = loadPostgresDriver();

/** Any number will do, as long as every release uses the same one. */
const MIGRATION_LOCK = 7_236_455_021;

type ProductionSettings = {
  databaseUrl: string;
  poolSize: number;
  redis: RedisTarget;
  redisKeyPrefix: string;
  keyEncryptionKey: Buffer;
};

type ProductionEvents = RedisCacheEvents;

/**
 * PostgreSQL and Redis. Opens nothing by itself: connections are made on first use, so a replica can start while
 * Redis is away.
 */
export function openProduction(settings: ProductionSettings, events: ProductionEvents): Adapters {
  const { databaseUrl, poolSize, redis, redisKeyPrefix, keyEncryptionKey } = settings;
  const client = createRenewableClient(() => connect(databaseUrl, poolSize));
  const cache = createRedisCache(redis, redisKeyPrefix, events);
  return {
    database: drizzle(client.sql, { schema }),
    cache,
    pingDatabase: () => client.current()`select 1`,
    renewDatabase: client.renew,
    keyEncryptionKey,
    commandSocket: null,
    location: `PostgreSQL at ${client.sql.options.host.join(', ')}, Redis at ${redis.hosts}`,
    checkSettings: () => checkPoolSize(client.current(), poolSize),
    migrate: () => migrateUnderLock(databaseUrl),
    close: async () => {
      cache.close();
      await client.current().end({ timeout: DATABASE_DEADLINE_MS / 1000 });
    },
  };
}

function connect(databaseUrl: string, poolSize: number): Sql {
  return postgres(databaseUrl, {
    max: poolSize,
    connect_timeout: DATABASE_DEADLINE_MS / 1000,
    onnotice: () => {},
    // Drizzle reads lists itself. The driver's own query for their types rejects unheard when the connection is given up
    // meanwhile, and a rejection that nobody hears ends the process.
    fetch_types: false,
    connection: {
      application_name: 'doorward',
      statement_timeout: DATABASE_DEADLINE_MS,
      idle_in_transaction_session_timeout: DATABASE_DEADLINE_MS * 2,
    },
  });
}

/**
 * A client whose connections can all be given up at once. Those that a failover or a broken network left behind
 * never end by themselves, and postgres.js would go on queueing behind them.
 */
function createRenewableClient(open: () => Sql) {
  let current = open();
  // Drizzle holds on to what it is given, so it is given something that passes its calls on.
  const sql = new Proxy(current, { get: (_first, name) => Reflect.get(current, name) });
  return {
    sql,
    current: () => current,
    renew(): void {
      const abandoned = current;
      current = open();
      // Drizzle has set these on the first one: it reads and writes dates and JSON itself.
      Object.assign(current.options.parsers, abandoned.options.parsers);
      Object.assign(current.options.serializers, abandoned.options.serializers);
      void abandoned.end({ timeout: 0 }).catch(() => {});
    },
  };
}

/** Drizzle's migrator takes no lock, so replicas that start together would fail on each other's work. */
async function migrateUnderLock(databaseUrl: string): Promise<void> {
  const client = postgres(databaseUrl, {
    max: 1,
    onnotice: () => {},
    connection: { application_name: 'doorward' },
  });
  try {
    await client`select pg_advisory_lock(${MIGRATION_LOCK})`;
    await migrate(drizzle(client), { migrationsFolder: MIGRATIONS_FOLDER });
  } catch (error) {
    throw cleanError(error);
  } finally {
    // Closing the connection gives the lock back, whatever happened.
    await client.end({ timeout: 1 });
  }
}

/** @throws PoolSizeError when one replica alone would ask for more connections than the server ever gives */
async function checkPoolSize(client: Sql, poolSize: number): Promise<void> {
  const asked = client<{ free: number }[]>`
    select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as free`;
  const [row] = await withDeadline(asked, DATABASE_DEADLINE_MS);
  if (row !== undefined && poolSize > row.free) throw new PoolSizeError(poolSize, row.free);
}

/** The pool does not fit the server: the message says by how much. */
export class PoolSizeError extends Error {
  override readonly name = 'PoolSizeError';
  constructor(poolSize: number, free: number) {
    super(
      `DATABASE_POOL_SIZE is ${poolSize}, and PostgreSQL allows ${free} connections in all: lower the one or raise the other`,
    );
  }
}
