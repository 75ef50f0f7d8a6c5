import type { Cache } from '../cache/cache.ts';
import { type CacheSeal, createCacheSeal } from '../cache/cache-seal.ts';
import type { Config } from '../config/config.ts';
import type { DatabaseClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { Database, Transact } from '../db/database.ts';
import { breakingGuard, createTransact, type DatabaseGuard, deadlineGuard } from '../db/database-guard.ts';
import { createRevocationLog, type RevocationLog } from '../db/revocation-log.ts';
import type { Adapters } from './adapters.ts';

/** What every feature gets when it opens. */
export type Platform = {
  config: Config;
  database: Database;
  /** Runs the calls to the database. */
  guard: DatabaseGuard;
  transact: Transact;
  cache: Cache;
  /** Seals what is put into the cache, which is not believed. */
  seal: CacheSeal;
  /** 32 bytes. */
  keyEncryptionKey: Buffer;
  revocations: RevocationLog;
  clock: DatabaseClock;
  log: Log;
};

/** For a feature without timers and threads. */
export async function nothingToClose(): Promise<void> {}

/**
 * The platform of a server. It has a circuit breaker: requests do not wait for a database that is known to be down.
 * @returns also `close`, which stops the probes of the database
 */
export function openPlatform(
  config: Config,
  adapters: Adapters,
  clock: DatabaseClock,
  log: Log,
): Platform & { close(): void } {
  const guard = breakingGuard({
    ping: adapters.pingDatabase,
    onProbeLost: adapters.renewDatabase,
    onBreak: (isOpen) => log.warn({}, isOpen ? 'the database does not answer' : 'the database answers again'),
  });
  return { ...platformOn(config, adapters, guard, clock, log), close: guard.close };
}

/** The platform of a command, which makes few calls and waits for each. */
export function openCommandPlatform(config: Config, adapters: Adapters, clock: DatabaseClock): Platform {
  return platformOn(config, adapters, deadlineGuard(), clock, SILENT);
}

/** A command logs nothing: it prints its error. */
const SILENT: Log = { debug: () => {}, warn: () => {}, error: () => {} };

function platformOn(
  config: Config,
  { database, cache, keyEncryptionKey }: Adapters,
  guard: DatabaseGuard,
  clock: DatabaseClock,
  log: Log,
): Platform {
  const transact = createTransact(database, guard);
  const seal = createCacheSeal({
    issuer: config.PUBLIC_URL,
    keyEncryptionKey,
    previousKeyEncryptionKey: config.KEY_ENCRYPTION_KEY_PREVIOUS,
    now: clock.now,
  });
  const revocations = createRevocationLog();
  return { config, database, guard, transact, cache, seal, keyEncryptionKey, revocations, clock, log };
}
