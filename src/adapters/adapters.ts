import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import type * as schema from '../db/schema.ts';

/** PostgreSQL through Drizzle, whichever driver is behind it. Stores alone look inside. */
export type Database = PgDatabase<PgQueryResultHKT, typeof schema>;

/** What a service hands from store to store so that their statements commit together. */
export type Transaction = {
  readonly database: Database;
  /** Runs once the transaction has committed, in the order of registration; never when it rolls back. */
  afterCommit(action: () => Promise<void>): void;
};

/**
 * Runs `work` in one transaction, then its after-commit actions.
 * @throws AppError `unavailable` when the database does not answer in time; nothing is committed then, unless
 * the answer to the commit itself was what got lost.
 */
export type Transact = <T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>;

/**
 * A small shared key-value store that may lose anything at any time. Every call touches one key.
 * All calls reject when the store cannot be reached in time; a call that rejects may still have taken effect.
 */
export type Cache = {
  get(key: string): Promise<string | null>;
  put(key: string, value: string, ttlMs: number): Promise<void>;
  /** Writes only where nothing is. Returns whether it wrote. */
  putIfAbsent(key: string, value: string, ttlMs: number): Promise<boolean>;
  /** Compare-and-set: writes only over exactly `expected`. Returns whether it wrote. */
  replace(key: string, expected: string, value: string, ttlMs: number): Promise<boolean>;
  /** Counts one more; the count starts at 1 and ends `windowMs` after its start. */
  increment(key: string, windowMs: number): Promise<{ count: number; ttlMs: number }>;
  ping(): Promise<void>;
};

/** Everything outside the process that the server needs, opened and ready. */
export type Adapters = {
  database: Database;
  cache: Cache;
  /** Resolves when the database answers; it has no deadline of its own. */
  pingDatabase(): Promise<unknown>;
  /** Gives up all connections and makes new ones: for those that a broken network has left half-dead. */
  renewDatabase(): void;
  /** The key-encryption key: 32 bytes, from the environment or the data folder. */
  keyEncryptionKey: Buffer;
  /** Path of the Unix socket for operators' commands; null where those go to the database themselves. */
  commandSocket: string | null;
  /** Where the data is, for people: never holds a credential. */
  location: string;
  /** @throws PoolSizeError when the settings ask for more than the database gives; AppError `unavailable` */
  checkSettings(): Promise<void>;
  /** Brings the schema up to date; safe to call from any number of replicas at once. */
  migrate(): Promise<void>;
  close(): Promise<void>;
};
