import { test } from 'tap';
import { eventually, openCacheOn, redisTarget } from '../support/adapters.ts';
import { cacheContract } from '../support/cache-contract.ts';
import { ask, startCluster, startSentinelSet, untilItSays } from '../support/redis-sets.ts';
import { startSentinel } from '../support/servers.ts';

const MINUTE_MS = 60_000;

test('Sentinel', async (t) => {
  const { master, replica, sentinel, target } = await startSentinelSet(t);
  await t.test('the cache does all that a cache must', (t) =>
    cacheContract(t, (t) => openCacheOn(t, target, [master.url])),
  );

  await t.test('a Sentinel that hangs is passed over for the next one', async (t) => {
    const frozen = await startSentinel(master.port);
    t.teardown(() => frozen.stop());
    frozen.signal('SIGSTOP');
    const both = `redis+sentinel://127.0.0.1:${frozen.port},127.0.0.1:${sentinel.port}/main`;
    const { cache } = await openCacheOn(t, redisTarget(both), []);
    await cache.put('a', '1', MINUTE_MS);
    t.equal(await cache.get('a'), '1');
  });

  t.test('when the master is killed, the cache works again by itself, on the replica', async (t) => {
    const { cache } = await openCacheOn(t, target, [], 'p:');
    await cache.put('a', '1', MINUTE_MS);
    await untilItSays(/^1$/, replica, 'exists', 'p:a');
    master.signal('SIGKILL');
    await t.rejects(cache.put('a', '2', MINUTE_MS));
    await eventually(() => cache.put('b', '2', MINUTE_MS));
    t.equal(await cache.get('a'), '1', 'what had been replicated is there');
    t.equal(await cache.get('b'), '2');
    t.match(await ask(replica, 'role'), /^master/);
  });
});

test('Cluster', async (t) => {
  const { servers, urls, target } = await startCluster(t);
  await t.test('the cache does all that a cache must', (t) =>
    cacheContract(t, (t) => openCacheOn(t, target, urls)),
  );

  await t.test('keys spread over all servers, each found again', async (t) => {
    const { cache } = await openCacheOn(t, target, urls);
    const keys = Array.from({ length: 60 }, (_, index) => `key-${index}`);
    await Promise.all(keys.map((key) => cache.put(key, key, MINUTE_MS)));
    t.same(await Promise.all(keys.map(cache.get)), keys);
    const replaced = await Promise.all(keys.map((key) => cache.replace(key, key, '1', MINUTE_MS)));
    t.ok(replaced.every(Boolean));
    for (const server of servers) t.ok(Number(await ask(server, 'dbsize')) >= 5);
  });

  t.test('when it is whole again after a server was away, so is the cache, by itself', async (t) => {
    const { cache } = await openCacheOn(t, target, []);
    const [, second] = servers;
    second?.signal('SIGSTOP');
    const keys = Array.from({ length: 30 }, (_, index) => `key-${index}`);
    const outcomes = await Promise.allSettled(keys.map(cache.get));
    t.ok(outcomes.some(({ status }) => status === 'rejected'));
    second?.signal('SIGCONT');
    await eventually(() => Promise.all(keys.map(cache.get)));
  });
});
