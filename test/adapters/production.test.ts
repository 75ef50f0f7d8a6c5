import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import postgres from 'postgres';
import { type Test, test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { IGNORE_EVENTS } from '../../src/adapters/open-adapters.ts';
import { openProduction } from '../../src/adapters/production.ts';
import { createTransact, guardStore, withDeadline } from '../../src/db/database-guard.ts';
import { sql } from '../../src/db/drizzle.ts';
import { MIGRATIONS_FOLDER } from '../../src/db/migrations.ts';
import { outbox, users } from '../../src/db/schema.ts';
import { eventually, redisTarget } from '../support/adapters.ts';
import { createTestDatabase, createTestRedis } from '../support/database.ts';
import { freePort } from '../support/free-port.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';

const keyEncryptionKey = randomBytes(32);

async function setUp(t: Test) {
  const { url: databaseUrl } = await createTestDatabase(t);
  const { url: redisUrl, keyPrefix: redisKeyPrefix } = await createTestRedis(t);
  const settings = {
    databaseUrl,
    poolSize: 2,
    workers: 1,
    redis: redisTarget(redisUrl),
    redisKeyPrefix,
    keyEncryptionKey,
  };
  const open = (changes: Partial<typeof settings> = {}) => {
    const adapters = openProduction({ ...settings, ...changes }, IGNORE_EVENTS);
    t.teardown(adapters.close);
    return adapters;
  };
  return { databaseUrl, open };
}

/** Brings the database back to the state before any migration. */
async function empty(t: Test, url: string): Promise<postgres.Sql> {
  const client = postgres(url, { max: 1, onnotice: () => {} });
  t.teardown(() => client.end());
  await client.unsafe('drop schema public cascade; drop schema drizzle cascade; create schema public');
  return client;
}

test('five replicas may migrate an empty database at once, and again', async (t) => {
  const { databaseUrl, open } = await setUp(t);
  const client = await empty(t, databaseUrl);
  const replicas = Array.from({ length: 5 }, () => open());
  await Promise.all(replicas.map((replica) => replica.migrate(() => {})));
  await Promise.all(replicas.map((replica) => replica.migrate(() => {})));
  const migrations = readdirSync(MIGRATIONS_FOLDER).filter((name) => name.endsWith('.sql'));
  t.equal((await client`select 1 from drizzle.__drizzle_migrations`).length, migrations.length);
  t.same(await client`select 1 from users`, []);
});

test('a migration leaves no lock and no connection behind', async (t) => {
  const { databaseUrl, open } = await setUp(t);
  const client = await empty(t, databaseUrl);
  await open().migrate(() => {});
  await eventually(async () => {
    const others = await client`
      select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
    if (others.length > 0) throw new Error('somebody is still connected');
  });
  t.same(
    await client`select 1 from pg_locks where locktype = 'advisory' and database =
    (select oid from pg_database where datname = current_database())`,
    [],
  );
});

test('a migration that the database refuses says why, and quotes nothing', async (t) => {
  const { databaseUrl, open } = await setUp(t);
  const client = await empty(t, databaseUrl);
  await client.unsafe('create table users (id int)');
  await t.rejects(
    open().migrate(() => {}),
    { name: 'DatabaseError', sqlState: '42P07' },
  );
});

test('stores, transactions and the cache work', async (t) => {
  const { open } = await setUp(t);
  const { database, cache, pingDatabase, keyEncryptionKey: key } = open();
  await pingDatabase();
  const user = {
    id: randomUUID(),
    email: 'ada@example.com',
    emailAsTyped: 'Ada@example.com',
    passwordHash: 'x',
  };
  const store = createAccountStore(database);
  await createTransact(database)((transaction) => store.insert(transaction, user));
  t.match(await store.findByEmail(user.email), user);
  await eventually(cache.ping);
  await cache.put('a', '1', 60_000);
  t.equal(await cache.get('a'), '1');
  t.equal(key, keyEncryptionKey);
});

test('the database itself ends statements and transactions that nobody waits for any more', async (t) => {
  const { open } = await setUp(t);
  const { database } = open();
  const setting = (name: string) => database.execute(sql.raw(`show ${name}`));
  t.same(await setting('statement_timeout'), [{ statement_timeout: '2s' }]);
  t.match(await setting('idle_in_transaction_session_timeout'), [
    { idle_in_transaction_session_timeout: '4s' },
  ]);
  t.match(await setting('application_name'), [{ application_name: 'doorward' }]);
});

test('a notice of the database is nothing to print', async (t) => {
  const { open } = await setUp(t);
  const printed = t.capture(console, 'log');
  await open().database.execute(sql.raw(`do $$ begin raise notice 'look at me'; end $$`));
  t.same(printed(), []);
});

test('a location for people holds no credential', async (t) => {
  const { open } = await setUp(t);
  const secret = randomBytes(8).toString('hex');
  const port = await freePort();
  const { location } = open({
    databaseUrl: `postgres://ada-${secret}:pw-${secret}@127.0.0.1:${port}/none?application_name=x-${secret}`,
    redis: redisTarget(`redis://ada-${secret}:pw-${secret}@127.0.0.1:${port}/1?x=${secret}`),
  });
  t.equal(location, 'PostgreSQL at 127.0.0.1, Redis at 127.0.0.1');
});

test('a database that is not there is unavailable, and closing is still possible', async (t) => {
  const { open } = await setUp(t);
  const gone = open({ databaseUrl: `postgres://127.0.0.1:${await freePort()}/none` });
  await t.rejects(
    gone.migrate(() => {}),
    { code: 'unavailable' },
  );
  await t.rejects(gone.pingDatabase(), { code: 'ECONNREFUSED' });
  await t.rejects(guardStore('accounts', createAccountStore(gone.database)).findById(randomUUID()), {
    code: 'unavailable',
  });
  await t.resolves(gone.close());
});

test('closing ends the connections', async (t) => {
  const { databaseUrl, open } = await setUp(t);
  const client = postgres(databaseUrl, { max: 1 });
  t.teardown(() => client.end());
  const { pingDatabase, cache, close } = open();
  await pingDatabase();
  await eventually(cache.ping);
  await close();
  await t.rejects(cache.ping());
  await t.rejects(pingDatabase(), { code: 'CONNECTION_ENDED' });
  await eventually(async () => {
    const others = await client`
      select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
    if (others.length > 0) throw new Error('somebody is still connected');
  });
});

test('a pool that is larger than what the server ever gives is refused, with the numbers', async (t) => {
  const { databaseUrl, open } = await setUp(t);
  const client = postgres(databaseUrl, { max: 1 });
  t.teardown(() => client.end());
  const [row] = await client<{ free: number }[]>`
    select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as free`;
  const free = row?.free ?? 0;
  t.ok(free > 0);
  await t.rejects(open({ poolSize: free + 1 }).prepare(), {
    name: 'PoolSizeError',
    message: new RegExp(`^DATABASE_POOL_SIZE is ${free + 1}, and PostgreSQL allows ${free} connections`),
  });
  await t.resolves(open({ poolSize: free }).prepare());
  const half = Math.ceil((free + 1) / 2);
  await t.rejects(open({ poolSize: half, workers: 2 }).prepare(), {
    message: new RegExp(
      `^DATABASE_POOL_SIZE is ${half} in each of 2 workers, and PostgreSQL allows ${free} conn`,
    ),
  });
});

test('a connection given up before it was ready is no error that nobody hears', async (t) => {
  const { open } = await setUp(t);
  const silent = createServer((socket) => {
    socket.on('error', () => {});
    // Accepts the login, says that it is ready, and sends nothing more.
    socket.once('data', () => socket.write(Buffer.from('520000000800000000' + '5a0000000549', 'hex')));
  });
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const { pingDatabase, renewDatabase } = open({ databaseUrl: `postgres://x@127.0.0.1:${port}/x` });
  const asked = once(silent, 'connection');
  const lost = Promise.resolve(pingDatabase());
  lost.catch(() => {});
  const [socket] = await asked;
  // The greeting, and then the first statement.
  for (let heard = 0; heard < 2; heard += 1) await once(socket, 'data');
  renewDatabase();
  // An unhandled rejection would fail the test here.
  await t.rejects(lost, { code: 'CONNECTION_DESTROYED' });
});

test('connections that a broken network left half-dead are renewed, and everything works on the new ones', async (t) => {
  const { databaseUrl, open } = await setUp(t);
  const proxy = await createTcpProxy(t, databaseUrl);
  const { database, pingDatabase, renewDatabase } = open({ databaseUrl: proxy.url, poolSize: 1 });
  const store = createAccountStore(database);
  const user = { id: randomUUID(), email: 'ada@example.com', emailAsTyped: 'A', passwordHash: 'x' };
  const written = await createTransact(database)((transaction) => store.insert(transaction, user));
  proxy.halfOpen();
  const lost = store.findById(user.id);
  lost.catch(() => {});
  await t.rejects(withDeadline(pingDatabase(), 50), { code: 'unavailable' });
  renewDatabase();
  await t.rejects(lost, { cause: { code: 'CONNECTION_DESTROYED' } });
  await pingDatabase();
  // Dates and JSON are read and written by Drizzle, as on the first client.
  t.strictSame(await store.findById(user.id), written);
  await database.insert(outbox).values({ id: randomUUID(), kind: 'sessions_ended', payload: { a: ['b'] } });
  t.match(await database.select().from(outbox), [{ payload: { a: ['b'] }, createdAt: Date }]);
  await createTransact(database)(async (transaction) => {
    t.match(await transaction.database.select().from(users), [{ id: user.id }]);
  });
});

test('knows how many calls have a connection to the database, and how many wait for one', async (t) => {
  const { open } = await setUp(t);
  const { database, pool, renewDatabase } = open();
  const slowly = sql`select pg_sleep(0.5)`;
  const work = Promise.all([
    database.execute(slowly),
    database.transaction(async (tx) => void (await tx.execute(slowly))),
    database.execute(slowly),
    database.execute(sql`select 1 / 0`).catch(() => {}),
  ]);
  await setImmediate();
  t.same(pool?.(), { size: 2, inUse: 2, waiting: 2 });
  await work;
  t.same(pool?.(), { size: 2, inUse: 0, waiting: 0 }, 'also after a failure');
  const lost = database.execute(slowly).catch(() => {});
  await setImmediate();
  t.equal(pool?.().inUse, 1);
  renewDatabase();
  await lost;
  t.same(pool?.(), { size: 2, inUse: 0, waiting: 0 }, 'and after a connection was given up');
});
