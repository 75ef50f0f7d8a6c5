import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { createRedisCache } from '../../src/cache/redis-cache.ts';
import { createRedisHints, NO_HINTS } from '../../src/cache/redis-hints.ts';
import type { RedisTarget } from '../../src/config/redis-target.ts';
import { eventually, redisTarget } from '../support/adapters.ts';
import { createTestRedis } from '../support/database.ts';
import { ask, startCluster, startSentinelSet } from '../support/redis-sets.ts';
import { startRedis } from '../support/servers.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';

/** The hints of one replica, which listens. */
function open(t: Test, target: RedisTarget, keyPrefix: string, renewEveryMs = 100) {
  const heard: string[] = [];
  const refusals: string[] = [];
  const events = {
    onError: () => {},
    onBreak: () => {},
    onHintsRefused: (_target: RedisTarget, channel: string) => void refusals.push(channel),
  };
  const { publish, close } = createRedisCache(target, keyPrefix, events);
  const hints = createRedisHints({ target, keyPrefix, publish, events, renewEveryMs });
  t.teardown(async () => {
    await hints.close();
    close();
  });
  hints.listen((head) => heard.push(head));
  return { ...hints, heard, refusals };
}

type Replica = ReturnType<typeof open>;

/** Waits until an announcement of one reaches the other. Those that are lost in between do not matter. */
async function untilHeard(from: Replica, to: Replica): Promise<void> {
  const head = randomUUID();
  await eventually(() => {
    from.announce(head);
    if (!to.heard.includes(head)) throw new Error('not heard');
  });
}

test('what one replica announces all hear, and nobody with another prefix', async (t) => {
  const { url, keyPrefix } = await createTestRedis(t);
  const target = redisTarget(url);
  const [one, two, stranger] = [
    open(t, target, keyPrefix),
    open(t, target, keyPrefix),
    open(t, target, 'x:'),
  ];
  await untilHeard(stranger, stranger);
  await untilHeard(one, two);
  await untilHeard(two, one);
  const before = two.heard.length;
  one.announce('e.17');
  await eventually(() => {
    if (two.heard.length === before) throw new Error('not heard');
  });
  t.equal(two.heard.at(-1), 'e.17');
  t.equal(new Set(stranger.heard).size, 1);
});

test('nobody is told, and nothing is opened, where there is one process', async (t) => {
  NO_HINTS.listen(() => t.fail('there is no one'));
  NO_HINTS.announce('e.1');
});

test('when Redis is killed, hints come again by themselves when it is back', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const [one, two] = [open(t, redisTarget(redis.url), 'p:'), open(t, redisTarget(redis.url), 'p:')];
  await untilHeard(one, two);
  redis.signal('SIGKILL');
  one.announce('lost');
  await redis.restart();
  await untilHeard(one, two);
  t.notOk(two.heard.includes('lost'));
  t.same(one.refusals, []);
});

test('when Redis was frozen, hints come again by themselves', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const [one, two] = [open(t, redisTarget(redis.url), 'p:'), open(t, redisTarget(redis.url), 'p:')];
  await untilHeard(one, two);
  redis.signal('SIGSTOP');
  one.announce('late, or lost');
  redis.signal('SIGCONT');
  await untilHeard(one, two);
  t.same(one.refusals, []);
});

test('a connection that is dead without a sign of it is given up', async (t) => {
  const { url, keyPrefix } = await createTestRedis(t);
  const proxy = await createTcpProxy(t, url);
  const [one, two] = [open(t, redisTarget(url), keyPrefix), open(t, redisTarget(proxy.url), keyPrefix)];
  await untilHeard(one, two);
  proxy.halfOpen();
  await untilHeard(one, two);
  t.pass('on a new one');
});

test('Redis that comes back and does not answer a subscription ends no process', async (t) => {
  const { url, keyPrefix } = await createTestRedis(t);
  const proxy = await createTcpProxy(t, url);
  const [one, two] = [open(t, redisTarget(url), keyPrefix), open(t, redisTarget(proxy.url), keyPrefix)];
  await untilHeard(one, two);
  proxy.reset();
  const lostSubscriptions = proxy.lose('subscribe');
  await eventually(() => {
    if (lostSubscriptions() < 4) throw new Error('still waiting for an answer');
  });
  proxy.mend();
  await untilHeard(one, two);
  t.pass('and it listens again');
});

test('without rights on the channel it says so once, and needs no restart when they are granted', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  await ask(redis, 'acl', 'setuser', 'auth', 'on', '>secret', '~p:*', '+@all', 'resetchannels');
  const target = redisTarget(redis.url.replace('redis://', 'redis://auth:secret@'));
  const [one, two] = [open(t, target, 'p:'), open(t, target, 'p:')];
  await eventually(() => {
    one.announce('refused');
    if (one.refusals.length + two.refusals.length < 2) throw new Error('not refused yet');
  });
  const failures = Number(/errorstat_NOPERM:count=(\d+)/.exec(await ask(redis, 'info', 'errorstats'))?.[1]);
  await eventually(async () => {
    const [, count] = /errorstat_NOPERM:count=(\d+)/.exec(await ask(redis, 'info', 'errorstats')) ?? [];
    if (Number(count) < failures + 4) throw new Error('not tried again');
  });
  t.same(one.refusals, ['p:revocations']);
  t.same(two.refusals, ['p:revocations']);
  await ask(redis, 'acl', 'setuser', 'auth', '&p:revocations');
  await untilHeard(one, two);
});

test('behind Sentinel hints follow the master', async (t) => {
  const { master, target } = await startSentinelSet(t);
  const [one, two] = [open(t, target, 'p:'), open(t, target, 'p:')];
  await untilHeard(one, two);
  master.signal('SIGKILL');
  await untilHeard(one, two);
  t.pass('on the replica that has taken over');
});

test('in a cluster all nodes pass hints on', async (t) => {
  const { servers, target } = await startCluster(t);
  const replicas = [1, 2, 3].map(() => open(t, target, 'p:'));
  for (const from of replicas) for (const to of replicas) await untilHeard(from, to);
  const [, , third] = servers;
  third?.signal('SIGSTOP');
  third?.signal('SIGCONT');
  for (const from of replicas) for (const to of replicas) await untilHeard(from, to);
  t.pass('also after one was away');
});
