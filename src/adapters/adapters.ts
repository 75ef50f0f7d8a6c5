import type { Cache } from '../cache/cache.ts';
import type { Database } from '../db/database.ts';

/** Everything outside the process that the server needs, opened and ready. */
export type Adapters = {
  database: Database;
  cache: Cache;
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
   * Brings the schema up to date; safe to call from any number of replicas at once.
   * @param onWait called once if another replica is at it
   */
  migrate(onWait: () => void): Promise<void>;
  close(): Promise<void>;
};
