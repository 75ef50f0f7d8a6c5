import Fastify from 'fastify';
import { type Test, test } from 'tap';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';
import { channels, listenTo } from '../../src/core/channels.ts';
import { sendProblem } from '../../src/http/problem.ts';
import { addRateLimits, adminLimit, credentialLimit, feedLimit } from '../../src/http/rate-limits.ts';
import {
  build,
  buildEmbedded,
  codeOf,
  createPlace,
  createWire,
  newCredentials,
  runSql,
  signUp,
  type TestApp,
} from '../helper.ts';

type App = TestApp['app'];
type From = { remoteAddress?: string; headers?: Record<string, string> };

/** An attempt to sign in that is counted: a good body and an unknown user. */
const attempt = (app: App, from: From = {}, url = '/login') =>
  app.inject({ method: 'POST', url, payload: newCredentials(), ...from });

async function statuses(app: App, count: number, from: From = {}): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) all.push((await attempt(app, from)).statusCode);
  return all;
}

test('the limit answers 429 and when to come back', async (t) => {
  const { app } = await build(t, { CREDENTIAL_RATE_LIMIT: '3' });
  t.strictSame(await statuses(app, 3), [401, 401, 401]);
  const response = await attempt(app);
  t.equal(response.statusCode, 429);
  t.equal(codeOf(response), 'rate_limited');
  const retryAfter = Number(response.headers['retry-after']);
  t.ok(retryAfter >= 1 && retryAfter <= 60, String(retryAfter));
  t.strictSame(response.cookies, []);
});

test('sign-in and sign-up share the limit; nothing else is under it', async (t) => {
  const { app } = await build(t, { CREDENTIAL_RATE_LIMIT: '2' });
  const { cookie } = await signUp(app);
  t.equal((await attempt(app)).statusCode, 401);
  for (const url of ['/login', '/signup']) t.equal((await attempt(app, {}, url)).statusCode, 429);
  for (const method of ['GET', 'POST'] as const) {
    const url = method === 'GET' ? '/me' : '/token';
    for (let i = 0; i < 5; i++)
      t.equal((await app.inject({ method, url, headers: { cookie } })).statusCode, 200);
  }
  t.equal((await app.inject({ method: 'POST', url: '/logout', headers: { cookie } })).statusCode, 204);
});

test('replicas count together', async (t) => {
  const place = await createPlace(t);
  const settings = { CREDENTIAL_RATE_LIMIT: '4' };
  const [one, other] = [await build(t, settings, place), await build(t, settings, place)];
  t.strictSame(await statuses(one.app, 2), [401, 401]);
  t.strictSame(await statuses(other.app, 3), [401, 401, 429]);
  t.strictSame(await statuses(one.app, 1), [429]);
});

test('0 switches the limit off', async (t) => {
  const { app } = await build(t, { CREDENTIAL_RATE_LIMIT: '0' });
  t.strictSame(new Set(await statuses(app, 40)), new Set([401]));
  t.notOk('x-ratelimit-limit' in (await attempt(app)).headers);
});

test('each address has its own count; an IPv6 one is its /64', async (t) => {
  const { app } = await build(t, { CREDENTIAL_RATE_LIMIT: '1' });
  const from = async (remoteAddress: string) => (await attempt(app, { remoteAddress })).statusCode;
  t.equal(await from('192.0.2.1'), 401);
  t.equal(await from('192.0.2.1'), 429);
  t.equal(await from('::ffff:192.0.2.1'), 429, 'the same one, as a dual-stack socket shows it');
  t.equal(await from('192.0.2.2'), 401);
  t.equal(await from('2001:db8::1'), 401);
  t.equal(await from('2001:db8::ffff:1'), 429);
  t.equal(await from('2001:db8:0:1::1'), 401);
});

test('a count ends with its minute, on the embedded cache', async (t) => {
  const { app, advance } = await buildEmbedded(t, { CREDENTIAL_RATE_LIMIT: '1' });
  t.strictSame(await statuses(app, 2), [401, 429]);
  await advance(60_000);
  t.strictSame(await statuses(app, 2), [401, 429]);
});

for (const trouble of ['cut', 'freeze'] as const) {
  test(`counts in the process alone while Redis is gone (${trouble})`, async (t) => {
    const place = await createPlace(t);
    const redis = await createWire(t, place.REDIS_URL);
    const settings = { CREDENTIAL_RATE_LIMIT: '2', REDIS_URL: redis.url };
    const { app, advance } = await build(t, settings, place);
    redis[trouble]();
    t.strictSame(await statuses(app, 3), [401, 401, 429]);
    await advance(60_000);
    t.strictSame(await statuses(app, 3), [401, 401, 429]);
  });
}

/** A route under a limit of 30, and a shared cache that answers as long as the test wants. */
async function buildOnFailingCache(t: Test) {
  const clock = { nowMs: 0 };
  const now = () => clock.nowMs;
  const memory = createMemoryCache(now);
  const redis = { ...memory, isLost: () => false };
  const shared = {
    ...memory,
    increment: async (...all: Parameters<typeof memory.increment>) => {
      if (redis.isLost()) throw new Error('Command timed out');
      return memory.increment(...all);
    },
  };
  const app = Fastify();
  t.teardown(() => app.close());
  app.setErrorHandler(sendProblem);
  await addRateLimits(app, shared, now, (network) => network);
  app.get('/', { config: credentialLimit(30) }, async () => 'ok');
  const ask = async () => (await app.inject('/')).statusCode;
  const passedOf = async (count: number) =>
    (await Promise.all(Array.from({ length: count }, ask))).filter((status) => status === 200).length;
  return { app, clock, memory, redis, passedOf };
}

test('a flood that makes the process miss the deadline of Redis gets no second count', async (t) => {
  const { redis, clock, passedOf } = await buildOnFailingCache(t);
  let calls = 0;
  redis.isLost = () => ++calls > 30;
  t.equal(await passedOf(60), 30);
  t.equal(await passedOf(30), 0);
  clock.nowMs += 60_000;
  t.equal(await passedOf(60), 30, 'a new minute');
});

test('the count in the process goes on from what other replicas have counted', async (t) => {
  const { redis, clock, memory, passedOf } = await buildOnFailingCache(t);
  for (let time = 0; time < 20; time += 1) await memory.increment('limit:127.0.0.1:credentials', 60_000);
  clock.nowMs += 20_000;
  t.equal(await passedOf(5), 5);
  redis.isLost = () => true;
  t.equal(await passedOf(30), 5);
  clock.nowMs += 39_999;
  t.equal(await passedOf(1), 0);
  clock.nowMs += 1;
  t.equal(await passedOf(30), 30, 'and ends when theirs ends');
});

test('what Redis has lost is still counted', async (t) => {
  const { redis, memory, passedOf } = await buildOnFailingCache(t);
  t.equal(await passedOf(20), 20);
  await memory.put('limit:127.0.0.1:credentials', '0', 60_000);
  t.equal(await passedOf(20), 10);
  t.notOk(redis.isLost());
});

test('X-Forwarded-For is believed from a trusted proxy alone', async (t) => {
  const { app } = await build(t, { CREDENTIAL_RATE_LIMIT: '1', TRUSTED_PROXIES: '10.0.0.0/8' });
  const from = async (remoteAddress: string, forwardedFor: string) => {
    const headers = { 'x-forwarded-for': forwardedFor };
    return (await attempt(app, { remoteAddress, headers })).statusCode;
  };
  t.equal(await from('10.1.2.3', '203.0.113.1'), 401);
  t.equal(await from('10.9.9.9', '203.0.113.1'), 429, 'one client behind two proxies');
  t.equal(await from('10.1.2.3', '203.0.113.2'), 401);
  t.equal(await from('10.1.2.3', '1.1.1.1, 203.0.113.2'), 429, 'what the client put before is not believed');
  t.equal(await from('10.1.2.3', '203.0.113.3, 10.4.4.4'), 401, 'a chain of trusted proxies');
  t.equal(await from('198.51.100.1', '203.0.113.4'), 401);
  t.equal(await from('198.51.100.1', '203.0.113.5'), 429, 'a peer that is not trusted is the client');
});

test('a port that a proxy adds makes no new client, and what is no address is the proxy', async (t) => {
  const { app } = await build(t, { CREDENTIAL_RATE_LIMIT: '1', TRUSTED_PROXIES: '127.0.0.0/8' });
  const from = async (forwardedFor: string) =>
    (await attempt(app, { headers: { 'x-forwarded-for': forwardedFor } })).statusCode;
  t.equal(await from('1.1.1.1:50'), 401);
  t.equal(await from('1.1.1.1:51'), 429);
  t.equal(await from('1.1.1.1'), 429);
  t.equal(await from('[2001:db8::1]:443'), 401);
  t.equal(await from('2001:db8::2'), 429, 'the same /64');
  t.equal(await from('x'.repeat(3_000)), 401);
  t.equal(await from('unknown'), 429, 'one key for all that is no address');
});

test('nobody is believed where no proxy is trusted', async (t) => {
  const { app } = await build(t, { CREDENTIAL_RATE_LIMIT: '1' });
  t.equal((await attempt(app, { headers: { 'x-forwarded-for': '203.0.113.1' } })).statusCode, 401);
  t.equal((await attempt(app, { headers: { 'x-forwarded-for': '203.0.113.2' } })).statusCode, 429);
});

test('a full queue of password hashes answers 503 at once, and nothing is half done', async (t) => {
  const place = await createPlace(t);
  const settings = { PASSWORD_HASH_MEMORY_KIB: '19456', PASSWORD_HASH_ITERATIONS: '2' };
  const { app } = await build(t, settings, place);
  const responses = await Promise.all(Array.from({ length: 100 }, () => attempt(app, {}, '/signup')));
  const refused = responses.filter((response) => response.statusCode !== 201);
  t.ok(refused.length > 0, 'more came than the queue holds');
  t.ok(refused.length < 100, 'and some were served');
  for (const response of refused) {
    t.equal(codeOf(response), 'overloaded');
    t.equal(response.headers['retry-after'], '1');
    t.strictSame(response.cookies, []);
  }
  const [row] = await runSql<{ users: number }>(
    place.DATABASE_URL,
    'select count(*)::int as users from users',
  );
  t.strictSame(row, { users: 100 - refused.length });
});

test('the feed of revocations and the routes of operators have limits of their own', async (t) => {
  const facts: object[] = [];
  t.teardown(listenTo(channels.limitReached, (fact) => facts.push(fact)));
  const counts = new Map<string, number>();
  const shared = {
    ...createMemoryCache(() => 0),
    increment: async (key: string) => ({ count: counts.get(key) ?? 1, ttlMs: 59_001 }),
  };
  const app = Fastify();
  t.teardown(() => app.close());
  app.setErrorHandler(sendProblem);
  await addRateLimits(
    app,
    shared,
    () => 0,
    (network) => network,
  );
  app.get('/revocations', { config: feedLimit }, async () => 'ok');
  app.get('/admin/users', { config: adminLimit }, async () => 'ok');
  app.get('/login', { config: credentialLimit(30) }, async () => 'ok');
  counts.set('limit:127.0.0.1:revocations', 60_000);
  t.equal((await app.inject('/revocations')).statusCode, 200);
  counts.set('limit:127.0.0.1:revocations', 60_001);
  const refused = await app.inject('/revocations');
  t.equal(refused.statusCode, 429);
  t.equal(refused.headers['retry-after'], '60');
  t.equal((await app.inject('/login')).statusCode, 200);
  counts.set('limit:127.0.0.1:credentials', 31);
  t.equal((await app.inject('/login')).statusCode, 429);
  counts.set('limit:127.0.0.1:admin', 1_200);
  t.equal((await app.inject('/admin/users')).statusCode, 200);
  counts.set('limit:127.0.0.1:admin', 1_201);
  t.equal((await app.inject('/admin/users')).statusCode, 429);
  t.same(facts, [{ limit: 'revocations' }, { limit: 'credentials' }, { limit: 'admin' }]);
});
