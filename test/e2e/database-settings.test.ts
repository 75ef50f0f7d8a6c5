import { randomUUID } from 'node:crypto';
import postgres from 'postgres';
import { type Test, test } from 'tap';
import { IGNORE_EVENTS } from '../../src/adapters/open-adapters.ts';
import { openProduction } from '../../src/adapters/production.ts';
import { build, createPlace, newCredentials, type Place, runSql } from '../helper.ts';
import { redisTarget } from '../support/adapters.ts';
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
  const added = await runToEnd(place, 'src/cli.ts', 'clients', 'add', 'shop', '--name', 'Shop');
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
    t.same(await runSql(place.DATABASE_URL, locks), [], 'no lock stays with the pooler');
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
  const name = `doorward_latin_${randomUUID().replaceAll('-', '')}`;
  await runSql(place.DATABASE_URL, `create database ${name} encoding 'LATIN1' locale 'C' template template0`);
  t.teardown(() => runSql(place.DATABASE_URL, `drop database ${name} with (force)`));
  const latin = new URL(place.DATABASE_URL);
  latin.pathname = name;
  const { code, stderr } = await runToEnd({ ...place, DATABASE_URL: latin.href, PORT: '0' }, 'src/server.ts');
  t.equal(code, 1);
  t.match(stderr, /^The database is encoded in LATIN1: .*UTF8.*\n$/);
});

test('a migration that waits for another one says so once, and gives up in time', async (t) => {
  const place = await createPlace(t);
  const { migrateUnderLock } = await import('../../src/db/postgres.ts');
  const holder = postgres(place.DATABASE_URL, { max: 1, onnotice: () => {} });
  t.teardown(() => holder.end());
  const { LOCKS } = await import('../../src/db/locks.ts');
  await holder`select pg_advisory_lock(${LOCKS.migrate})`;
  let waits = 0;
  const wait = () => {
    waits += 1;
  };
  await t.rejects(migrateUnderLock(place.DATABASE_URL, 'direct', wait, 500), {
    name: 'DatabaseSetupError',
    message: /holds the lock for migrations/,
  });
  t.equal(waits, 1);
  const adapters = openProduction(
    {
      databaseUrl: place.DATABASE_URL,
      poolSize: 2,
      redis: redisTarget(place.REDIS_URL),
      redisKeyPrefix: place.REDIS_KEY_PREFIX,
      keyEncryptionKey: Buffer.alloc(32),
    },
    IGNORE_EVENTS,
  );
  t.teardown(adapters.close);
  const free = async () => void (await holder`select pg_advisory_unlock(${LOCKS.migrate})`);
  await adapters.migrate(() => void free());
});
