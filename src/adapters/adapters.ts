import type { Cache } from '../cache/cache.ts';
import type { Hints } from '../cache/redis-hints.ts';
import type { Database } from '../db/database.ts';
import type { BackupReceipt } from './backup-file.ts';

/** Everything outside the process that the server needs, opened and ready. */
export type Adapters = {
  database: Database;
  cache: Cache;
  /** Of new revocations, between replicas. */
  hints: Hints;
  /** Resolves when the database answers; it has no deadline of its own. */
  pingDatabase(): Promise<unknown>;
  /** Drops all connections and opens new ones: after a network failure the old ones may be dead. */
  renewDatabase(): void;
  /** The key-encryption key: 32 bytes, from the environment or the data folder. */
  keyEncryptionKey: Buffer;
  /** Path of the Unix socket for operators' commands; null if they use the database directly. */
  commandSocket: string | null;
  /** Where the data is, for display. Never contains a credential. */
  location: string;
  /**
   * Finds out how to connect to the database, and whether it is one to run on. Call it before anything else.
   * @throws DatabaseSetupError; PoolSizeError when the settings ask for more than it allows; AppError `unavailable`
   */
  prepare(): Promise<void>;
  /**
   * When the newest migration that has run was made, in milliseconds since the epoch; 0 if none has. Changes nothing.
   * @throws DatabaseSetupError when the role may not know; AppError `unavailable`
   */
  lastMigration(): Promise<number>;
  /**
   * Brings the schema up to date; safe to call from any number of replicas at once.
   * @param say called with a line for the log: what is waited for, or where the data was backed up
   */
  migrate(say: (line: string) => void): Promise<void>;
  /**
   * Whether the database has the tables of this release, and takes changes. Call it after `migrate`.
   * @throws AppError `unavailable` while it is read-only; DatabaseError when tables are missing or not up to date
   */
  checkUse(): Promise<void>;
  /** Writes all data into a new file; null where that is left to the tools of PostgreSQL. */
  backup: ((file: string) => Promise<BackupReceipt>) | null;
  /** How busy the connections to the database are. Left out by one that has no pool. */
  pool?: () => PoolState;
  close(): Promise<void>;
};

/** Connections that work, and calls that wait for one. */
export type PoolState = { size: number; inUse: number; waiting: number };
