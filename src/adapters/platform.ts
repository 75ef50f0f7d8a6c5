import type { Cache } from '../cache/cache.ts';
import type { Config } from '../config/config.ts';
import type { DatabaseClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { Database, Transact } from '../db/database.ts';
import { breakingGuard, createTransact, type DatabaseGuard, deadlineGuard } from '../db/database-guard.ts';
import type { Adapters } from './adapters.ts';

/** What features open themselves on. */
export type Platform = {
  config: Config;
  database: Database;
  /** How calls to the database are made. */
  guard: DatabaseGuard;
  transact: Transact;
  cache: Cache;
  /** 32 bytes. */
  keyEncryptionKey: Buffer;
  clock: DatabaseClock;
  log: Log;
};

/** For a feature in which nothing runs by itself. */
export async function nothingToClose(): Promise<void> {}

/**
 * The platform of a server: no request waits twice for a database that does not answer.
 * @returns also `close`, which ends the probing of the database
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

/** The database's own errors tell an operator all that there is to know. */
const SILENT: Log = { debug: () => {}, warn: () => {}, error: () => {} };

function platformOn(
  config: Config,
  { database, cache, keyEncryptionKey }: Adapters,
  guard: DatabaseGuard,
  clock: DatabaseClock,
  log: Log,
): Platform {
  const transact = createTransact(database, guard);
  return { config, database, guard, transact, cache, keyEncryptionKey, clock, log };
}
