import { randomUUID } from 'node:crypto';
import postgres from 'postgres';
import { type Test, test } from 'tap';
import { IGNORE_EVENTS } from '../../src/adapters/open-adapters.ts';
import { openProduction } from '../../src/adapters/production.ts';
import { LOCKS } from '../../src/db/locks.ts';
import { migratePostgres } from '../../src/db/migrate-postgres.ts';
import { readMigrations } from '../../src/db/migrations.ts';
import { runCommand, startServer } from '../e2e/server-process.ts';
import { createPlace, type Place, runSql } from '../helper.ts';
import { redisTarget } from '../support/adapters.ts';
import { createLatinDatabase, createRole, emptySchemas, grantRows } from '../support/database-roles.ts';
import { startPgbouncer } from '../support/pgbouncer.ts';

const noWait = () => {};

/** Opened as the server opens it, but in this process. */
function open(t: Test, place: Place, databaseUrl = place.DATABASE_URL) {
  const adapters = openProduction(
    {
      databaseUrl,
      poolSize: 2,
      workers: 1,
      redis: redisTarget(place.REDIS_URL),
      redisKeyPrefix: place.REDIS_KEY_PREFIX,
      keyEncryptionKey: Buffer.from(place.KEY_ENCRYPTION_KEY, 'base64'),
    },
    IGNORE_EVENTS,
  );
  t.teardown(adapters.close);
  return adapters;
}

test('a pooler in transaction mode is found out, whether it refuses our settings or ignores them', async (t) => {
  const ignored =
    'statement_timeout, idle_in_transaction_session_timeout, lock_timeout, bytea_output, default_transaction_isolation, IntervalStyle';
  for (const lines of [[], [`ignore_startup_parameters = ${ignored}`]]) {
    const place = await createPlace(t);
    const url = await startPgbouncer(t, place.DATABASE_URL, ['pool_mode = transaction', ...lines]);
    const adapters = open(t, place, url);
    await adapters.prepare();
    await adapters.migrate(noWait);
    await t.resolves(Promise.resolve(adapters.pingDatabase()));
  }
});

test('what a pooler does not pass on is refused, and so is another encoding than UTF-8', async (t) => {
  const place = await createPlace(t);
  const name = new URL(place.DATABASE_URL).pathname.slice(1);
  await runSql(place.DATABASE_URL, `alter database ${name} set bytea_output = 'escape'`);
  const url = await startPgbouncer(t, place.DATABASE_URL, ['pool_mode = transaction']);
  await t.rejects(open(t, place, url).prepare(), {
    name: 'DatabaseSetupError',
    message: /bytea_output=escape.*alter role/,
  });
  const latin = await createLatinDatabase(t, place.DATABASE_URL);
  await t.rejects(open(t, place, latin).prepare(), { name: 'DatabaseSetupError', message: /LATIN1/ });
});

test('a database that is not there is refused by its SQLSTATE', async (t) => {
  const place = await createPlace(t);
  const url = new URL(place.DATABASE_URL);
  url.pathname = `doorward_none_${randomUUID().replaceAll('-', '')}`;
  await t.rejects(open(t, place, url.href).prepare(), { name: 'DatabaseError', sqlState: '3D000' });
});

test('a role migrates in its own schema, once, and without any schema it is told what to do', async (t) => {
  const place = await createPlace(t);
  await emptySchemas(place.DATABASE_URL);
  const { role, url } = await createRole(t, place.DATABASE_URL);
  await t.rejects(open(t, place, url).migrate(noWait), {
    name: 'DatabaseSetupError',
    message: new RegExp(`search_path is .*create schema ${role}`),
  });
  await runSql(place.DATABASE_URL, `create schema ${role} authorization ${role}`);
  for (let times = 0; times < 2; times += 1) await open(t, place, url).migrate(noWait);
  t.match(await runSql(place.DATABASE_URL, `select count(*)::int as n from ${role}.users`), [{ n: 0 }]);
});

test('a role that may only read and write rows needs nothing else when the schema is up to date', async (t) => {
  const place = await createPlace(t);
  const { role, url } = await createRole(t, place.DATABASE_URL);
  await grantRows(place.DATABASE_URL, role, 'public');
  await open(t, place, url).migrate(noWait);
  await runSql(place.DATABASE_URL, 'alter table outbox drop column attempts');
  await t.rejects(open(t, place, url).migrate(noWait), { name: 'DatabaseError', sqlState: '42501' });
});

test('a migration that waits for another one says so once, and gives up in time', async (t) => {
  const place = await createPlace(t);
  const holder = postgres(place.DATABASE_URL, { max: 1, onnotice: () => {} });
  t.teardown(() => holder.end());
  await holder`select pg_advisory_lock(${LOCKS.migrate})`;
  let waits = 0;
  const wait = () => {
    waits += 1;
  };
  const another = postgres(place.DATABASE_URL, { max: 1, onnotice: () => {} });
  t.teardown(() => another.end());
  await another`delete from drizzle.__drizzle_migrations where created_at = (select max(created_at) from drizzle.__drizzle_migrations)`;
  await another`drop table revocations`;
  await another`drop function number_revocations`;
  await t.rejects(migratePostgres(another, wait, { patienceMs: 500 }), {
    name: 'DatabaseSetupError',
    message: /holds the lock for migrations/,
  });
  t.equal(waits, 1);
  const adapters = open(t, place);
  const free = async () => void (await holder`select pg_advisory_unlock(${LOCKS.migrate})`);
  await adapters.migrate(() => void free());
  const [journal] = await holder`select count(*)::int as done from drizzle.__drizzle_migrations`;
  t.equal(journal?.done, readMigrations().length, 'it had the lock, and ran the last migration');
});

test('a server and a command that start while another replica migrates say so, and go on after it', async (t) => {
  const place = await createPlace(t);
  const holder = postgres(place.DATABASE_URL, { max: 1, onnotice: () => {} });
  t.teardown(() => holder.end());
  const [last] = await holder`
    delete from drizzle.__drizzle_migrations
    where created_at = (select max(created_at) from drizzle.__drizzle_migrations) returning *`;
  await holder`select pg_advisory_lock(${LOCKS.migrate})`;
  const server = startServer(t, place);
  await server.says(/waiting for another process, which is migrating the database/);
  const command = runCommand(t, ['migrate'], place);
  while (!/waiting for another process/.test(command.stderr)) await new Promise((go) => setTimeout(go, 20));
  await holder`insert into drizzle.__drizzle_migrations ${holder(last ?? {})}`;
  await holder`select pg_advisory_unlock(${LOCKS.migrate})`;
  t.equal(await command.exited, 0, command.stderr);
  t.ok(await server.url());
});

test('a role with an empty schema is not given the tables of another deployment in public', async (t) => {
  const place = await createPlace(t);
  const { role, url } = await createRole(t, place.DATABASE_URL);
  await runSql(
    place.DATABASE_URL,
    `create schema ${role} authorization ${role}; grant usage on schema public to ${role}`,
  );
  await open(t, place, url).migrate(noWait);
  t.match(await runSql(place.DATABASE_URL, `select count(*)::int as n from ${role}.users`), [{ n: 0 }]);
});

test('a role that may create tables in public, but no schema, keeps the journal there', async (t) => {
  const place = await createPlace(t);
  await emptySchemas(place.DATABASE_URL);
  const { role, url } = await createRole(t, place.DATABASE_URL);
  await runSql(place.DATABASE_URL, `grant usage, create on schema public to ${role}`);
  for (let times = 0; times < 2; times += 1) await open(t, place, url).migrate(noWait);
  const found = await runSql(
    place.DATABASE_URL,
    `select schemaname from pg_tables where tablename = '__drizzle_migrations'`,
  );
  t.same(found, [{ schemaname: 'public' }]);
});
