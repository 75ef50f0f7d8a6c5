import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import type * as schema from './schema.ts';

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
