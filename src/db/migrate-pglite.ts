import type { PGlite } from '@electric-sql/pglite';
import { type Migration, withoutConcurrency } from './migrations.ts';

/** @returns when the last migration that has run was made, in milliseconds since the epoch; 0 if none has */
export async function lastMigrationOfPGlite(client: PGlite): Promise<number> {
  const { rows } = await client.query(
    "select 1 where to_regclass('drizzle.__drizzle_migrations') is not null",
  );
  if (rows.length === 0) return 0;
  const { rows: latest } = await client.query<{ last: string | null }>(
    'select max(created_at) as last from drizzle.__drizzle_migrations',
  );
  return Number(latest[0]?.last);
}

/** Runs the migrations in one transaction, and notes them where Drizzle's own migrator would. */
export async function migratePGlite(client: PGlite, pending: Migration[]): Promise<void> {
  await client.transaction(async (transaction) => {
    await transaction.exec(`
      create schema if not exists drizzle;
      create table if not exists drizzle.__drizzle_migrations (
        id serial primary key, hash text not null, created_at bigint
      )`);
    for (const { statements, hash, madeAt } of pending) {
      for (const statement of statements) await transaction.exec(withoutConcurrency(statement));
      await transaction.query('insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)', [
        hash,
        madeAt,
      ]);
    }
  });
}
