import fc from 'fast-check';
import { test } from 'tap';
import type { Costs, RequestCost } from '../../bench/cost-table.ts';
import { createRandom } from '../../bench/random.ts';
import { demandOf, planFor, resourceOf } from '../../bench/simulation/plan.ts';
import { createSessionStates } from '../../bench/simulation/session-states.ts';
import { type Scenario, simulate, type Wish } from '../../bench/simulation/simulate.ts';
import { peakOf, TRAFFIC, userDraw, visitRateAt, visitTimes } from '../../bench/simulation/traffic.ts';

const cost = (given: Partial<RequestCost>): RequestCost => ({
  serverMicros: 200,
  postgresMicros: 0,
  redisMicros: 5,
  redisCommands: 1,
  walBytes: 0,
  ...given,
});

/** Round numbers: what comes out can be checked by hand. */
const costs: Costs = {
  at: '',
  machine: {},
  seeded: { users: 0, sessions: 0 },
  requests: {
    mintHit: cost({}),
    mintMiss: cost({ serverMicros: 300, postgresMicros: 50, redisMicros: 20, redisCommands: 4 }),
    signIn: cost({
      serverMicros: 1000,
      postgresMicros: 1000,
      redisMicros: 40,
      redisCommands: 4,
      walBytes: 700,
    }),
    signOut: cost({
      serverMicros: 800,
      postgresMicros: 800,
      redisMicros: 20,
      redisCommands: 2,
      walBytes: 900,
    }),
    introspect: cost({ serverMicros: 500, postgresMicros: 100, redisCommands: 0 }),
    doorCookie: cost({}),
    doorBearer: cost({}),
    keySet: cost({}),
  },
  serverSigma: 0.4,
  hashMicros: 15_000,
  touch: { postgresMicros: 40, walBytes: 900, walBytesCompressed: 300, checkMicros: 5 },
  idle: { serverMicros: 5_000, postgresMicros: 1_000, redisMicros: 0 },
  missBuffers: 7,
  bytes: {
    ...{ sessionHeap: 300, sessionIndexes: 300, userHeap: 250, userIndexes: 100 },
    ...{ redisEntry: 1_000, redisTombstone: 250, redisCounter: 200, replicaResident: 3e8 },
  },
  connections: { postgres: 10, redis: 1 },
  steady: [],
};

const deployment = {
  ...{ replicas: 4, hashThreads: 1, poolSize: 10, redisShards: 2, postgresCores: 4 },
  ...{ flushMs: 1, logMbPerSecond: 100, networkMs: 0.3 },
};

const run = (wish: Partial<Wish> = {}) =>
  simulate({
    ...{ dailyUsers: 200_000, deployment, costs, traffic: TRAFFIC, seed: 1, scenario: 'healthy' },
    ...{ seconds: 30, k: 1, ...wish },
  });

const healthy = run();

test('visits follow the day of all regions together', async (t) => {
  let sum = 0;
  for (let hour = 0; hour < 24; hour += 0.1) sum += visitRateAt(hour, TRAFFIC) / 240;
  t.ok(Math.abs(sum - 1) < 0.001, 'the average of the day');
  const peak = peakOf(TRAFFIC);
  t.ok(peak.factor > 1.3 && peak.factor < 2 && peak.hour > 18 && peak.hour < 22, JSON.stringify(peak));
  const [users, hours] = [20_000, 24];
  const next = visitTimes(users, 0, TRAFFIC, createRandom(1));
  const found = new Array(hours).fill(0);
  for (let at = next(0); at < hours * 3_600_000; at += next(at)) found[Math.floor(at / 3_600_000)] += 1;
  for (const [hour, count] of found.entries()) {
    const expected = (users * TRAFFIC.visitsADay * visitRateAt(hour + 0.5, TRAFFIC)) / 24;
    t.ok(Math.abs(count / expected - 1) < 0.12, `hour ${hour}: ${count}, expected ${expected}`);
  }
});

test('users who come more often are drawn more often', async (t) => {
  const draw = userDraw(1_000, TRAFFIC, createRandom(1));
  const drawn = new Uint32Array(1_000);
  for (let at = 0; at < 200_000; at += 1) {
    const user = draw();
    drawn[user] = (drawn[user] ?? 0) + 1;
  }
  const [least = 0, middle = 0, most = 0] = [0, 500, 999].map((rank) => drawn.toSorted()[rank]);
  t.ok(most > 10 * middle && middle > 3 * least, `${least}, ${middle}, ${most}`);
});

test('an entry is fresh for a minute after it was read, stale until ten, and then gone', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 40 }), (pauses) => {
      const states = createSessionStates();
      let [now, readAt, seenAt] = [0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (const seconds of pauses) {
        now += seconds * 1000;
        const age = now - readAt;
        const found = age < 60_000 ? 'fresh' : age < 600_000 ? 'stale' : 'none';
        const isDue = now - seenAt >= 60_000;
        const lookUp = states.lookUp(7, now);
        t.same([lookUp.found, lookUp.isDue], [found, isDue]);
        t.ok(lookUp.note || !isDue, 'what is due is noted');
        if (found !== 'fresh') readAt = now;
        if (isDue) seenAt = now;
      }
    }),
  );
});

test('a sign-in fills the cache, a sign-out and the loss of Redis empty it', async (t) => {
  const states = createSessionStates();
  states.start(1, 0);
  t.match(states.lookUp(1, 30_000), { found: 'fresh', isDue: false });
  states.forgetEntries();
  t.match(states.lookUp(1, 40_000), { found: 'none', isDue: false });
  t.equal(states.entries(50_000), 1);
  t.match(states.lookUp(1, 50_000, false), { found: 'none' }, 'Redis is away');
  states.end(1);
  t.equal(states.entries(50_000), 0);
  t.equal(states.lookUp(1, 60_000).found, 'none');
});

test('a simulation is repeated by its seed, and another one is not the same', async (t) => {
  t.same(run(), healthy);
  t.notSame(run({ seed: 2 }), healthy);
});

test('what comes out agrees with what can be reckoned', async (t) => {
  const { lookUps, latency, requestsPerSecond } = healthy;
  t.ok(Math.abs(lookUps.fresh + lookUps.stale + lookUps.none - 1) < 1e-9);
  const tokens = (200_000 * TRAFFIC.visitsADay * TRAFFIC.routeChanges * peakOf(TRAFFIC).factor) / 86_400;
  const found = latency.mintHit?.perSecond ?? 0;
  t.ok(Math.abs(found / tokens - 1) < 0.15, `${found} tokens a second, reckoned ${tokens}`);
  const misses = 1 - lookUps.fresh;
  const looked = found + (latency.doorCookie?.perSecond ?? 0);
  const micros =
    looked * (200 + 100 * misses) +
    (latency.introspect?.perSecond ?? 0) * 500 +
    (latency.signIn?.perSecond ?? 0) * 1000 +
    (latency.signOut?.perSecond ?? 0) * 800;
  const loops = micros / 1e6 / deployment.replicas + costs.idle.serverMicros / 1e6;
  const { utilisation } = resourceOf(healthy, 'event loops');
  t.ok(Math.abs(utilisation / loops - 1) < 0.05, `loops ${utilisation}, reckoned ${loops}`);
  t.ok(requestsPerSecond > found);
  t.equal(healthy.latePercent, 0);
  t.throws(() => resourceOf(healthy, 'none'), /no resource none/);
});

test('twice the users keep everything twice as busy', async (t) => {
  const idle = { serverMicros: 0, postgresMicros: 0, redisMicros: 0 };
  const still = { ...costs, idle };
  const [one, two] = [run({ costs: still }), run({ costs: still, dailyUsers: 400_000 })];
  for (const name of ['event loops', 'Redis', "PostgreSQL's cores", "PostgreSQL's log, bytes"]) {
    const ratio = resourceOf(two, name).utilisation / resourceOf(one, name).utilisation;
    t.ok(Math.abs(ratio - 2) < 0.25, `${name}: ${ratio}`);
  }
});

test('a part of users and machines is as busy as the whole, and does not wait less', async (t) => {
  const crowd = { dailyUsers: 1_200_000, seconds: 20 };
  const large = { ...deployment, replicas: 16, redisShards: 4, postgresCores: 4 };
  const [whole, part] = [run({ ...crowd, deployment: large }), run({ ...crowd, deployment: large, k: 4 })];
  for (const name of ['event loops', 'Redis', "PostgreSQL's cores"]) {
    const [all, some] = [resourceOf(whole, name), resourceOf(part, name)];
    t.ok(
      Math.abs(some.utilisation / all.utilisation - 1) < 0.1,
      `${name}: ${some.utilisation}, ${all.utilisation}`,
    );
    t.ok(
      some.meanWaitMs >= all.meanWaitMs * 0.8,
      `${name} waits ${some.meanWaitMs} and ${all.meanWaitMs} ms`,
    );
  }
  const p99 = [whole, part].map(({ latency }) => latency.mintHit?.p99Ms ?? 0) as [number, number];
  t.ok(p99[1] > p99[0] * 0.9, `${p99}`);
});

test('the narrowest part is the busiest one, and is too late when it is too narrow', async (t) => {
  const narrow: [name: string, change: Partial<typeof deployment>][] = [
    ['event loops', { replicas: 1, hashThreads: 4 }],
    ["PostgreSQL's log, flushes", { flushMs: 200 }],
    ["PostgreSQL's log, bytes", { logMbPerSecond: 0.02 }],
  ];
  for (const [name, change] of narrow) {
    const { resources } = run({ deployment: { ...deployment, ...change } });
    const [busiest] = resources.toSorted((a, b) => b.utilisation - a.utilisation);
    t.equal(busiest?.name, name);
  }
  const slow = {
    ...costs.requests,
    mintHit: cost({ serverMicros: 20_000 }),
    mintMiss: cost({ serverMicros: 20_000, redisMicros: 20, redisCommands: 4 }),
  };
  const overrun = run({ costs: { ...costs, requests: slow }, deployment: { ...deployment, replicas: 1 } });
  t.ok(overrun.latePercent > 20, `${overrun.latePercent} of a hundred are late`);
});

test('the loss of a part moves its load to others', async (t) => {
  const still = { ...costs, idle: { serverMicros: 0, postgresMicros: 0, redisMicros: 0 } };
  const of = (scenario: Scenario, name: string) =>
    resourceOf(run({ scenario, costs: still }), name).utilisation;
  const loops = of('healthy', 'event loops');
  const lost = of('a replica is lost', 'event loops') / loops;
  t.ok(lost > 1.2 && lost < 1.45, `three of four replicas: ${lost}`);
  const cores = of('healthy', "PostgreSQL's cores");
  t.ok(of('Redis is emptied', "PostgreSQL's cores") > cores * 1.05);
  t.ok(of('Redis is away', "PostgreSQL's cores") > cores * 1.5);
  t.ok(of('Redis is away', 'Redis') < 0.001);
});

test('a plan has room: its machines are half busy at most, and less when it is small', async (t) => {
  const demand = demandOf(costs, TRAFFIC, 1);
  const plan = planFor(1_000_000, demand, costs, TRAFFIC);
  const outcome = run({ dailyUsers: 1_000_000, deployment: plan.deployment, seconds: 10, k: 1 });
  for (const { name, utilisation } of outcome.resources) t.ok(utilisation < 0.55, `${name}: ${utilisation}`);
  const alone = run({
    dailyUsers: 1_000_000,
    deployment: plan.deployment,
    seconds: 10,
    scenario: 'Redis is away',
  });
  t.ok(resourceOf(alone, "PostgreSQL's cores").utilisation < 0.85);
  t.equal(plan.tableBytes, 5_000_000 * 600 + 3_000_000 * 350);
  const small = planFor(1_000, demand, costs, TRAFFIC);
  t.match(small, { deployment: { replicas: 2, redisShards: 1, postgresCores: 2 }, pooledConnections: null });
  t.ok((planFor(100_000_000, demand, costs, TRAFFIC).pooledConnections ?? 0) >= 20);
});
