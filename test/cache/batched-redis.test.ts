import { type Test, test } from 'tap';
import { BatchedRedis } from '../../src/cache/batched-redis.ts';
import { createTestRedis } from '../support/database.ts';
import { freePort } from '../support/free-port.ts';

/** For tests that are not about time: a busy machine may keep a command waiting. */
const GENEROUS_DEADLINE_MS = 10_000;

async function open(t: Test, commandTimeout = GENEROUS_DEADLINE_MS) {
  const { url, keyPrefix } = await createTestRedis(t);
  const redis = new BatchedRedis(url, { commandTimeout, lazyConnect: true });
  t.teardown(() => redis.disconnect());
  await redis.connect();
  return { redis, named: (key: string) => keyPrefix + key };
}

/** How many times the socket is written to, from now on. */
function countWrites(t: Test, { stream }: BatchedRedis) {
  const single = t.capture(stream, '_write', stream._write);
  const many = t.capture(
    stream as { _writev: NonNullable<typeof stream._writev> },
    '_writev',
    stream._writev,
  );
  return () => single().length + many().length;
}

test('commands of one turn go out by one write, and each gets its own answer', async (t) => {
  const { redis, named } = await open(t);
  const keys = Array.from({ length: 50 }, (_, index) => named(String(index)));
  const writes = countWrites(t, redis);
  await Promise.all(keys.map((key, index) => redis.set(key, index)));
  t.equal(writes(), 1);
  t.same(
    await Promise.all(keys.map((key) => redis.get(key))),
    keys.map((_, index) => String(index)),
  );
  t.equal(writes(), 1);
});

test('commands of later turns do not wait for the answers of earlier ones', async (t) => {
  const { redis, named } = await open(t);
  const writes = countWrites(t, redis);
  const waits = redis.blpop(named('list'), 0);
  await new Promise(setImmediate);
  const id = redis.call('CLIENT', 'ID');
  await new Promise(setImmediate);
  t.equal(writes(), 2);
  const other = redis.duplicate({ commandTimeout: GENEROUS_DEADLINE_MS });
  t.teardown(() => other.disconnect());
  await other.rpush(named('list'), 'a');
  t.same(await waits, [named('list'), 'a']);
  t.type(await id, 'number');
});

test('what is not answered in time fails, and what was answered beside it does not', async (t) => {
  const { redis, named } = await open(t, 2_000);
  const answered = redis.call('ECHO', 'a');
  const late = redis.blpop(named('list'), 0);
  await t.rejects(late, { message: 'Command timed out' });
  t.equal(await answered, 'a');
});

test('commands of one turn share a timer, which their answers stop', async (t) => {
  const { redis } = await open(t);
  const started = t.capture(globalThis, 'setTimeout', globalThis.setTimeout);
  const stopped = t.capture(globalThis, 'clearTimeout', globalThis.clearTimeout);
  await Promise.all([redis.ping(), redis.ping()]);
  const timers = started().filter(({ args: [, ms] }) => ms === GENEROUS_DEADLINE_MS);
  t.equal(timers.length, 1);
  await new Promise(setImmediate);
  const [timer] = timers.map((call) => ('returned' in call ? call.returned : null));
  t.ok(stopped().some(({ args: [ended] }) => ended === timer));
});

test('commands fail at once where there is no connection', async (t) => {
  const redis = new BatchedRedis(await freePort(), {
    lazyConnect: true,
    enableOfflineQueue: false,
    commandTimeout: GENEROUS_DEADLINE_MS,
  });
  t.teardown(() => redis.disconnect());
  redis.on('error', () => {});
  await t.rejects(redis.ping(), { message: /writeable/ });
});
