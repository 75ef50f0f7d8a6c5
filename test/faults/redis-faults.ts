import { setTimeout as delay } from 'node:timers/promises';
import { KEEP_MS } from '../../src/sessions/session-cache.ts';
import { cacheKeyOf, during, REFUSED_WITHIN_MS, type Scenario, type User } from './probe.ts';
import { startRedisFor, type World, withRedis } from './world.ts';

/** For as long an entry is fresh. */
const FRESH_MS = 60_000;
const NOTICED_AFTER_MS = 1_000;
const HEALTHY_MS = 300;
const DEAD_MS = 1_200;
/** Sessions end everywhere within 60 s under a single fault, plus a second for running requests. */
const REVOKED_WITHIN_MS = 61_000;

type Client = Parameters<Parameters<World['withRedis']>[0]>[0];

/** Redis does not answer: everything works, and is quick again after a second of noticing. */
function lostRedis(name: string, begin: (world: World) => void, end: (world: World) => unknown): Scenario {
  return {
    name,
    demanded: '200; after 1 s p99 within 3x healthy or 30 ms; logout at once; back in 5 s',
    async play(probe, world) {
      const [known, leaving, ...others] = await probe.signUpCached(5);
      if (known === undefined || leaving === undefined) throw new Error('nobody signed up');
      const uncached = await probe.signUpUncached();
      const healthyTimes = await probe.tokensFor(HEALTHY_MS, [known, ...others]);
      let newcomer = uncached;

      await during(world, { begin, end }, async () => {
        const crowd = [known, uncached, ...others];
        await probe.tokensFor(NOTICED_AFTER_MS, crowd);
        probe.demandQuick(await probe.tokensFor(DEAD_MS, crowd), healthyTimes);
        newcomer = await probe.signUp();
        await probe.logout(world.replica(0), leaving);
        for (const replica of world.replicas) await probe.token(replica, leaving, [404]);
      });
      await probe.recovers(known);
      await probe.token(world.replica(1), newcomer);
      await probe.endsEverywhere(leaving, 5_000);
    },
  };
}

const redisKilled = lostRedis(
  'Redis killed',
  ({ redis }) => redis.signal('SIGKILL'),
  ({ redis }) => redis.restart(),
);

export const redisFrozen = lostRedis(
  'Redis SIGSTOPped',
  ({ redis }) => redis.signal('SIGSTOP'),
  ({ redis }) => redis.signal('SIGCONT'),
);

const redisSlow = lostRedis(
  'Redis slow by 200 ms',
  ({ replicas }) => replicas.forEach(({ redis }) => void redis.slow(200)),
  ({ replicas }) => replicas.forEach(({ redis }) => void redis.mend()),
);

export const redisFlushed: Scenario = {
  name: 'Redis flushed',
  demanded: '200 for the living, 404 for the signed out, all the time',
  async play(probe, world) {
    const users = await probe.signUpCached(6);
    const leaving = await probe.signUp();
    await probe.logout(world.replica(0), leaving);
    await world.withRedis(async (redis) => {
      for (let i = 0; i < 10; i += 1) {
        await redis.flushall();
        await probe.tokensFor(50, users);
        await probe.token(world.replica(i), leaving, [404]);
      }
    });
  },
};

const redisEvicting: Scenario = {
  name: 'Redis evicting (2mb allkeys-lru)',
  demanded: '200 for the living, 404 for the signed out, though tombstones go',
  async play(probe, world) {
    const users = await probe.signUpCached(30);
    const leaving = users.splice(0, 10);
    await world.withRedis((redis) =>
      during(world, limitMemory(redis), async () => {
        for (const [i, user] of leaving.entries()) {
          await probe.logout(world.replica(i), user);
          await crowd(redis, i);
          await probe.tokensFor(60, users);
          for (const gone of leaving.slice(0, i + 1)) await probe.token(world.replica(i + 1), gone, [404]);
        }
        const evicted = Number(/evicted_keys:(\d+)/.exec(await redis.info('stats'))?.[1]);
        probe.demand(evicted > 0, 'nothing was evicted');
      }),
    );
  },
};

function limitMemory(redis: Client) {
  return {
    begin: async () => {
      await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
      await redis.config('SET', 'maxmemory', '2mb');
    },
    end: async () => {
      await redis.config('SET', 'maxmemory', '0');
      await redis.config('SET', 'maxmemory-policy', 'noeviction');
      await redis.flushall();
    },
  };
}

/** Fills Redis with other entries until it is full. */
async function crowd(redis: Client, round: number): Promise<void> {
  const pipeline = redis.pipeline();
  for (let i = 0; i < 1_000; i += 1)
    pipeline.set(`session:other-${round}-${i}`, 'x'.repeat(1_000), 'PX', 600_000);
  await pipeline.exec();
}

/** A replica of Redis that has the entry but never got the tombstone becomes the master. */
const staleFailover: Scenario = {
  name: 'Redis failed over to a stale replica',
  demanded: 'a lost tombstone costs 60 s at most, then 404; everybody else 200',
  async play(probe, world) {
    const undo: (() => unknown)[] = [];
    const standby = await startRedisFor({ teardown: (action) => void undo.push(action) });
    try {
      const [user, leaving] = await probe.signUpCached(2);
      if (user === undefined || leaving === undefined) throw new Error('nobody signed up');
      await withRedis(standby.url, (redis) => promote(redis, world, cacheKeyOf(leaving)));
      const loggedOutAt = Date.now();
      await probe.logout(world.replica(0), leaving);
      for (const { redis: proxy } of world.replicas) proxy.redirect(standby.port);
      await probe.recovers(user);
      await probe.token(world.replica(1), leaving, [200]);
      await probe.endsEverywhere(leaving, loggedOutAt + REVOKED_WITHIN_MS - Date.now());
      for (const replica of world.replicas) await probe.token(replica, user);
    } finally {
      for (const { redis } of world.replicas) redis.redirect(world.redis.port);
      for (const action of undo) await action();
    }
  },
};

/** Copies the data of Redis, including an entry, and goes on as a master. */
async function promote(redis: Client, world: World, key: string): Promise<void> {
  await redis.replicaof('127.0.0.1', world.redis.port);
  while ((await redis.get(key)) === null) await delay(20);
  await redis.replicaof('NO', 'ONE');
}

/** Makes a user's entry stale, as after 60 s. */
export async function age(redis: Client, user: User, { seal }: World): Promise<void> {
  const key = cacheKeyOf(user);
  const binding = { kind: 'session', id: key.slice('session:'.length) };
  const opened = seal.open(binding, (await redis.get(key)) ?? '');
  if (opened === null) throw new Error('there is no entry to age');
  const entry = { ...JSON.parse(opened), writtenAt: Date.now() - FRESH_MS };
  await redis.set(key, seal.seal(binding, JSON.stringify(entry)), 'PX', KEEP_MS - FRESH_MS);
}

/** @param isAlone whether the replica that logs out is the only one without Redis */
function partitionedLogout(name: string, isAlone: boolean, demanded: string): Scenario {
  return {
    name,
    demanded,
    async play(probe, world) {
      const [user, leaving] = await probe.signUpCached(2);
      if (user === undefined || leaving === undefined) throw new Error('nobody signed up');
      const cut = isAlone ? [world.replica(0)] : world.replicas;
      for (const { redis } of cut) redis.blackhole();
      await probe.logout(world.replica(0), leaving);
      await probe.token(world.replica(0), leaving, [404], REFUSED_WITHIN_MS);
      if (!isAlone) {
        await probe.tokensFor(1_500, [user]);
        // The bytes that waited in the proxy are lost here: the outbox must deliver the tombstone.
        for (const { redis } of cut) redis.reset();
        await delay(300);
        for (const { redis } of cut) redis.mend();
      }
      await probe.endsEverywhere(leaving, 5_000);
      const isTombstone = await isToldOf(leaving, world);
      probe.demand(isTombstone, 'the tombstone is not in Redis');
    },
  };
}

/** Whether the cache knows that the session has ended, by a tombstone or by a later read. */
async function isToldOf(user: User, world: World): Promise<boolean> {
  const key = cacheKeyOf(user);
  const text = await world.withRedis((redis) => redis.get(key));
  const opened = world.seal.open({ kind: 'session', id: key.slice('session:'.length) }, text ?? '');
  return text !== null && (opened === null || JSON.parse(opened).record === null);
}

export const logoutWhileOneIsCutOff = partitionedLogout(
  'one replica cut off from Redis, logs out there',
  true,
  'logout acknowledged; the others end the session within 5 s, while it is still cut off',
);

const logoutWhileAllAreCutOff = partitionedLogout(
  'all cut off from Redis during a logout, healed',
  false,
  'logout acknowledged; the outbox delivers within 5 s of healing',
);

export const poisoned: Scenario = {
  name: 'entries poisoned',
  demanded: "200 with one's own token; never another's; 404 for the signed out",
  async play(probe, world) {
    const [user, other, leaving] = await probe.signUpCached(3);
    if (user === undefined || other === undefined || leaving === undefined)
      throw new Error('nobody signed up');
    await world.withRedis(async (redis) => {
      const others = (await redis.get(cacheKeyOf(other))) ?? '';
      const left = (await redis.get(cacheKeyOf(leaving))) ?? '';
      await probe.logout(world.replica(0), leaving);
      const poisons = [
        '',
        'garbage',
        '{}',
        'null',
        '[]',
        '{"tokenHash":1}',
        others,
        others.slice(0, 100),
        left,
        '\0',
      ];
      for (const poison of poisons) {
        for (const replica of world.replicas) {
          await redis.set(cacheKeyOf(user), poison);
          await probe.token(replica, user);
          await redis.set(cacheKeyOf(leaving), others);
          await probe.token(replica, leaving, [404]);
        }
      }
    });
  },
};

export const redisFaults: Scenario[] = [
  redisKilled,
  redisFrozen,
  redisSlow,
  redisFlushed,
  redisEvicting,
  staleFailover,
  logoutWhileOneIsCutOff,
  logoutWhileAllAreCutOff,
  poisoned,
];
