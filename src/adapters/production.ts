import { createRedisCache, type RedisCacheEvents } from '../cache/redis-cache.ts';
import { createRedisHints, type RedisHintsEvents } from '../cache/redis-hints.ts';
import type { RedisTarget } from '../config/redis-target.ts';
import { operations, publishCalls } from '../core/trace-channels.ts';
import { DATABASE_DEADLINE_MS } from '../db/database-guard.ts';
import { loadPostgresDriver } from '../db/drizzle.ts';
import { migratePostgres } from '../db/migrate-postgres.ts';
import { checkSchema, findLastMigration } from '../db/migration-journal.ts';
import {
  checkPoolSize,
  checkServer,
  checkUse,
  connect,
  connectForMigration,
  createRenewableClient,
  findRoute,
  type Route,
} from '../db/postgres.ts';
import * as schema from '../db/schema.ts';
import type { Adapters } from './adapters.ts';

const { drizzle } = loadPostgresDriver();

type ProductionSettings = {
  databaseUrl: string;
  poolSize: number;
  /** Processes with a pool of this size each. */
  workers: number;
  redis: RedisTarget;
  redisKeyPrefix: string;
  keyEncryptionKey: Buffer;
};

type ProductionEvents = RedisCacheEvents & RedisHintsEvents;

/**
 * PostgreSQL and Redis. Connections are opened on first use, so a replica can start while Redis is down.
 */
export function openProduction(settings: ProductionSettings, events: ProductionEvents): Adapters {
  const { databaseUrl, poolSize, workers, redis, redisKeyPrefix, keyEncryptionKey } = settings;
  let route: Route = 'direct';
  const client = createRenewableClient(() => connect(databaseUrl, poolSize, route));
  const { close: closeCache, publish, ...cache } = createRedisCache(redis, redisKeyPrefix, events);
  const hints = createRedisHints({ target: redis, keyPrefix: redisKeyPrefix, publish, events });
  return {
    database: drizzle(client.sql, { schema }),
    cache: publishCalls(operations.redis, '', cache),
    hints,
    pingDatabase: () => client.current()`select 1`,
    renewDatabase: client.renew,
    keyEncryptionKey,
    commandSocket: null,
    location: `PostgreSQL at ${client.sql.options.host.join(', ')}, Redis at ${redis.hosts}`,
    prepare: async () => {
      route = await findRoute(client.current());
      if (route === 'pooled') client.renew();
      await checkServer(client.current());
      await checkPoolSize(client.current(), poolSize, workers);
    },
    lastMigration: () => findLastMigration(client.current()),
    migrate: async (say) => {
      const migrating = connectForMigration(databaseUrl, route);
      await migratePostgres(migrating, say).finally(() => migrating.end({ timeout: 1 }));
    },
    checkUse: async () => {
      await checkUse(client.current());
      await checkSchema(client.current());
    },
    pool: () => {
      const inUse = Math.min(client.demand(), poolSize);
      return { size: poolSize, inUse, waiting: client.demand() - inUse };
    },
    backup: null,
    close: async () => {
      await hints.close();
      closeCache();
      await client.current().end({ timeout: DATABASE_DEADLINE_MS / 1000 });
    },
  };
}
