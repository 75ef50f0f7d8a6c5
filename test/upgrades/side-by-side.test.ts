import { hash } from 'node:crypto';
import { Redis } from 'ioredis';
import { test } from 'tap';
import { readMigrations } from '../../src/db/migrations.ts';
import { createClientSecret, hashClientSecret } from '../../src/oauth/client-secret.ts';
import { postJson, startServer } from '../e2e/server-process.ts';
import { createPlace, type Place, runSql } from '../helper.ts';
import { basic, type TestClient } from '../support/clients.ts';
import { emptySchemas } from '../support/database-roles.ts';
import { startLoad, type Visitor } from './load.ts';
import { unpackPreviousRelease } from './previous-release.ts';

const VISITS = 12;

/** What every replica has in common: in real life one address, and here one name of it. */
const shared = { PUBLIC_URL: 'http://localhost:3000', AUDIENCES: 'payments', NODE_ENV: 'development' };

async function journal(place: Place): Promise<number[]> {
  const rows = await runSql<{ created_at: string }>(
    place.DATABASE_URL,
    'select created_at from drizzle.__drizzle_migrations order by id',
  );
  return rows.map(({ created_at }) => Number(created_at));
}

async function keysAt(url: string): Promise<unknown> {
  return (await fetch(`${url}/.well-known/jwks.json`)).json();
}

/** The value in Redis for the session of a cookie. */
async function entryOf(place: Place, { cookie }: Visitor): Promise<string | null> {
  const redis = new Redis(place.REDIS_URL);
  try {
    const [, token = ''] = /g_token=([^;]+)/.exec(cookie) ?? [];
    return await redis.get(`${place.REDIS_KEY_PREFIX}session:${hash('sha256', token)}`);
  } finally {
    redis.disconnect();
  }
}

/** A service client as the release before has it: its schema has no room for what this one records of that act. */
async function plantClient({ DATABASE_URL }: Place): Promise<TestClient> {
  const id = 'payments';
  const secret = createClientSecret();
  const hex = hashClientSecret(secret).toString('hex');
  await runSql(
    DATABASE_URL,
    `insert into service_clients (id, name, scopes, audiences) values ('${id}', '${id}', '{}', '{payments}')`,
  );
  await runSql(
    DATABASE_URL,
    `insert into client_secrets (secret_hash, client_id) values ('\\x${hex}', '${id}')`,
  );
  return { id, secret, authorization: basic(id, secret) };
}

test('the release before and this one serve the same users under load, while the schema changes', async (t) => {
  const place = await createPlace(t);
  await emptySchemas(place.DATABASE_URL);
  const env = { ...place, ...shared };
  const previous = unpackPreviousRelease(t);
  const older = previous.start(t, env);
  const urls = [await older.url()];
  t.same(
    await journal(place),
    previous.migrations.map(({ madeAt }) => madeAt),
    'an older schema',
  );
  const client = await plantClient(place);
  const load = startLoad({ urls, client, users: 4 });

  await load.visits(VISITS);
  const early = load.visitors.slice();
  const newer = startServer(t, env);
  const newUrl = await newer.url();
  t.same(
    await journal(place),
    readMigrations().map(({ madeAt }) => madeAt),
    'the next schema',
  );
  t.same(await keysAt(newUrl), await keysAt(urls[0] ?? ''), 'the same signing keys');

  // One more of the release before, such as a balancer starts in the middle of an upgrade.
  const late = previous.start(t, env);
  urls.push(newUrl, await late.url());
  await load.visits(VISITS);
  const [visitor] = load.visitors.slice(-1);
  if (visitor === undefined) throw new Error('there was no visitor');
  // It puts a copy with the claims version in the place of one without.
  t.equal((await postJson(`${newUrl}/token`, undefined, visitor.cookie)).status, 200);
  const entry = await entryOf(place, visitor);
  for (const url of urls) t.equal((await postJson(`${url}/token`, undefined, visitor.cookie)).status, 200);
  t.type(entry, 'string');
  t.equal(await entryOf(place, visitor), entry, 'each release reads what this one has put into the cache');

  urls.splice(0, urls.length, newUrl);
  for (const server of [older, late]) t.equal(await server.end('SIGTERM'), 0);
  await load.visits(VISITS);
  await load.stop();
  t.same(load.failures, []);
  t.comment(`${load.requests()} requests, 0 failed`);
  for (const { email, password, cookie } of early) {
    t.equal(
      (await postJson(`${newUrl}/token`, undefined, cookie)).status,
      200,
      'a session of before goes on',
    );
    t.equal((await postJson(`${newUrl}/login`, { email, password })).status, 200);
  }
  t.equal(await newer.end('SIGTERM'), 0);
});

test('five servers that start at once on an older database with rows in it migrate it once', async (t) => {
  const place = await createPlace(t);
  await emptySchemas(place.DATABASE_URL);
  const env = { ...place, ...shared, DRAIN_DELAY: '0s' };
  const older = unpackPreviousRelease(t).start(t, env);
  const urlBefore = await older.url();
  const client = await plantClient(place);
  const load = startLoad({ urls: [urlBefore], client, users: 2 });
  await load.visits(4);
  await load.stop();
  await older.end('SIGINT');
  const rows = () =>
    runSql(
      place.DATABASE_URL,
      'select u.email, s.id, s.ended_at from users u join sessions s on s.user_id = u.id order by s.id',
    );
  const before = await rows();
  t.ok(before.length >= 8);

  const servers = Array.from({ length: 5 }, () => startServer(t, env));
  const urls = await Promise.all(servers.map((server) => server.url()));
  t.same(
    await journal(place),
    readMigrations().map(({ madeAt }) => madeAt),
  );
  t.same(await rows(), before);
  const sets = await Promise.all(urls.map(keysAt));
  for (const set of sets) t.same(set, sets[0]);
  for (const { cookie } of load.visitors)
    for (const url of urls) t.equal((await postJson(`${url}/token`, undefined, cookie)).status, 200);
  for (const server of servers) t.equal(await server.end('SIGINT'), 0);
});
