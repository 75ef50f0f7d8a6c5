import type { RedisCacheEvents } from '../cache/redis-cache.ts';
import type { RedisHintsEvents } from '../cache/redis-hints.ts';
import type { Config } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { Adapters } from './adapters.ts';

type AdapterEvents = RedisCacheEvents &
  RedisHintsEvents & {
    /** Called before a new embedded database is made, which takes seconds. */
    onNewDatabase?: () => void;
  };

/** For commands, which log no events: the errors of the database say what an operator needs to know. */
export const IGNORE_EVENTS: RedisCacheEvents & RedisHintsEvents = {
  onError: ignore,
  onBreak: ignore,
  onHintsRefused: ignore,
};

function ignore(): void {}

/**
 * Opens what the settings ask for: PGlite in this process, or PostgreSQL and Redis. Only the code for that is loaded.
 * @param events called on problems with the connection to Redis, and before something that takes long
 * @throws DataFolderError when the data folder cannot be used
 */
export async function openAdapters(config: Config, clock: Clock, events: AdapterEvents): Promise<Adapters> {
  const { DATABASE_URL, REDIS_URL, KEY_ENCRYPTION_KEY } = config;
  if (DATABASE_URL === undefined || REDIS_URL === undefined || KEY_ENCRYPTION_KEY === undefined) {
    const { openEmbedded } = await import('./embedded.ts');
    const { onNewDatabase } = events;
    return openEmbedded(
      { dataFolder: config.DATA_DIR, keyEncryptionKey: KEY_ENCRYPTION_KEY, onNewDatabase },
      clock,
    );
  }
  const { openProduction } = await import('./production.ts');
  return openProduction(
    {
      databaseUrl: DATABASE_URL,
      poolSize: config.DATABASE_POOL_SIZE,
      workers: config.WORKERS,
      redis: REDIS_URL,
      redisKeyPrefix: config.REDIS_KEY_PREFIX,
      keyEncryptionKey: KEY_ENCRYPTION_KEY,
    },
    events,
  );
}
