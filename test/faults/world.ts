import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import postgres, { type Sql } from 'postgres';
import { createCacheSeal } from '../../src/cache/cache-seal.ts';
import { type ServerProcess, startServer } from '../support/processes.ts';
import { type PrivateServer, startPostgres, startRedis, takeChildrenAlong } from '../support/servers.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { cacheKeyOf, post, trySignUp } from './probe.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** One server process, with wires of its own to PostgreSQL and Redis. */
export type Replica = { url: string; server: ServerProcess; database: TcpProxy; redis: TcpProxy };

/** Few, so that a test can take all of them. */
const MAX_CONNECTIONS = 40;
const POOL_SIZE = 5;
const KEY_PREFIX = 'faults:';
const HEALED_WITHIN_MS = 15_000;
/** One for all replicas: what one has put into the cache, the others cannot open under another. */
const ISSUER = 'http://localhost:3000';
/** How much of a server's log is printed, in characters. */
const OUTPUT_END = 1_000;

export type World = Awaited<ReturnType<typeof createWorld>>;

/**
 * Private PostgreSQL and Redis, and server processes on them: all may be killed, frozen and cut off.
 * @param patience how many times longer than on an idle machine things may take; 1 is strict
 */
export async function createWorld(t: Teardown, replicaCount: number, patience = 1) {
  takeChildrenAlong();
  const [database, redis] = await Promise.all([startSmallPostgres(t), startRedisFor(t)]);
  const keyEncryptionKey = randomBytes(32);
  const replicas: Replica[] = [];
  for (let i = 0; i < replicaCount; i += 1) replicas.push(await startReplica());

  return {
    patience,
    issuer: ISSUER,
    /** Opens what the replicas put into Redis. */
    seal: createCacheSeal({ issuer: ISSUER, keyEncryptionKey, now: Date.now }),
    database,
    redis,
    replicas,
    startReplica,
    /** Puts a new process in the place of one that was killed, on the same wires. */
    async replaceReplica(index: number): Promise<void> {
      replicas[index] = await startReplica(replicas[index]);
    },
    replica: (index: number): Replica => {
      const found = replicas[index % replicas.length];
      if (found === undefined) throw new Error('there are no replicas');
      return found;
    },
    heal,
    /** Runs statements on the database, without a proxy. */
    withDatabase: <T>(use: (sql: Sql) => Promise<T>) => withDatabase(database.url, use),
    /** Runs commands on Redis, without a proxy. */
    withRedis: <T>(use: (client: Redis) => Promise<T>) => withRedis(redis.url, use),
  };

  async function startReplica(wires?: Pick<Replica, 'database' | 'redis'>): Promise<Replica> {
    const [databaseProxy, redisProxy] = wires
      ? [wires.database, wires.redis]
      : await Promise.all([createTcpProxy(t, database.url), createTcpProxy(t, redis.url)]);
    const server = await startServer(t, {
      NODE_ENV: 'development',
      LOG_LEVEL: 'info',
      DATABASE_URL: databaseProxy.url,
      REDIS_URL: redisProxy.url,
      REDIS_KEY_PREFIX: KEY_PREFIX,
      DATABASE_POOL_SIZE: String(POOL_SIZE),
      KEY_ENCRYPTION_KEY: keyEncryptionKey.toString('base64'),
      PUBLIC_URL: ISSUER,
    });
    return { url: server.url, server, database: databaseProxy, redis: redisProxy };
  }

  /** Ends every fault, and waits until each replica is ready and fills the cache. */
  async function heal(): Promise<void> {
    for (const replica of replicas) {
      replica.database.mend();
      replica.redis.mend();
    }
    const giveUpAt = Date.now() + HEALED_WITHIN_MS * patience;
    await Promise.all(
      replicas.map(async (replica) => {
        // A ping may be answered before the breaker closes: an entry shows that the cache is used again.
        while (!((await isWell(replica)) && (await fillsCache(replica)))) {
          if (Date.now() > giveUpAt)
            throw new Error(`${replica.url} stays ill:\n${replica.server.output().slice(-OUTPUT_END)}`);
          await delay(50);
        }
      }),
    );
  }

  async function fillsCache(replica: Replica): Promise<boolean> {
    const { user } = await trySignUp(replica);
    if (user === null) return false;
    await post(replica, '/token', user);
    return (await withRedis(redis.url, (client) => client.exists(cacheKeyOf(user)))) === 1;
  }
}

async function isWell({ url }: Replica): Promise<boolean> {
  const response = await fetch(`${url}/health/ready`);
  return ((await response.json()) as { status: string }).status === 'ok';
}

async function startSmallPostgres(t: Teardown): Promise<PrivateServer> {
  const server = await startPostgres();
  t.teardown(() => server.stop());
  await withDatabase(server.url, (sql) =>
    sql.unsafe(`alter system set max_connections = ${MAX_CONNECTIONS}`),
  );
  server.signal('SIGINT');
  await server.restart();
  return server;
}

export async function startRedisFor(t: Teardown): Promise<PrivateServer> {
  const server = await startRedis();
  t.teardown(() => server.stop());
  return server;
}

async function withDatabase<T>(url: string, use: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await use(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

export async function withRedis<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { keyPrefix: KEY_PREFIX });
  client.on('error', () => {});
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}
