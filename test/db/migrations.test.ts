import { createRequire } from 'node:module';
import { test } from 'tap';
import { MIGRATIONS_FOLDER, pendingAfter, readMigrations } from '../../src/db/migrations.ts';

/** What earlier releases read the folder with, and wrote into the journal of their databases. */
const { readMigrationFiles }: typeof import('drizzle-orm/migrator') = createRequire(import.meta.url)(
  'drizzle-orm/migrator',
);

test('reads the migrations as Drizzle does, which earlier releases used', async (t) => {
  const migrations = readMigrations();
  t.same(
    migrations.map(({ statements, hash, madeAt }) => ({ sql: statements, hash, folderMillis: madeAt })),
    readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER }).map(({ bps, ...read }) => read),
  );
  t.equal(migrations[0]?.name, '0000_first');
});

test('what has not run yet is what was made later', async (t) => {
  const migrations = readMigrations();
  t.same(pendingAfter(0), migrations);
  t.same(pendingAfter(migrations[1]?.madeAt ?? 0), migrations.slice(2));
  t.same(pendingAfter(migrations.at(-1)?.madeAt ?? 0), []);
});
