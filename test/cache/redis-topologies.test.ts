import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import { eventually, openCacheOn, redisTarget } from '../support/adapters.ts';
import { cacheContract } from '../support/cache-contract.ts';
import { freePort, type PrivateServer, startRedis, startSentinel } from '../support/servers.ts';

const MINUTE_MS = 60_000;
const SLOTS = 16_384;

function stopping(t: Test, servers: PrivateServer[]): void {
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
}

/** Asks a server directly, without a client of ours. */
async function ask(server: PrivateServer, ...command: [string, ...(string | number)[]]): Promise<string> {
  const redis = new Redis(server.url);
  try {
    return String(await redis.call(...command));
  } finally {
    redis.disconnect();
  }
}

/** Tries again until the answer is as expected. */
async function untilItSays(expected: RegExp, server: PrivateServer, ...command: [string, ...string[]]) {
  await eventually(async () => {
    const answer = await ask(server, ...command);
    if (!expected.test(answer)) throw new Error(`still: ${answer}`);
  });
}

/** A master, its replica, and a Sentinel that knows both. */
async function startSentinelSet(t: Test) {
  const master = await startRedis();
  stopping(t, [master]);
  const replica = await startRedis(
    '--replicaof',
    `127.0.0.1 ${master.port}`,
    '--repl-diskless-sync-delay',
    '0',
  );
  stopping(t, [replica]);
  const sentinel = await startSentinel(master.port);
  stopping(t, [sentinel]);
  await untilItSays(/master_link_status:up/, replica, 'info', 'replication');
  await untilItSays(/slaves=1/, sentinel, 'info', 'sentinel');
  const target = redisTarget(`redis+sentinel://127.0.0.1:${sentinel.port}/main`);
  return { master, replica, sentinel, target };
}

/** Three masters, each with a third of the slots. */
async function startCluster(t: Test) {
  const nodes = await Promise.all(
    [0, 1, 2].map(async () => {
      const busPort = await freePort();
      const options = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'];
      return { busPort, server: await startRedis(...options, '--cluster-port', String(busPort)) };
    }),
  );
  const servers = nodes.map(({ server }) => server);
  stopping(t, servers);
  for (const [index, { server }] of nodes.entries()) {
    const [from, to] = [index, index + 1].map((third) => Math.floor((SLOTS * third) / 3));
    await ask(server, 'cluster', 'addslotsrange', Number(from), Number(to) - 1);
    await ask(server, 'config', 'set', 'cluster-announce-ip', '127.0.0.1');
    await ask(server, 'cluster', 'set-config-epoch', index + 1);
  }
  const [first, ...others] = nodes;
  if (first === undefined) throw new Error('no node');
  for (const { server, busPort } of others) {
    await ask(first.server, 'cluster', 'meet', '127.0.0.1', server.port, busPort);
  }
  for (const server of servers) {
    await untilItSays(/cluster_state:ok/, server, 'cluster', 'info');
    await untilItSays(/cluster_known_nodes:3/, server, 'cluster', 'info');
  }
  // One is enough to find the others.
  const target = redisTarget(`redis+cluster://127.0.0.1:${first.server.port}`);
  return { servers, urls: servers.map(({ url }) => url), target };
}

test('Sentinel', async (t) => {
  const { master, replica, target } = await startSentinelSet(t);
  await t.test('the cache does all that a cache must', (t) =>
    cacheContract(t, (t) => openCacheOn(t, target, [master.url])),
  );

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
