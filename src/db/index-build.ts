import type { Sql, TransactionSql } from 'postgres';
import type { Home } from './migration-journal.ts';
import type { Migration } from './migrations.ts';

/** The only form that a migration may have it in; a test of the migrations says so too. */
const INDEX = /^\s*CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS "(?<index>\w+)" ON "(?<table>\w+)"/;

/**
 * Builds the indexes of a migration, one after the other, on a connection of their own.
 * @param transaction holds the lock for migrations meanwhile
 */
export async function buildIndexes(
  client: Sql,
  transaction: TransactionSql,
  home: Home,
  { statements }: Migration,
): Promise<void> {
  // A build waits for all that may still see rows of earlier. Of the last statement the transaction keeps such a view, until
  // another statement comes, and this kind keeps none.
  await transaction`select 1`.simple();
  for (const statement of statements) await buildIndex(client, home, statement);
}

/**
 * Builds an index while rows of its table go on being written. That is possible only outside of a transaction, so it can
 * end half done: then an index is left that slows down each write and is never used. It is dropped, and made anew.
 * @throws Error for a statement of another form; errors of the driver
 */
async function buildIndex(client: Sql, home: Home, statement: string): Promise<void> {
  const found = INDEX.exec(statement)?.groups;
  if (found === undefined) throw new Error(`not a statement to run outside of a transaction: ${statement}`);
  const schema = `"${home.schema.replaceAll('"', '""')}"`;
  const index = `${schema}."${found.index}"`;
  const [broken] = await client`
    select 1 from pg_index where indexrelid = to_regclass(${index}) and not indisvalid`;
  if (broken !== undefined) await client.unsafe(`drop index concurrently ${index}`);
  // There is no transaction to set the search_path for.
  await client.unsafe(statement.replace(` ON "${found.table}"`, ` ON ${schema}."${found.table}"`));
}
