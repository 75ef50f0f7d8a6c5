import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import postgres from 'postgres';
import { type Test, test } from 'tap';
import { createPlace, newCredentials, type Place, runSql } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { emptySchemas } from '../support/database-roles.ts';
import { freePort } from '../support/free-port.ts';
import { askOver, keptAlive } from '../support/kept-alive.ts';
import { type PrivateServer, startPostgres, startRedis, startStandby } from '../support/servers.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';
import { cookiesOf, postJson, runCommand, startServer, type TestProcess } from './server-process.ts';

/** Much longer than any start takes, so that one that waits can be told from one that refuses. */
const LONG = '10m';

const keyEncryptionKey = randomBytes(32).toString('base64');

async function stopped(t: Test, starting: Promise<PrivateServer>, signal: NodeJS.Signals) {
  const server = await starting;
  t.teardown(() => server.stop());
  server.signal(signal);
  return server;
}

/** A Redis that wants a password. */
async function startLockedRedis(t: Test): Promise<PrivateServer> {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const admin = new Redis(redis.url);
  t.teardown(() => admin.disconnect());
  await admin.config('SET', 'requirepass', randomBytes(8).toString('hex'));
  return redis;
}

/** A server on a port that is known before it says so. */
async function startAt(t: Test, env: Record<string, string>) {
  const port = await freePort();
  const server = startServer(t, { STARTUP_TIMEOUT: LONG, ...env, PORT: String(port) });
  return { server, url: `http://127.0.0.1:${port}` };
}

function linesWith(server: TestProcess, text: string): number {
  return server.stdout.split('\n').filter((line) => line.includes(text)).length;
}

test('PostgreSQL and Redis that are started later are waited for, alive and not ready', async (t) => {
  const [database, redis] = await Promise.all([
    stopped(t, startPostgres(), 'SIGINT'),
    stopped(t, startRedis(), 'SIGKILL'),
  ]);
  const { server, url } = await startAt(t, {
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    KEY_ENCRYPTION_KEY: keyEncryptionKey,
    PATH_PREFIX: '/auth',
    PUBLIC_URL: 'http://localhost:3000/auth',
  });
  await server.says(
    /PostgreSQL at .*: no server accepts connections there\. .*Waiting for that, up to 600 s/,
  );
  t.equal((await fetch(`${url}/auth/health/live`)).status, 200);
  const ready = await fetch(`${url}/auth/health/ready`);
  t.equal(ready.status, 503);
  t.strictSame(await ready.json(), { status: 'starting', database: 'down', cache: 'down' });
  for (const path of ['/auth/token', '/auth/login', '/', '/auth/nothing']) {
    const early = await postJson(`${url}${path}`, newCredentials());
    t.equal(early.status, 503, path);
    t.equal(early.headers.get('retry-after'), '1');
    t.match(await early.json(), { code: 'unavailable' });
  }

  const agent = keptAlive(t, 1);
  const first = await askOver(agent, `${url}/auth/health/live`);
  let isUp = false;
  const probing = (async () => {
    while (!isUp) t.equal((await askOver(agent, `${url}/auth/health/live`)).status, 200);
  })();
  await redis.restart();
  await database.restart();
  t.equal(await server.url(), url);
  isUp = true;
  await probing;
  const { status, port } = await askOver(agent, `${url}/auth/.well-known/jwks.json`);
  t.same({ status, port }, { status: 200, port: first.port });
  t.equal((await postJson(`${url}/auth/signup`, newCredentials())).status, 201);
  t.equal((await fetch(`${url}/auth/health/ready`)).status, 200);
  const waits = server.stdout.split('\n').filter((line) => /PostgreSQL at .*Waiting for that/.test(line));
  t.equal(new Set(waits.map((line) => JSON.parse(line).msg)).size, waits.length, 'one line for each reason');
  t.equal(waits.filter((line) => line.includes('no server accepts connections')).length, 1);
  t.equal(linesWith(server, 'Its data is in PostgreSQL at'), 1);
  t.equal(linesWith(server, 'PostgreSQL can be used'), 1);
  t.equal(linesWith(server, 'Redis at 127.0.0.1:'), 1);
  t.equal(await server.end('SIGINT'), 0);
});

test('a start that waits for nothing refuses connections until it can serve: a proxy tries another replica', async (t) => {
  const { server, url } = await startAt(t, await createPlace(t));
  const first = await eventually(() => fetch(`${url}/.well-known/jwks.json`));
  t.equal(first.status, 200);
  t.equal(await server.end('SIGINT'), 0);
});

test('a Redis that is started later is waited for, and one that stays away is not', async (t) => {
  const place = await createPlace(t);
  const redis = await stopped(t, startRedis(), 'SIGKILL');
  const { server, url } = await startAt(t, { ...place, REDIS_URL: redis.url });
  await server.says(/Redis at .*: no server accepts connections there\. .* Waiting for that, up to 10 s/);
  t.match(await (await fetch(`${url}/health/ready`)).json(), { status: 'starting', database: 'ok' });
  await redis.restart();
  await server.url();
  t.equal(linesWith(server, 'Redis can be used'), 1);
  t.match(await (await fetch(`${url}/health/ready`)).json(), { status: 'ok' });
  t.equal(await server.end('SIGINT'), 0);

  redis.signal('SIGKILL');
  const alone = await startAt(t, { ...place, REDIS_URL: redis.url, STARTUP_TIMEOUT: '1s' });
  await alone.server.says(/no server accepts .*Starting without Redis, which may come later/);
  await alone.server.url();
  t.match(await (await fetch(`${alone.url}/health/ready`)).json(), { status: 'degraded', cache: 'down' });
  await redis.restart();
  await eventually(async () => {
    const { status } = (await (await fetch(`${alone.url}/health/ready`)).json()) as { status: string };
    if (status !== 'ok') throw new Error(status);
  });
  t.equal(await alone.server.end('SIGINT'), 0);
});

test('a Redis that only follows another one is waited for', async (t) => {
  const place = await createPlace(t);
  const redis = await startRedis('--replicaof', '127.0.0.1', String(await freePort()));
  t.teardown(() => redis.stop());
  const { server } = await startAt(t, { ...place, REDIS_URL: redis.url });
  await server.says(/Redis at .*: it is a replica, which takes no changes\. .* Waiting for that/);
  const admin = new Redis(redis.url);
  t.teardown(() => admin.disconnect());
  await admin.replicaof('NO', 'ONE');
  await server.says(/Redis can be used/);
  await server.url();
});

test('what is wrong in the settings is refused at once', async (t) => {
  const place = await createPlace(t);
  const redis = await startLockedRedis(t);
  const { host } = new URL(redis.url);
  const postgres = await startPostgres();
  t.teardown(() => postgres.stop());
  const password = randomBytes(8).toString('hex');
  const refused: [Partial<Place>, RegExp][] = [
    [{ REDIS_URL: `redis://:${password}@${host}` }, /^Redis at .*: the user or the password is wrong\. /],
    [{ REDIS_URL: `redis://${host}` }, /^Redis at .*: it wants a password\. /],
    [{ REDIS_URL: `${place.REDIS_URL}/99` }, /^Redis at .*: it has no database of this number\. /],
    [{ DATABASE_URL: `${postgres.url}?sslmode=require` }, /: it takes no encrypted connections\. /],
    [
      { DATABASE_URL: postgres.url.replace(/postgres$/, 'no_such_database') },
      /: there is no such database\. /,
    ],
  ];
  for (const [wrong, text] of refused) {
    const server = startServer(t, { ...place, ...wrong, STARTUP_TIMEOUT: LONG });
    t.equal(await server.exited, 1);
    t.match(server.stderr, text);
    t.equal(server.stderr.trimEnd().split('\n').length, 1);
    t.notMatch(server.stderr, password);
    t.notMatch(server.stdout, /Waiting|listening/);
  }
});

test('a start that is refused says nothing of a connection that it closes itself', async (t) => {
  const place = await createPlace(t);
  const redis = await startLockedRedis(t);
  const silent = createServer((socket) => socket.resume()).listen(0, '127.0.0.1');
  t.teardown(() => silent.close());
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const server = startServer(t, {
    ...place,
    REDIS_URL: redis.url,
    DATABASE_URL: `postgres://127.0.0.1:${port}/x`,
    STARTUP_TIMEOUT: LONG,
  });
  t.equal(await server.exited, 1);
  t.match(server.stderr, /^Redis at .*: it wants a password\. .*\n$/);
  t.notMatch(server.stdout, /Waiting|listening/);
});

test('a wait ends with STARTUP_TIMEOUT, and at once with a signal', async (t) => {
  const place = await createPlace(t);
  const nowhere = { ...place, DATABASE_URL: `postgres://127.0.0.1:${await freePort()}/x` };
  const impatient = startServer(t, { ...nowhere, STARTUP_TIMEOUT: '1s' });
  t.equal(await impatient.exited, 1);
  t.match(impatient.stderr, /^PostgreSQL at .*: no server accepts connections there\. .*\n$/);
  t.equal(linesWith(impatient, 'Waiting for that, up to 1 s'), 1);

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { server } = await startAt(t, { ...nowhere, DRAIN_DELAY: '10m' });
    await server.says(/Waiting for that/);
    t.equal(await server.end(signal), 0, signal);
    t.equal(server.stderr, '');
  }
});

/** How PostgreSQL refuses a password. */
const WRONG_PASSWORD = Buffer.from('E\0\0\0\x1aSFATAL\0C28P01\0Mwrong\0\0', 'latin1');

test('a start that is ended by a signal ends with 0, whatever comes of its last attempt', async (t) => {
  const place = await createPlace(t);
  const held: Socket[] = [];
  let isHolding = false;
  const fake = createServer((socket) => {
    socket.on('error', () => {});
    if (isHolding) socket.on('data', () => void held.push(socket));
    else socket.destroy();
  });
  fake.listen(0, '127.0.0.1');
  await once(fake, 'listening');
  t.teardown(() => fake.close());
  const { port } = fake.address() as AddressInfo;
  const { server, url } = await startAt(t, {
    ...place,
    DATABASE_URL: `postgres://postgres@127.0.0.1:${port}/x`,
  });
  await server.says(/Waiting for that/);
  isHolding = true;
  await eventually(() => {
    if (held.length === 0) throw new Error('no attempt yet');
  });
  server.child.kill('SIGTERM');
  await eventually(async () => {
    const body = await (await fetch(`${url}/health/ready`)).text();
    if (!body.includes('draining')) throw new Error(body);
  });
  for (const socket of held) socket.write(WRONG_PASSWORD);
  t.equal(await server.exited, 0);
  t.equal(server.stderr, '');
});

test('tables that a migration has still to make are waited for', async (t) => {
  const place = await createPlace(t);
  await emptySchemas(place.DATABASE_URL);
  const env = { ...place, MIGRATE_ON_START: 'false' };
  const { server, url } = await startAt(t, env);
  await server.says(/it has no schema yet\. .*Waiting for that/);
  t.equal(await runCommand(t, ['migrate'], env).exited, 0);
  t.equal(await server.url(), url);
  t.equal((await postJson(`${url}/signup`, newCredentials())).status, 201);
  t.equal(await server.end('SIGINT'), 0);
});

test('a schema of an earlier release is waited for, too', async (t) => {
  const place = await createPlace(t);
  const journal = postgres(place.DATABASE_URL, { max: 1, onnotice: () => {} });
  t.teardown(() => journal.end());
  const [last] = await journal`
    delete from drizzle.__drizzle_migrations
    where created_at = (select max(created_at) from drizzle.__drizzle_migrations) returning *`;
  const { server, url } = await startAt(t, { ...place, MIGRATE_ON_START: 'false' });
  await server.says(/its schema is not that of this release\. .*Waiting for that/);
  t.equal((await fetch(`${url}/health/ready`)).status, 503);
  await journal`insert into drizzle.__drizzle_migrations ${journal(last ?? {})}`;
  t.equal(await server.url(), url);
  t.equal(await server.end('SIGINT'), 0);
});

test('`doorward migrate` waits for PostgreSQL, too', async (t) => {
  const primary = await stopped(t, startPostgres(), 'SIGKILL');
  const env = {
    DATABASE_URL: primary.url,
    REDIS_URL: 'redis://127.0.0.1:1',
    KEY_ENCRYPTION_KEY: keyEncryptionKey,
  };
  const command = runCommand(t, ['migrate'], env);
  await eventually(async () => {
    if (!/Waiting for that/.test(command.stderr)) throw new Error(command.stderr);
  });
  await primary.restart();
  t.equal(await command.exited, 0, command.stderr);
});

test('after a failover to a replica that is still read-only, reads go on, and writes heal by themselves', async (t) => {
  const primary = await startPostgres();
  t.teardown(() => primary.stop());
  const { REDIS_URL, REDIS_KEY_PREFIX } = await createPlace(t);
  const wire = await createTcpProxy(t, primary.url);
  const env = {
    DATABASE_URL: wire.url,
    REDIS_URL,
    REDIS_KEY_PREFIX,
    KEY_ENCRYPTION_KEY: keyEncryptionKey,
  };
  const server = startServer(t, env);
  const url = await server.url();
  const credentials = newCredentials();
  const cookie = cookiesOf(await postJson(`${url}/signup`, credentials));

  const standby = await startStandby(primary);
  t.teardown(() => standby.stop());
  primary.signal('SIGKILL');
  wire.redirect(standby.port);
  const statusOf = async (path: string, body?: object) =>
    (await postJson(`${url}${path}`, body, cookie)).status;
  const me = async () => (await fetch(`${url}/me`, { headers: { cookie } })).status;
  await eventually(async () => {
    if ((await me()) !== 200) throw new Error('not yet connected to the standby');
  });
  const reads: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const writes: [string, object?][] = [['/signup', newCredentials()], ['/login', credentials], ['/logout']];
    for (const [path, body] of writes) {
      const refused = await postJson(`${url}${path}`, body, cookie);
      t.equal(refused.status, 503, path);
      t.equal(refused.headers.get('retry-after'), '1');
      t.strictSame(refused.headers.getSetCookie(), [], 'no session is begun, and none is taken away');
      reads.push(await me(), await statusOf('/token'));
    }
  }
  // If a refused write stopped the reads, most of them would fail. A stall of the machine may stop one or two.
  t.ok(reads.filter((status) => status === 200).length >= reads.length - 3, reads.join());
  const late = await startAt(t, env);
  await late.server.says(/PostgreSQL at .*: it is read-only\. .* \(25006\)\. Waiting for that/);
  t.equal((await fetch(`${late.url}/health/ready`)).status, 503);

  await runSql(standby.url, 'select pg_promote()');
  await late.server.url();
  await eventually(async () => {
    const { status } = await postJson(`${url}/signup`, newCredentials());
    if (status !== 201) throw new Error(String(status));
  });
  t.equal(await statusOf('/logout'), 204);
  const [row] = await runSql<{ count: string }>(standby.url, 'select count(*) from users');
  t.equal(Number(row?.count), 2, 'nothing of what was refused is there');
  for (const one of [late.server, server]) t.equal(await one.end('SIGINT'), 0);
});
