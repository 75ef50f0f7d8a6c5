import { test } from 'tap';
import type { Cache } from '../../src/cache/cache.ts';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';
import { type Config, loadConfig } from '../../src/config/config.ts';
import { parseRedisUrl, type RedisTarget } from '../../src/config/redis-target.ts';
import { createRedisWatch, RedisSettingsError } from '../../src/operator/redis-watch.ts';

const target = parseRedisUrl('redis://cache.internal') as RedisTarget;

function setUp(STARTUP_TIMEOUT = 60_000) {
  const lines: string[] = [];
  const note = (_context: object, message: string) => void lines.push(message);
  const watch = createRedisWatch({ debug: note, warn: note, error: note });
  const config: Config = { ...loadConfig({}), REDIS_URL: target, STARTUP_TIMEOUT };
  return {
    lines,
    events: watch.events,
    untilUsable: (cache: Cache) => watch.untilUsable(cache, config),
    watch,
  };
}

/** A cache whose calls fail with these errors in turn, and then go well. */
function failing(...errors: Error[]): Cache {
  const fail = async () => {
    const error = errors.shift();
    if (error !== undefined) throw error;
  };
  return { ...createMemoryCache(Date.now), ping: fail };
}

const notConnected = () => new Error("Stream isn't writeable and enableOfflineQueue options is false");
const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' });

test('during a start each reason to wait is one line, whatever the client says', async (t) => {
  const { lines, events, untilUsable } = setUp();
  events.onError(refused, target);
  events.onBreak(true);
  await untilUsable(
    failing(notConnected(), notConnected(), reply('LOADING the data'), reply('LOADING the data')),
  );
  t.match(lines, [
    /^Redis at cache\.internal:6379: no server accepts .*\. Waiting for that, up to 10 s$/,
    /^Redis at cache\.internal:6379: it is still reading its data\. Waiting for that, up to 10 s$/,
    'Redis can be used',
  ]);
  t.equal(lines.length, 3);
});

test('later each failure is a line', async (t) => {
  const { lines, events, untilUsable } = setUp();
  await untilUsable(failing(notConnected()));
  t.same(lines, [], 'a connection that is made at once is nothing to speak of');
  events.onError(refused, target);
  events.onBreak(true);
  events.onBreak(false);
  t.match(lines, [/connection to Redis failed, trying again/, /going on without it/, 'Redis answers again']);
});

test('a channel that is not allowed is a line that says how to allow it', async (t) => {
  const { lines, events } = setUp();
  events.onHintsRefused(target, 'doorward:revocations');
  t.match(lines, [
    /^Redis at cache\.internal:6379: its ACL .* the channel doorward:revocations\. .* ACL SETUSER NAME &doorward:revocations$/,
  ]);
});

test('a wrong setting ends the wait, also one that the client gets over', async (t) => {
  const cluster = Object.assign(new Error('Failed to refresh slots cache.'), {
    lastNodeError: new Error('WRONGPASS invalid username-password pair'),
  });
  for (const [error, cache] of [
    [reply('ERR DB index is out of range'), failing()],
    [cluster, failing(notConnected())],
  ] as const) {
    const { events, untilUsable, lines } = setUp();
    events.onError(error, target);
    await t.rejects(untilUsable(cache), RedisSettingsError);
    t.same(lines, []);
  }
});

test('without patience it still waits for what comes of the first connection', async (t) => {
  const { lines, untilUsable } = setUp(0);
  await untilUsable(failing(notConnected(), notConnected()));
  t.same(lines, []);
  const never = setUp(0);
  await never.untilUsable({ ...failing(), ping: () => Promise.reject(notConnected()) });
  t.match(never.lines, [/Starting without Redis, which may come later$/]);
  const known = setUp(0);
  known.events.onError(refused, target);
  await known.untilUsable(failing(notConnected()));
  t.match(known.lines, [/no server accepts .*Starting without Redis/]);
});

test('a start that fails for another reason says nothing of Redis', async (t) => {
  const { lines, events, watch } = setUp();
  const config: Config = { ...loadConfig({}), REDIS_URL: target };
  events.onError(refused, target);
  await watch.untilUsable(failing(refused), config, undefined, AbortSignal.abort());
  t.same(lines, []);
});

test('an embedded server has no Redis to wait for', async (t) => {
  const { lines, watch } = setUp();
  await watch.untilUsable(failing(refused), loadConfig({}));
  t.same(lines, []);
});
