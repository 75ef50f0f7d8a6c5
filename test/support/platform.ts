import { randomBytes } from 'node:crypto';
import type { Platform } from '../../src/adapters/platform.ts';
import { createCacheSeal } from '../../src/cache/cache-seal.ts';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';
import { type Config, loadConfig } from '../../src/config/config.ts';
import { createDatabaseClock } from '../../src/core/clock.ts';
import type { Log } from '../../src/core/log.ts';
import type { Database } from '../../src/db/database.ts';
import { createTransact, deadlineGuard } from '../../src/db/database-guard.ts';
import { createRevocationLog } from '../../src/db/revocation-log.ts';

/** Longer than a busy machine needs, and longer than a test holds a transaction. */
const GENEROUS_DEADLINE_MS = 30_000;

const silent: Log = { debug: () => {}, warn: () => {}, error: () => {} };

export type PlatformOptions = Partial<Omit<Platform, 'database' | 'config'>> & {
  /** Decoded settings in place of the defaults. */
  config?: Partial<Config>;
  /** This replica's own clock, milliseconds since the epoch. */
  local?: () => number;
  deadlineMs?: number;
};

/** The platform for the features of one replica, on a test's database. */
export function createPlatform(database: Database, options: PlatformOptions = {}): Platform {
  const { local = Date.now, deadlineMs = GENEROUS_DEADLINE_MS, ...parts } = options;
  const { keyEncryptionKey = randomBytes(32), clock = createDatabaseClock(local) } = options;
  const config = { ...loadConfig({}), ...options.config };
  const guard = deadlineGuard(deadlineMs);
  const { PUBLIC_URL: issuer, KEY_ENCRYPTION_KEY_PREVIOUS: previousKeyEncryptionKey } = config;
  return {
    database,
    guard,
    transact: createTransact(database, guard),
    cache: createMemoryCache(local),
    seal: createCacheSeal({ issuer, keyEncryptionKey, previousKeyEncryptionKey, now: clock.now }),
    revocations: createRevocationLog(),
    log: silent,
    ...parts,
    config,
    keyEncryptionKey,
    clock,
  };
}

/** A log that keeps the errors that were logged. */
export function keepErrors(errors: unknown[]): Log {
  const keep = (context: object) => void ('err' in context && errors.push(context.err));
  return { debug: () => {}, warn: keep, error: keep };
}
