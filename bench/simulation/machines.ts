import { FLUSH_EVERY_MS, SEEN_AT_ONCE } from '../../src/sessions/last-seen.ts';
import type { Costs } from '../cost-table.ts';
import type { Random } from '../random.ts';
import { createFlusher, createStation, type Station, type StationFigures } from './station.ts';
import type { Timeline } from './timeline.ts';

/** What the requests run on. */
export type Deployment = {
  replicas: number;
  /** Passwords that one replica hashes at the same time, beside its event loop: PASSWORD_HASH_THREADS. */
  hashThreads: number;
  /** DATABASE_POOL_SIZE. */
  poolSize: number;
  redisShards: number;
  postgresCores: number;
  /** PostgreSQL's time for one write of its log that must last, and what the disk takes in a second. */
  flushMs: number;
  logMbPerSecond: number;
  /** There and back, to Redis or to PostgreSQL. */
  networkMs: number;
};

/** A resource of all machines of a kind, and how busy it was. */
export type ResourceFigures = StationFigures & { name: string; servers: number };

/** A step of a request: does something that takes time, and then goes on. */
export type Step = (then: () => void) => void;

export type Machines = ReturnType<typeof createMachines>;
export type Replica = {
  loop: Station;
  hashing: Station;
  pool: Station;
  /** Uses of sessions that are not written yet: whether each changes its row. */
  seen: boolean[];
};

type Hardware = ReturnType<typeof createHardware>;

/**
 * The stations of a deployment, for one part of its traffic in `k`.
 *
 * Where requests are dealt out at random, to replicas or by key to shards, one machine of `n` sees the same traffic with `n / k`
 * machines and a k-th of the requests: that is exact. Of what all share (PostgreSQL's cores, its log) only a k-th is simulated, too, so
 * that it is as busy; a small pool of servers has longer queues than a large one as busy, so waits come out too long, never too
 * short. What cannot be divided, such as a core when there are fewer than k, gets slower instead.
 */
export function createMachines(
  timeline: Timeline,
  deployment: Deployment,
  costs: Costs,
  random: Random,
  k: number,
) {
  const hardware = createHardware(timeline, deployment, k);
  const { replicas, shards, cores, log, written } = hardware;
  const steps = createSteps(timeline, deployment, costs, random, hardware);

  return {
    replicas,
    ...steps,
    startBackground: () => startBackground(timeline, costs, random, hardware, steps),
    clear(): void {
      for (const { loop, hashing, pool } of replicas) for (const one of [loop, hashing, pool]) one.clear();
      for (const one of [...shards, cores, log]) one.clear();
      Object.assign(written, { bytes: 0, commits: 0, since: timeline.now() });
    },
    figures: () => figuresOf(timeline, deployment, hardware, k),
    /** Transactions that must last, and bytes of the log, in a second, of the whole traffic. */
    rates() {
      const seconds = (timeline.now() - written.since) / 1000;
      return { logBytes: (written.bytes * k) / seconds, commits: (written.commits * k) / seconds };
    },
  };
}

function createHardware(timeline: Timeline, deployment: Deployment, k: number) {
  const part = (servers: number) => {
    const simulated = Math.max(1, Math.round(servers / k));
    return { servers: simulated, slower: (simulated * k) / servers };
  };
  const [replicaPart, shardPart] = [part(deployment.replicas), part(deployment.redisShards)];
  const [corePart, flushPart] = [part(deployment.postgresCores), part(1)];
  const stations = (count: number, servers: number) =>
    Array.from({ length: count }, () => createStation(timeline, servers));
  const createReplica = (): Replica => ({
    loop: createStation(timeline, 1),
    hashing: createStation(timeline, deployment.hashThreads),
    pool: createStation(timeline, deployment.poolSize),
    seen: [],
  });
  return {
    replicas: Array.from({ length: replicaPart.servers }, createReplica),
    shards: stations(shardPart.servers, 1),
    cores: createStation(timeline, corePart.servers),
    log: createFlusher(timeline, deployment.flushMs * flushPart.slower),
    written: { bytes: 0, commits: 0, since: 0 },
    slower: { replica: replicaPart.slower, shard: shardPart.slower, core: corePart.slower },
  };
}

type Steps = ReturnType<typeof createSteps>;

function createSteps(
  timeline: Timeline,
  { networkMs }: Deployment,
  costs: Costs,
  random: Random,
  { shards, cores, log, written, slower }: Hardware,
) {
  const spread = random.logNormal(1, costs.serverSigma);
  return {
    /** Some of the event loop's time. */
    loop:
      (replica: Replica, micros: number): Step =>
      (then) =>
        replica.loop.serve((micros / 1000) * slower.replica * spread(), then),
    hash:
      (replica: Replica): Step =>
      (then) =>
        replica.hashing.serve((costs.hashMicros / 1000) * slower.replica, then),
    /** Commands to the shard of a key, one after the other. */
    redis:
      (key: number, commands: number, micros: number): Step =>
      (then) => {
        if (commands === 0) return void then();
        // Fibonacci hashing: keys that follow one another go to different shards.
        const shard = shards[(Math.imul(key, 0x9e37_79b1) >>> 16) % shards.length] as Station;
        timeline.after(networkMs * commands, () =>
          shard.serve((micros / 1000) * slower.shard * spread(), then),
        );
      },
    /**
     * Statements on a connection of the replica's pool, which is kept from the first to the last.
     * @param roundTrips statements that wait for one another
     * @param logBytes 0 if nothing is written, and nothing must last
     */
    postgres:
      (replica: Replica, micros: number, roundTrips: number, logBytes = 0): Step =>
      (then) => {
        const done = () => {
          replica.pool.release();
          then();
        };
        const commit = () => {
          if (logBytes === 0) return void done();
          written.bytes += logBytes;
          written.commits += 1;
          log.flush(done);
        };
        const run = () => cores.serve((micros / 1000) * slower.core * spread(), commit);
        replica.pool.acquire(() => timeline.after(networkMs * roundTrips, run));
      },
  };
}

/** From now on replicas do what they do without requests: look around, and write which sessions were used. */
function startBackground(
  timeline: Timeline,
  { idle, touch }: Costs,
  random: Random,
  { replicas, cores, slower }: Hardware,
  { postgres }: Steps,
): void {
  for (const replica of replicas) {
    repeat(random.uniform() * 1000, 1000, () => {
      replica.loop.serve((idle.serverMicros / 1000) * slower.replica, () => {});
      cores.serve((idle.postgresMicros / 1000) * slower.replica * slower.core, () => {});
    });
    repeat(random.uniform() * FLUSH_EVERY_MS, FLUSH_EVERY_MS, () => writeSeen(replica));
  }

  function repeat(firstMs: number, everyMs: number, run: () => void): void {
    timeline.after(firstMs, () => {
      run();
      repeat(everyMs, everyMs, run);
    });
  }

  /** One batch after the other, as `last-seen.ts` does. */
  function writeSeen(replica: Replica): void {
    const batch = replica.seen.splice(0, SEEN_AT_ONCE);
    if (batch.length === 0) return;
    const due = batch.filter(Boolean).length;
    const micros = due * touch.postgresMicros + (batch.length - due) * touch.checkMicros;
    postgres(replica, micros, 1, due * touch.walBytes)(() => writeSeen(replica));
  }
}

/** Of all machines, in the order of a request's way. */
function figuresOf(
  timeline: Timeline,
  deployment: Deployment,
  { replicas, shards, cores, log, written }: Hardware,
  k: number,
): ResourceFigures[] {
  const { hashThreads, poolSize, postgresCores, redisShards, logMbPerSecond } = deployment;
  const of = (pick: (replica: Replica) => Station) => mean(replicas.map((one) => pick(one).figures()));
  const bytesPerSecond = (written.bytes * k * 1000) / (timeline.now() - written.since);
  const logBytes = { ...log.figures(), utilisation: bytesPerSecond / (logMbPerSecond * 1e6) };
  return [
    { name: 'event loops', servers: deployment.replicas, ...of(({ loop }) => loop) },
    { name: 'hashing threads', servers: deployment.replicas * hashThreads, ...of((one) => one.hashing) },
    { name: 'Redis', servers: redisShards, ...mean(shards.map((one) => one.figures())) },
    { name: 'database connections', servers: deployment.replicas * poolSize, ...of(({ pool }) => pool) },
    { name: "PostgreSQL's cores", servers: postgresCores, ...cores.figures() },
    { name: "PostgreSQL's log, flushes", servers: 1, ...log.figures() },
    { name: "PostgreSQL's log, bytes", servers: 1, ...logBytes },
  ];
}

/** Of machines that do the same. */
function mean(all: StationFigures[]): StationFigures {
  const average = (of: (one: StationFigures) => number) =>
    all.reduce((sum, one) => sum + of(one), 0) / Math.max(1, all.length);
  return {
    utilisation: average(({ utilisation }) => utilisation),
    jobs: all.reduce((sum, { jobs }) => sum + jobs, 0),
    meanWaitMs: average(({ meanWaitMs }) => meanWaitMs),
    longestQueue: Math.max(0, ...all.map(({ longestQueue }) => longestQueue)),
  };
}
