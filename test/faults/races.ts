import { randomBytes, randomUUID } from 'node:crypto';
import postgres from 'postgres';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { createRedisCache } from '../../src/cache/redis-cache.ts';
import { parseRedisUrl } from '../../src/config/redis-target.ts';
import { createDatabaseClock } from '../../src/core/clock.ts';
import { loadPostgresDriver } from '../../src/db/drizzle.ts';
import * as schema from '../../src/db/schema.ts';
import { openOutbox } from '../../src/outbox/open-outbox.ts';
import { hashGenerateToken } from '../../src/sessions/generate-token.ts';
import { openSessions } from '../../src/sessions/open-sessions.ts';
import { createSessionStore } from '../../src/sessions/session-store.ts';
import { createPlatform } from '../support/platform.ts';
import type { Probe, Scenario } from './probe.ts';
import type { World } from './world.ts';

const { drizzle } = loadPostgresDriver();

const PAST_FRESHNESS_MS = 61_000;
/** The races are about order: a command must not fail because the machine is busy. */
const GENEROUS_DEADLINE_MS = 10_000;
const ADDRESS = '127.0.0.1';

/** Stops a look-up after it has read its row, until the race lets it go on. */
type Gate = { hasRead(): void; mayGoOn: Promise<void> };

/** Two replicas in this process on the real servers. Their look-ups can be stopped after they have read the row. */
async function openReplicas({ database: server, redis }: World) {
  const target = parseRedisUrl(redis.url);
  if (target === null) throw new Error('not a Redis URL');
  const client = postgres(server.url, { max: 5, onnotice: () => {} });
  const database = drizzle(client, { schema });
  const store = createSessionStore(database);
  const accounts = createAccountStore(database);
  const ignore = () => {};
  const cache = createRedisCache(
    target,
    'races:',
    { onError: ignore, onBreak: ignore },
    GENEROUS_DEADLINE_MS,
  );
  while (
    !(await cache.ping().then(
      () => true,
      () => false,
    ))
  )
    await new Promise((resolve) => setTimeout(resolve, 10));
  const keyEncryptionKey = randomBytes(32);
  const state: { shiftMs: number; gate: Gate | null } = { shiftMs: 0, gate: null };
  const table = {
    ...store,
    touch: async () => {},
    findAll: async (tokenHashes: Buffer[]) => {
      const { gate } = state;
      const found = await store.findAll(tokenHashes);
      gate?.hasRead();
      await gate?.mayGoOn;
      return found;
    },
  };
  const [one, two] = [createReplica(), createReplica()];
  const [runner, other] = [one.service, two.service];

  return {
    cache,
    state,
    runner,
    other,
    /** A session of a user of its own. */
    async start(): Promise<string> {
      const id = randomUUID();
      const email = `${id}@example.com`;
      const { generateToken } = await platform().transact(async (transaction) => {
        await accounts.insert(transaction, { id, email, emailAsTyped: email, passwordHash: '' });
        return runner.start(transaction, id, { ip: ADDRESS, userAgent: null });
      });
      return generateToken;
    },
    async close(): Promise<void> {
      for (const replica of [one, two]) await replica.close();
      cache.close();
      await client.end();
    },
  };

  function platform() {
    const clock = createDatabaseClock(Date.now);
    return createPlatform(database, {
      cache,
      keyEncryptionKey,
      // Only the replica's clock makes the entry stale: the time of the database and of Redis cannot be moved here.
      clock: { ...clock, now: () => clock.now() + state.shiftMs },
    });
  }

  function createReplica() {
    const on = platform();
    return openSessions(on, { outbox: openOutbox(on).service, audit: openAudit(on).service }, table);
  }
}

type Replicas = Awaited<ReturnType<typeof openReplicas>>;

/** When the reader goes on, relative to the logout. The first two are the races, the third is a slow reader. */
const ORDERS = ['at once', 'from the barrier', 'after the logout', 'after the tombstone'] as const;
type Order = (typeof ORDERS)[number];

/** One look-up against one logout. Every look-up after the acknowledged logout must find no session. */
async function race(probe: Probe, replicas: Replicas, token: string, order: Order): Promise<void> {
  const { state, runner, other, cache } = replicas;
  const { promise: read, resolve: hasRead } = Promise.withResolvers<void>();
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
  if (order === 'at once') goOn();
  state.gate = { hasRead, mayGoOn };
  const reading = runner.find(token, ADDRESS);
  if (order !== 'at once') await read;
  state.gate = null;
  if (order === 'from the barrier') goOn();
  const wasEnded = await other.signOut(token, ADDRESS);
  probe.demand(wasEnded, 'the logout found no session');
  if (order === 'after the tombstone') await dropTombstone(cache, token);
  goOn();
  await reading;
  for (const replica of [runner, other, runner]) {
    probe.count();
    probe.demand((await replica.find(token, ADDRESS)) === null, `${order}: a session came back`);
  }
}

/** As if its 60 s were over, or as if it had been evicted. */
async function dropTombstone(cache: Replicas['cache'], token: string): Promise<void> {
  const key = `session:${hashGenerateToken(token).toString('hex')}`;
  const text = await cache.get(key);
  if (text === null) throw new Error('there is no tombstone');
  await cache.put(key, '', 1);
  while ((await cache.get(key)) !== null);
}

function races(name: string, rounds: number, orders: readonly Order[], isCached: boolean): Scenario {
  return {
    name: `${name} (${rounds} rounds)`,
    demanded: 'no look-up that begins after the logout finds the session',
    async play(probe, world) {
      const replicas = await openReplicas(world);
      try {
        for (let i = 0; i < rounds; i += 1) {
          const token = await replicas.start();
          if (isCached) {
            probe.demand((await replicas.other.find(token, ADDRESS)) !== null, 'a new session is not found');
            replicas.state.shiftMs += PAST_FRESHNESS_MS;
          }
          await race(probe, replicas, token, orders[i % orders.length] ?? 'at once');
        }
      } finally {
        await replicas.close();
      }
    },
  };
}

/** @param rounds of each race */
export function createRaces(rounds: number): Scenario[] {
  const barrier = ORDERS.slice(0, 3);
  return [
    races('logout against a fill', rounds, barrier, false),
    races('logout against a refresh', rounds, barrier, true),
    races('fill by a replica that slept 90 s', Math.ceil(rounds / 10), ['after the tombstone'], false),
    races('refresh by a replica that slept 90 s', Math.ceil(rounds / 10), ['after the tombstone'], true),
  ];
}
