import postgres from 'postgres';
import { type Test, test } from 'tap';
import { LOCKS } from '../../src/db/locks.ts';
import { findLastMigration } from '../../src/db/migration-journal.ts';
import { readMigrations } from '../../src/db/migrations.ts';
import { runSql } from '../helper.ts';
import { createTestDatabase } from '../support/database.ts';
import { createRole, emptySchemas } from '../support/database-roles.ts';

const newest = readMigrations().at(-1)?.madeAt;
const before = readMigrations().at(-2)?.madeAt;

const TAKE_BACK = `delete from drizzle.__drizzle_migrations where created_at = ${newest}`;

function open(t: Test, url: string): postgres.Sql {
  const client = postgres(url, { max: 1, onnotice: () => {} });
  t.teardown(() => client.end());
  return client;
}

test('looking changes nothing: not an empty database, not an older one', async (t) => {
  const { url } = await createTestDatabase(t);
  const client = open(t, url);
  t.equal(await findLastMigration(client), newest);
  await runSql(url, TAKE_BACK);
  for (let times = 0; times < 2; times += 1) t.equal(await findLastMigration(client), before);
  await emptySchemas(url);
  for (let times = 0; times < 2; times += 1) t.equal(await findLastMigration(client), 0);
  t.same(await runSql(url, `select 1 from pg_namespace where nspname = 'drizzle'`), []);
});

test('looking waits for no lock, not even while another process migrates', async (t) => {
  const { url } = await createTestDatabase(t);
  await runSql(url, TAKE_BACK);
  const looking = open(t, url);
  await looking`set statement_timeout = '2s'`;
  await open(t, url).begin(async (migrating) => {
    await migrating`select pg_advisory_xact_lock(${LOCKS.migrate})`;
    await migrating`lock table users, sessions, signing_keys in access exclusive mode`;
    await migrating`insert into drizzle.__drizzle_migrations (hash, created_at) values ('x', ${Date.now()})`;
    t.equal(await findLastMigration(looking), before);
  });
});

test('a role that may only read is enough; one that may not even read the journal is told what to grant', async (t) => {
  const { url } = await createTestDatabase(t);
  const { role, url: ownUrl } = await createRole(t, url);
  const reader = open(t, ownUrl);
  const grant = (schema: string) =>
    runSql(
      url,
      `grant usage on schema ${schema} to ${role}; grant select on all tables in schema ${schema} to ${role}`,
    );
  await grant('public');
  t.equal(await findLastMigration(reader), newest, 'by the columns');
  await runSql(url, 'alter table outbox drop column attempts');
  await t.rejects(findLastMigration(reader), {
    name: 'DatabaseSetupError',
    message: /grant it select on drizzle\.__drizzle_migrations/,
  });
  await runSql(url, TAKE_BACK);
  await grant('drizzle');
  t.equal(await findLastMigration(reader), before);
});
