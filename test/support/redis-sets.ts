import { Redis } from 'ioredis';
import type { Test } from 'tap';
import { eventually, redisTarget } from './adapters.ts';
import { freePort } from './free-port.ts';
import { type PrivateServer, startRedis, startSentinel } from './servers.ts';

const SLOTS = 16_384;

function stopping(t: Test, servers: PrivateServer[]): void {
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
}

/** Asks a server directly, without a client of ours. */
export async function ask(
  server: PrivateServer,
  ...command: [string, ...(string | number)[]]
): Promise<string> {
  const redis = new Redis(server.url);
  try {
    return String(await redis.call(...command));
  } finally {
    redis.disconnect();
  }
}

/** Tries again until the answer is as expected. */
export async function untilItSays(
  expected: RegExp,
  server: PrivateServer,
  ...command: [string, ...string[]]
) {
  await eventually(async () => {
    const answer = await ask(server, ...command);
    if (!expected.test(answer)) throw new Error(`still: ${answer}`);
  });
}

/** A master, its replica, and a Sentinel that knows both. */
export async function startSentinelSet(t: Test) {
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
export async function startCluster(t: Test) {
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
