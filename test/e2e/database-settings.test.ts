import { type Test, test } from 'tap';
import { build, createPlace, newCredentials, type Place, runSql } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { createLatinDatabase, createRole, emptySchemas, grantRows } from '../support/database-roles.ts';
import { startPgbouncer } from '../support/pgbouncer.ts';
import { runToEnd, startServer } from '../support/processes.ts';

/** What a database may bring along; each of these once made the server misread its own rows. */
const STRANGE_SETTINGS = [
  "DateStyle = 'SQL, DMY'",
  "IntervalStyle = 'sql_standard'",
  "TimeZone = 'Asia/Kolkata'",
  "bytea_output = 'escape'",
  "default_transaction_isolation = 'repeatable read'",
  "standard_conforming_strings = 'off'",
  "lock_timeout = '1ms'",
  "statement_timeout = '1h'",
];

async function alterDatabase({ DATABASE_URL }: Place, settings: string[]): Promise<void> {
  const name = new URL(DATABASE_URL).pathname.slice(1);
  for (const setting of settings) await runSql(DATABASE_URL, `alter database ${name} set ${setting}`);
}

/** Signs up and in and out over HTTP. Each step needs dates, bytes and locks. */
async function liveThrough(t: Test, url: string): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify(newCredentials());
  const post = async (path: string, cookie = '') => {
    const withCookie = cookie === '' ? { headers, body } : { headers: { cookie } };
    const response = await fetch(url + path, { method: 'POST', ...withCookie });
    const [set = ''] = response.headers.getSetCookie();
    return { status: response.status, cookie: set.slice(0, set.indexOf(';')) };
  };
  const [one, two] = [await post('/signup'), await post('/login')];
  t.same([one.status, two.status], [201, 200]);
  for (const { cookie } of [one, two]) t.equal((await post('/token', cookie)).status, 200);
  const listed = await fetch(`${url}/sessions`, { headers: { cookie: one.cookie } });
  t.match(await listed.json(), { sessions: [{ current: false }, { current: true }] });
  t.equal((await post('/logout', one.cookie)).status, 204);
  t.equal((await post('/token', one.cookie)).status, 404);
  t.equal((await post('/token', two.cookie)).status, 200);
}

test('settings that a database brings along change nothing', async (t) => {
  const place = await createPlace(t);
  await alterDatabase(place, STRANGE_SETTINGS);
  const server = await startServer(t, place);
  await liveThrough(t, server.url);
  const rotated = await runToEnd(place, 'src/cli.ts', 'keys', 'rotate', '--now');
  t.equal(rotated.code, 0, rotated.stderr);
  const added = await runToEnd(place, 'src/cli.ts', 'clients', 'add', 'shop', '--audience', 'api');
  t.equal(added.code, 0, added.stderr);
  t.match(added.stdout, /secret/i);
  await liveThrough(t, server.url);
});

test('contended sign-ups are one account and conflicts, whatever the isolation of the database', async (t) => {
  const place = await createPlace(t);
  await alterDatabase(place, ["default_transaction_isolation = 'serializable'"]);
  const { app } = await build(t, {}, place);
  const payload = newCredentials();
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => app.inject({ method: 'POST', url: '/signup', payload })),
  );
  const statuses = answers.map(({ statusCode }) => statusCode).sort();
  t.same(statuses, [201, ...Array.from({ length: 9 }, () => 409)]);
});

const PG_BOUNCERS: Record<string, string[]> = {
  'in transaction mode': ['pool_mode = transaction', 'default_pool_size = 4'],
  'in transaction mode, ignoring what it does not know': [
    'pool_mode = transaction',
    'default_pool_size = 4',
    'ignore_startup_parameters = statement_timeout, idle_in_transaction_session_timeout, lock_timeout, bytea_output, default_transaction_isolation, IntervalStyle, extra_float_digits',
  ],
  'in session mode': ['pool_mode = session', 'default_pool_size = 30'],
};

for (const [how, lines] of Object.entries(PG_BOUNCERS)) {
  test(`two replicas work through PgBouncer ${how}`, async (t) => {
    const place = await createPlace(t);
    const DATABASE_URL = await startPgbouncer(t, place.DATABASE_URL, lines);
    const settings = { ...place, DATABASE_URL, PUBLIC_URL: 'http://localhost:3000' };
    const [one, other] = await Promise.all([startServer(t, settings), startServer(t, settings)]);
    for (const { url } of [one, other]) await liveThrough(t, url);
    const locks =
      "select 1 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())";
    // A sweep may just have one, for as long as its transaction lasts.
    await eventually(async () => {
      const held = await runSql(place.DATABASE_URL, locks);
      if (held.length > 0) throw new Error('a lock stays with the pooler');
    });
  });
}

test('what a pooler does not pass on is refused at start, with what to do', async (t) => {
  for (const setting of STRANGE_SETTINGS.slice(3, 5)) {
    const place = await createPlace(t);
    await alterDatabase(place, [setting]);
    const DATABASE_URL = await startPgbouncer(t, place.DATABASE_URL, ['pool_mode = transaction']);
    const { code, stderr } = await runToEnd({ ...place, DATABASE_URL, PORT: '0' }, 'src/server.ts');
    t.equal(code, 1);
    const [name] = setting.split(' ');
    t.match(stderr, new RegExp(`${name}=.*pooler.*alter role postgres set ${name} = '`));
    t.equal(stderr.trim().split('\n').length, 1);
  }
});

test('a database in another encoding than UTF-8 is refused at start', async (t) => {
  const place = await createPlace(t);
  const DATABASE_URL = await createLatinDatabase(t, place.DATABASE_URL);
  const { code, stderr } = await runToEnd({ ...place, DATABASE_URL, PORT: '0' }, 'src/server.ts');
  t.equal(code, 1);
  t.match(stderr, /^The database is encoded in LATIN1: .*UTF8.*\n$/);
});

test('a role with a schema of its own migrates and runs in it, and is up to date at the next start', async (t) => {
  const place = await createPlace(t);
  await emptySchemas(place.DATABASE_URL);
  const { role, url } = await createRole(t, place.DATABASE_URL);
  await runSql(place.DATABASE_URL, `create schema ${role} authorization ${role}`);
  for (let start = 0; start < 2; start += 1) {
    const server = await startServer(t, { ...place, DATABASE_URL: url });
    await liveThrough(t, server.url);
    await server.stop();
  }
  const tables = await runSql<{ schemaname: string }>(
    place.DATABASE_URL,
    "select distinct schemaname from pg_tables where tablename in ('users', '__drizzle_migrations')",
  );
  t.same(tables, [{ schemaname: role }]);
});

test('two deployments in two schemas of one database know nothing of each other', async (t) => {
  const place = await createPlace(t);
  await emptySchemas(place.DATABASE_URL);
  await runSql(place.DATABASE_URL, 'create schema one; create schema "Two"');
  for (const path of ['one', '"Two"']) {
    const url = new URL(place.DATABASE_URL);
    url.searchParams.set('search_path', path);
    const { REDIS_KEY_PREFIX } = await createPlace(t);
    const server = await startServer(t, { ...place, REDIS_KEY_PREFIX, DATABASE_URL: url.href });
    await liveThrough(t, server.url);
    await server.stop();
  }
  t.same(
    await runSql(
      place.DATABASE_URL,
      'select (select count(*)::int from one.users) as one, (select count(*)::int from "Two".users) as two',
    ),
    [{ one: 1, two: 1 }],
  );
});

test('a role that finds the tables in public goes on with them, though it has a schema of its own', async (t) => {
  const place = await createPlace(t);
  const { role, url } = await createRole(t, place.DATABASE_URL);
  await runSql(place.DATABASE_URL, `create schema ${role} authorization ${role}`);
  for (const schema of ['public', 'drizzle']) await grantRows(place.DATABASE_URL, role, schema);
  const server = await startServer(t, { ...place, DATABASE_URL: url });
  await liveThrough(t, server.url);
  t.same(await runSql(place.DATABASE_URL, 'select count(*)::int as count from public.users'), [{ count: 1 }]);
});

test('a role that may only read and write rows runs when the schema is up to date, and else says what is missing', async (t) => {
  const place = await createPlace(t);
  const { role, url } = await createRole(t, place.DATABASE_URL);
  await grantRows(place.DATABASE_URL, role, 'public');
  const server = await startServer(t, { ...place, DATABASE_URL: url });
  await liveThrough(t, server.url);
  await server.stop();
  await runSql(place.DATABASE_URL, 'alter table outbox drop column attempts');
  const { code, stderr } = await runToEnd({ ...place, DATABASE_URL: url, PORT: '0' }, 'src/server.ts');
  t.equal(code, 1);
  t.match(stderr, /^PostgreSQL at .*: the user has no right to do this\. .*\n$/);
});

test('without a schema to use, the server names the search_path and what to do', async (t) => {
  const place = await createPlace(t);
  await emptySchemas(place.DATABASE_URL);
  const { role, url } = await createRole(t, place.DATABASE_URL);
  const { code, stderr } = await runToEnd({ ...place, DATABASE_URL: url, PORT: '0' }, 'src/server.ts');
  t.equal(code, 1);
  t.match(
    stderr,
    new RegExp(`^search_path is "\\$user", public, .*create schema ${role} authorization ${role}.*\n$`),
  );
});
