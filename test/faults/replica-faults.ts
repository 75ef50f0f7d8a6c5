import { setTimeout as delay } from 'node:timers/promises';
import { cacheKeyOf, type Probe, RECOVERED_WITHIN_MS, type Scenario, type User } from './probe.ts';
import type { Replica, World } from './world.ts';

/** Longer than the lease of a fill. */
const FROZEN_MS = 3_500;
/** Longer than the life of a tombstone. */
const LONG_FROZEN_MS = 90_000;
const LONGEST_SLEEP_MS = 120_000;

const replicaKilled: Scenario = {
  name: 'one replica killed with kill -9',
  demanded: 'what it acknowledged holds on the others at once; they miss no beat',
  async play(probe, world) {
    const doomed = await world.startReplica();
    const [known = await probe.signUp()] = await probe.signUpCached(1);
    const signedUp: User[] = [];
    const leaving = await probe.signUpCached(5);
    for (const user of leaving) {
      signedUp.push(await probe.signUp(doomed));
      await probe.logout(doomed, user);
    }
    process.kill(doomed.server.pid, 'SIGKILL');
    for (const user of signedUp) await probe.token(world.replica(0), user);
    for (const user of leaving) await probe.token(world.replica(1), user, [404]);
    await probe.tokensFor(500, [known, ...signedUp]);
    await probe.recovers(known);
  },
};

/** The database has sent the row, the replica is frozen, the session ends, and the replica goes on. */
function replicaFrozen(name: string, sleep: (world: World, key: string) => Promise<unknown>): Scenario {
  return {
    name,
    demanded: 'its fill is too late: 404 everywhere, even with the tombstone gone',
    async play(probe, world) {
      const frozen = world.replica(1);
      const user = await probe.signUpUncached();
      frozen.database.blackhole('answers');
      const reading = probe.token(frozen, user, [200, 503], LONGEST_SLEEP_MS);
      await delay(200);
      process.kill(frozen.server.pid, 'SIGSTOP');
      try {
        await probe.logout(world.replica(0), user);
        // The answer is in the frozen replica's socket when it goes on.
        frozen.database.mend();
        await sleep(world, cacheKeyOf(user));
      } finally {
        process.kill(frozen.server.pid, 'SIGCONT');
      }
      await reading;
      await delay(100);
      const left = await world.withRedis((redis) => redis.get(cacheKeyOf(user)));
      probe.demand(left === null || !left.startsWith('{'), 'a revoked session was put back');
      for (const replica of world.replicas) await neverServes(probe, replica, user);
    },
  };
}

/** A replica that was frozen refuses requests as overloaded at first. */
async function neverServes(probe: Probe, replica: Replica, user: User): Promise<void> {
  const giveUpAt = Date.now() + RECOVERED_WITHIN_MS;
  while ((await probe.token(replica, user, [404, 503])).status !== 404) {
    if (Date.now() > giveUpAt) return probe.wrong('no 404 within 5 s');
    await delay(50);
  }
}

const frozenShortly = replicaFrozen('replica frozen between read and fill', async (world, key) => {
  await delay(FROZEN_MS);
  // As after 60 s, when a tombstone expires.
  await world.withRedis((redis) => redis.del(key));
});

const frozenLong = replicaFrozen('replica frozen 90 s between read and fill', async (world, key) => {
  await delay(LONG_FROZEN_MS);
  const left = await world.withRedis((redis) => redis.exists(key));
  if (left === 1) throw new Error('the tombstone still stands');
});

export const replicaFaults: Scenario[] = [replicaKilled, frozenShortly, frozenLong];
