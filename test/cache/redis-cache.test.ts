import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import { IGNORE_EVENTS } from '../../src/adapters/open-adapters.ts';
import type { Cache } from '../../src/cache/cache.ts';
import { createRedisCache, type RedisCacheEvents } from '../../src/cache/redis-cache.ts';
import { eventually, redisTarget } from '../support/adapters.ts';
import { createTestRedis } from '../support/database.ts';
import { freePort } from '../support/free-port.ts';
import { startRedis } from '../support/servers.ts';

const MINUTE_MS = 60_000;
/** For tests that are not about time: a busy machine may keep a command waiting. */
const GENEROUS_DEADLINE_MS = 10_000;

type Options = Partial<RedisCacheEvents> & { keyPrefix?: string; deadlineMs?: number };

/** With the deadline of a server, unless the test sets another. */
function open(t: Test, url: string, { keyPrefix = 'p:', deadlineMs, ...events }: Options = {}) {
  const cache = createRedisCache(redisTarget(url), keyPrefix, { ...IGNORE_EVENTS, ...events }, deadlineMs);
  t.teardown(cache.close);
  return cache;
}

async function openPrivate(t: Test, options: Options = { deadlineMs: GENEROUS_DEADLINE_MS }) {
  const server = await startRedis();
  t.teardown(() => server.stop());
  const cache = open(t, server.url, options);
  await eventually(cache.ping);
  return { server, cache };
}

const commands: Record<string, (cache: Cache) => Promise<unknown>> = {
  get: (cache) => cache.get('a'),
  put: (cache) => cache.put('a', '1', MINUTE_MS),
  putIfAbsent: (cache) => cache.putIfAbsent('a', '1', MINUTE_MS),
  replace: (cache) => cache.replace('a', '1', '2', MINUTE_MS),
  remove: (cache) => cache.remove('a'),
  increment: (cache) => cache.increment('a', MINUTE_MS),
  ping: (cache) => cache.ping(),
};

/** Fails without waiting for the server to come back. */
async function failsAtOnce(t: Test, command: Promise<unknown>, name: string): Promise<void> {
  const error: unknown = await command.catch((cause: unknown) => cause);
  t.type(error, Error, name);
  t.notMatch(error, { message: 'Command timed out' }, name);
}

test('keeps to its prefix', async (t) => {
  const { url, keyPrefix } = await createTestRedis(t);
  const [one, other] = [
    open(t, url, { keyPrefix: `${keyPrefix}1:`, deadlineMs: GENEROUS_DEADLINE_MS }),
    open(t, url, { keyPrefix: `${keyPrefix}2:`, deadlineMs: GENEROUS_DEADLINE_MS }),
  ];
  await Promise.all([eventually(one.ping), eventually(other.ping)]);
  await one.put('a', '1', MINUTE_MS);
  t.equal(await one.replace('a', '1', '2', MINUTE_MS), true);
  await one.increment('b', MINUTE_MS);
  t.equal(await other.get('a'), null);
  t.equal((await other.increment('b', MINUTE_MS)).count, 1);
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  t.same(
    (await redis.keys(`${keyPrefix}*`)).sort(),
    ['1:a', '1:b', '2:b'].map((key) => keyPrefix + key),
  );
});

test('every command fails while there is no server, and the trouble is told without the password', async (t) => {
  const password = randomBytes(16).toString('hex');
  const { promise: trouble, resolve: onError } = Promise.withResolvers<Error>();
  const cache = open(t, `redis://ada:${password}@127.0.0.1:${await freePort()}`, { onError });
  for (const [name, run] of Object.entries(commands)) await failsAtOnce(t, run(cache), name);
  const told = inspect(await trouble, { depth: 9, showHidden: true });
  t.match(told, /ECONNREFUSED/);
  t.notOk(told.includes(password));
});

test('every command fails when the server was killed, and works again by itself when it is back', async (t) => {
  const { server, cache } = await openPrivate(t);
  await cache.put('a', '1', MINUTE_MS);
  server.signal('SIGKILL');
  // The first command may find it out in any way; after that the others fail at once.
  await t.rejects(cache.ping());
  for (const [name, run] of Object.entries(commands)) await failsAtOnce(t, run(cache), name);
  await server.restart();
  t.equal(await eventually(() => cache.get('a')), null);
  for (const [name, run] of Object.entries(commands)) await t.resolves(run(cache), name);
});

test('a server that forgot its scripts is told them again', async (t) => {
  const { server, cache } = await openPrivate(t);
  await cache.increment('a', MINUTE_MS);
  const redis = new Redis(server.url);
  t.teardown(() => redis.disconnect());
  await redis.script('FLUSH');
  t.equal((await cache.increment('a', MINUTE_MS)).count, 2);
});

test('a frozen server is not waited for, and works again by itself when it thaws', async (t) => {
  const { server, cache } = await openPrivate(t, {});
  server.signal('SIGSTOP');
  // At once, because a second later the connection itself is dropped.
  await Promise.all(
    Object.entries(commands).map(([name, run]) =>
      t.rejects(run(cache), { message: 'Command timed out' }, name),
    ),
  );
  server.signal('SIGCONT');
  for (const run of Object.values(commands)) await eventually(() => run(cache));
});

test('a closed cache answers nothing and does not connect again', async (t) => {
  const { cache } = await openPrivate(t);
  cache.close();
  await t.rejects(cache.ping());
  await t.rejects(cache.get('a'));
});

test('after five failures on a frozen server calls are refused at once, and it is asked again by itself', async (t) => {
  const server = await startRedis();
  t.teardown(() => server.stop());
  const changes: boolean[] = [];
  const cache = open(t, server.url, { onBreak: (isOpen) => void changes.push(isOpen) });
  await eventually(() => cache.put('a', '1', MINUTE_MS));
  server.signal('SIGSTOP');
  const crowd = await Promise.allSettled(Array.from({ length: 4 }, () => cache.get('a')));
  t.ok(crowd.every(({ status }) => status === 'rejected'));
  t.same(changes, []);
  await t.rejects(cache.get('a'));
  t.same(changes, [true]);
  for (const [name, run] of Object.entries(commands).filter(([name]) => name !== 'ping')) {
    const refusal = run(cache).catch((error: unknown) => error);
    // Before anything else can happen in this process, so without waiting for anything.
    t.match(await Promise.race([refusal, nextTurn('waits')]), { name: 'CircuitOpenError' }, name);
  }
  await t.rejects(cache.ping(), { name: 'Error' }, 'that is how it is now');
  server.signal('SIGCONT');
  t.equal(await eventually(() => cache.get('a')), '1');
  t.same(changes, [true, false]);
});

test('a server that is full does not count as one that is away', async (t) => {
  const { server, cache } = await openPrivate(t);
  await cache.put('a', '1', MINUTE_MS);
  const redis = new Redis(server.url);
  t.teardown(() => redis.disconnect());
  await redis.config('SET', 'maxmemory', '1');
  for (const _ of [1, 2, 3, 4, 5, 6]) await t.rejects(cache.put('b', '2', MINUTE_MS), { message: /^OOM/ });
  t.equal(await cache.get('a'), '1');
});

test('a connection to a server that has become a replica is given up', async (t) => {
  const { server, cache } = await openPrivate(t);
  const redis = new Redis(server.url);
  t.teardown(() => redis.disconnect());
  const clients = async () =>
    String(await redis.client('LIST'))
      .trim()
      .split('\n');
  const before = await clients();
  await redis.replicaof('127.0.0.1', await freePort());
  await t.rejects(cache.put('a', '1', MINUTE_MS), { message: /^READONLY/ });
  await redis.replicaof('NO', 'ONE');
  await eventually(() => cache.put('a', '1', MINUTE_MS));
  const idOf = (line: string) => line.split(' ')[0];
  t.notSame((await clients()).map(idOf), before.map(idOf));
});
