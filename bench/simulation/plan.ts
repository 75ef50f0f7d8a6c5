import type { Costs } from '../cost-table.ts';
import type { Deployment } from './machines.ts';
import { type Outcome, type Scenario, simulate } from './simulate.ts';
import type { Traffic } from './traffic.ts';

/** The busiest minute of one daily user, in a crowd of them: what it takes of each kind of machine. */
export type Demand = {
  requestsPerSecond: number;
  freshShare: number;
  /** Of one machine, fully busy. */
  loops: number;
  hashing: number;
  redis: number;
  postgresCores: number;
  /** While Redis is away, so that each look-up reads the row. */
  postgresCoresAlone: number;
  cacheEntries: number;
  signIns: number;
  signOuts: number;
  touches: number;
  logBytes: number;
};

/** What a number of daily users needs. Memory and disk are bytes. */
export type Plan = {
  dailyUsers: number;
  requestsPerSecond: number;
  deployment: Deployment;
  connections: number;
  /** PostgreSQL's own connections, if PgBouncer stands in front of it; null if it need not. */
  pooledConnections: number | null;
  rows: { users: number; sessions: number };
  tableBytes: number;
  diskBytes: number;
  memoryBytes: number;
  redisBytes: number;
  logBytesPerSecond: number;
};

/** How busy machines may be in the busiest minute. */
const MOST_BUSY = 0.5;
/** And PostgreSQL while Redis is away, and every look-up reads the row. */
const MOST_BUSY_ALONE = 0.8;
const HASH_THREADS = 1;
const POOL_SIZE = 10;
/** PostgreSQL's own default for `max_connections`, without those that it keeps for operators. */
const CONNECTIONS_WITHOUT_POOLER = 97;
/** Dead rows and half-empty pages that `vacuum` has not yet made use of, and two checkpoints of log. */
const DISK_FACTOR = 2;
/** Fragmentation, the limiters' counters, and a copy at a fork. */
const REDIS_FACTOR = 2;
const LEAST_REDIS_BYTES = 64e6;
const LEAST_MEMORY_BYTES = 1e9;
/** PostgreSQL keeps a gigabyte of its log, whatever the size of the tables: `max_wal_size`. */
const LEAST_DISK_BYTES = 2e9;

/** A network within one data centre, and disks as clouds have them. */
const ASSUMED = { flushMs: 1, logMbPerSecond: 250, networkMs: 0.3 };

/** In so small a crowd that one part of it can be simulated in a second, and so large that chance evens out. */
const SAMPLE = { dailyUsers: 200_000, seconds: 120 };

/** What one daily user takes, from the simulation of a crowd on machines that are never busy. */
export function demandOf(costs: Costs, traffic: Traffic, seed: number): Demand {
  const ample = { replicas: 20, hashThreads: 4, poolSize: 50, redisShards: 1, postgresCores: 64, ...ASSUMED };
  const run = (scenario: Scenario) =>
    simulate({ ...SAMPLE, deployment: ample, costs: withoutIdle(costs), traffic, seed, scenario, k: 1 });
  const [healthy, alone] = [run('healthy'), run('Redis is away')];
  const each = (value: number) => value / SAMPLE.dailyUsers;
  const busy = (outcome: Outcome, name: string) => {
    const { utilisation, servers } = resourceOf(outcome, name);
    return each(utilisation * servers);
  };
  return {
    requestsPerSecond: each(healthy.requestsPerSecond),
    freshShare: healthy.lookUps.fresh,
    loops: busy(healthy, 'event loops'),
    hashing: busy(healthy, 'hashing threads'),
    redis: busy(healthy, 'Redis'),
    postgresCores: busy(healthy, "PostgreSQL's cores"),
    postgresCoresAlone: busy(alone, "PostgreSQL's cores"),
    cacheEntries: each(healthy.cacheEntries),
    signIns: each(healthy.latency.signIn?.perSecond ?? 0),
    signOuts: each(healthy.latency.signOut?.perSecond ?? 0),
    touches: each(healthy.touchesPerSecond),
    logBytes: each(healthy.logBytesPerSecond),
  };
}

/** Idle replicas cost as much with one user as with a million, so they are counted apart. */
function withoutIdle(costs: Costs): Costs {
  return { ...costs, idle: { serverMicros: 0, postgresMicros: 0, redisMicros: 0 } };
}

/** @throws Error if the outcome has no such resource */
export function resourceOf(outcome: Outcome, name: string) {
  const found = outcome.resources.find((resource) => resource.name === name);
  if (found === undefined) throw new Error(`there is no resource ${name}`);
  return found;
}

/** What that many users need, with room for the loss of one replica, and of Redis. */
export function planFor(dailyUsers: number, demand: Demand, costs: Costs, traffic: Traffic): Plan {
  const replicas = replicasFor(dailyUsers, demand);
  const idle = (replicas * costs.idle.postgresMicros) / 1e6;
  const cores = Math.max(
    (dailyUsers * demand.postgresCores + idle) / MOST_BUSY,
    (dailyUsers * demand.postgresCoresAlone + idle) / MOST_BUSY_ALONE,
  );
  const deployment: Deployment = {
    replicas,
    hashThreads: HASH_THREADS,
    poolSize: POOL_SIZE,
    redisShards: Math.ceil((dailyUsers * demand.redis) / MOST_BUSY),
    postgresCores: Math.max(2, roundUp(cores)),
    ...ASSUMED,
  };
  const connections = replicas * POOL_SIZE;
  const isPooled = connections > CONNECTIONS_WITHOUT_POOLER;
  return {
    dailyUsers,
    requestsPerSecond: dailyUsers * demand.requestsPerSecond,
    deployment,
    connections,
    pooledConnections: isPooled ? Math.max(20, 4 * deployment.postgresCores) : null,
    ...storageFor(dailyUsers, demand, costs, traffic),
    logBytesPerSecond: dailyUsers * demand.logBytes,
  };
}

/** One more than are needed, and never fewer than two. */
function replicasFor(dailyUsers: number, { loops, hashing }: Demand): number {
  const needed = Math.max(
    (dailyUsers * loops) / MOST_BUSY,
    (dailyUsers * hashing) / (MOST_BUSY * HASH_THREADS),
  );
  return Math.max(2, Math.ceil(needed) + 1);
}

/** To what can be had: 2, 4, 8, 16 cores, and then whole sixteens. */
function roundUp(cores: number): number {
  if (cores > 16) return Math.ceil(cores / 16) * 16;
  return 2 ** Math.ceil(Math.log2(Math.max(1, cores)));
}

function storageFor(dailyUsers: number, demand: Demand, { bytes }: Costs, traffic: Traffic) {
  const rows = {
    users: dailyUsers * traffic.usersPerDailyUser,
    sessions: dailyUsers * traffic.sessionsPerDailyUser,
  };
  const tableBytes =
    rows.sessions * (bytes.sessionHeap + bytes.sessionIndexes) +
    rows.users * (bytes.userHeap + bytes.userIndexes);
  const held =
    dailyUsers *
    (demand.cacheEntries * bytes.redisEntry +
      demand.signOuts * 60 * bytes.redisTombstone +
      demand.signIns * 60 * bytes.redisCounter);
  return {
    rows,
    tableBytes,
    diskBytes: Math.max(LEAST_DISK_BYTES, tableBytes * DISK_FACTOR),
    // All of the tables: every visit after a pause reads rows that lie anywhere.
    memoryBytes: Math.max(LEAST_MEMORY_BYTES, tableBytes * 1.25),
    redisBytes: Math.max(LEAST_REDIS_BYTES, held * REDIS_FACTOR),
  };
}
