import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import type * as schema from './schema.ts';

/** PostgreSQL through Drizzle, with either driver. Only stores run queries on it. */
export type Database = PgDatabase<PgQueryResultHKT, typeof schema>;

/** What a service passes to several stores so that their statements commit together. */
export type Transaction = {
  readonly database: Database;
  /**
   * Takes a statement of this transaction that has been sent and that nobody waits for. It is awaited before the commit: if
   * it fails, the transaction fails with its error.
   */
  alongside(statement: Promise<unknown>): void;
  /** Registers an action to run after the commit, in the order of registration; never after a rollback. */
  afterCommit(action: () => Promise<void>): void;
};

/**
 * Runs `work` in one transaction, then its after-commit actions. After contention it runs the work again, so the work
 * changes nothing but the database.
 * @throws AppError `unavailable` when the database does not answer in time; nothing is committed then, unless only
 * the answer to the commit was lost.
 */
export type Transact = <T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>;
