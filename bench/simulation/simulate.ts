import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { Costs, RequestKind } from '../cost-table.ts';
import { createRandom, type Random } from '../random.ts';
import {
  createMachines,
  type Deployment,
  type Machines,
  type Replica,
  type ResourceFigures,
  type Step,
} from './machines.ts';
import { createSessionStates, type LookUp } from './session-states.ts';
import { createTimeline } from './timeline.ts';
import { peakOf, type Traffic, userDraw, visitTimes } from './traffic.ts';

/** What is the matter in the measured time. */
export type Scenario = 'healthy' | 'a replica is lost' | 'Redis is emptied' | 'Redis is away';

export type Wish = {
  dailyUsers: number;
  deployment: Deployment;
  costs: Costs;
  traffic: Traffic;
  seed: number;
  scenario: Scenario;
  /** Measured, in the busiest hour. */
  seconds: number;
  /** One part in `k` of the users, on as large a part of the machines; see `createMachines`. */
  k: number;
};

export type Outcome = {
  requestsPerSecond: number;
  /** Shares of the look-ups of sessions, by what the cache had. */
  lookUps: { fresh: number; stale: number; none: number };
  resources: ResourceFigures[];
  latency: Partial<Record<RequestKind, { perSecond: number; p50Ms: number; p99Ms: number }>>;
  /** Requests without an answer after two seconds, in a hundred. */
  latePercent: number;
  /** Sessions that Redis holds a copy of. */
  cacheEntries: number;
  /** Sessions that are written as used, transactions that must last, and bytes of PostgreSQL's log, in a second. */
  touchesPerSecond: number;
  commitsPerSecond: number;
  logBytesPerSecond: number;
};

/** Before what is measured: as long as the cache keeps an entry, and a visit lasts. Only the state of the cache is simulated then. */
const WARM_UP_MS = 15 * 60_000;
/** At the beginning of the measured time, until queues are as long as they usually are. */
const SETTLE_MS = 3_000;
const LATE_MS = 2_000;
/** Statements of a sign-in after the password was checked, and of a sign-out, one after the other. */
const ROUND_TRIPS = { signIn: 5, signOut: 5 };
/** More than devices of one user. */
const DEVICES = 16;

/** Simulates the busiest minute of a day, event by event. The same wish has the same outcome. */
export function simulate(wish: Wish): Outcome {
  const { traffic, costs, seed, scenario, seconds, k } = wish;
  const lost = scenario === 'a replica is lost' ? 1 : 0;
  const deployment = { ...wish.deployment, replicas: wish.deployment.replicas - lost };
  const random = createRandom(seed);
  const timeline = createTimeline();
  const machines = createMachines(timeline, deployment, costs, random, k);
  const tally = createTally();
  const world = { wish, random, timeline, machines, tally, states: createSessionStates(), isMeasured: false };
  const users = Math.max(1, Math.round(wish.dailyUsers / k));
  startVisits(world, users, peakOf(traffic).hour - WARM_UP_MS / 3_600_000);
  timeline.runUntil(WARM_UP_MS);
  if (scenario === 'Redis is emptied') world.states.forgetEntries();
  world.isMeasured = true;
  machines.startBackground();
  timeline.runUntil(WARM_UP_MS + SETTLE_MS);
  machines.clear();
  tally.clear();
  timeline.runUntil(WARM_UP_MS + SETTLE_MS + seconds * 1000);
  return outcomeOf(world);
}

type World = {
  wish: Wish;
  random: Random;
  timeline: ReturnType<typeof createTimeline>;
  machines: Machines;
  tally: ReturnType<typeof createTally>;
  states: ReturnType<typeof createSessionStates>;
  isMeasured: boolean;
};

function startVisits(world: World, users: number, startHour: number): void {
  const { wish, random, timeline } = world;
  const { traffic } = wish;
  const untilNext = visitTimes(users, startHour, traffic, random);
  const user = userDraw(users, traffic, random);
  const [device, pages] = [random.geometric(traffic.devices), random.geometric(traffic.routeChanges)];
  const pause = random.logNormal(traffic.secondsBetween * 1000, traffic.secondsBetweenSigma);
  visitLater();

  function visitLater(): void {
    timeline.after(untilNext(timeline.now()), () => {
      visitLater();
      visit(user() * DEVICES + Math.min(device(), DEVICES));
    });
  }

  function visit(session: number): void {
    if (random.uniform() < traffic.signIns) signIn(world, session);
    turnPage(session, pages());
  }

  function turnPage(session: number, left: number): void {
    mint(world, session);
    besides(world, session);
    if (left > 1) timeline.after(pause(), () => turnPage(session, left - 1));
    else if (random.uniform() < traffic.signOuts) timeline.after(pause(), () => signOut(world, session));
  }
}

/** What services ask meanwhile. */
function besides(world: World, session: number): void {
  const { random, wish } = world;
  if (random.uniform() < wish.traffic.introspections) introspect(world, session);
  if (random.uniform() < wish.traffic.forwardAuths) guard(world, session);
}

function mint(world: World, session: number): void {
  lookUpFor(world, 'mintHit', session, world.wish.costs.requests.mintHit.serverMicros);
}

/** A gateway asks about a request with the cookie. */
function guard(world: World, session: number): void {
  lookUpFor(world, 'doorCookie', session, world.wish.costs.requests.doorCookie.serverMicros);
}

/** A request that looks up a session. @param micros of the event loop, if the cache knows the session */
function lookUpFor(world: World, kind: RequestKind, session: number, micros: number): void {
  const { wish, states, timeline, tally } = world;
  const { mintHit, mintMiss } = wish.costs.requests;
  const isReachable = wish.scenario !== 'Redis is away' || !world.isMeasured;
  const lookUp = states.lookUp(session, timeline.now(), isReachable);
  if (!world.isMeasured) return;
  tally.lookUp(lookUp);
  const more = lookUp.found === 'fresh' ? 0 : mintMiss.serverMicros - mintHit.serverMicros;
  send(world, kind, (replica, { loop }) => [
    loop(replica, (micros + more) / 2),
    ...readSession(world, replica, session, lookUp, isReachable),
    loop(replica, (micros + more) / 2),
  ]);
}

function readSession(
  { machines, wish }: World,
  replica: Replica,
  session: number,
  { found, note, isDue }: LookUp,
  isReachable: boolean,
): Step[] {
  const { mintHit, mintMiss } = wish.costs.requests;
  const perCommand = mintMiss.redisMicros / mintMiss.redisCommands;
  if (note) replica.seen.push(isDue);
  const row = machines.postgres(replica, mintMiss.postgresMicros, 1);
  if (!isReachable) return [row];
  if (found === 'fresh') return [machines.redis(session, 1, mintHit.redisMicros)];
  // An empty key takes a lease first.
  const before = found === 'none' ? 2 : 1;
  return [
    machines.redis(session, before, before * perCommand),
    row,
    machines.redis(session, 1, mintMiss.redisMicros - 2 * perCommand),
  ];
}

function introspect(world: World, session: number): void {
  const { serverMicros, postgresMicros, redisMicros, redisCommands } = world.wish.costs.requests.introspect;
  if (!world.isMeasured) return;
  send(world, 'introspect', (replica, { loop, redis, postgres }) => [
    loop(replica, serverMicros / 2),
    redis(session, Math.round(redisCommands), redisMicros),
    postgres(replica, postgresMicros, 1),
    loop(replica, serverMicros / 2),
  ]);
}

function signIn(world: World, session: number): void {
  const { states, timeline, wish } = world;
  const { signIn, mintMiss } = wish.costs.requests;
  states.start(session, timeline.now());
  if (!world.isMeasured) return;
  const find = mintMiss.postgresMicros;
  const write = Math.max(0, signIn.postgresMicros - find);
  send(world, 'signIn', (replica, { loop, hash, redis, postgres }) => [
    loop(replica, signIn.serverMicros / 2),
    redis(session, 1, signIn.redisMicros / signIn.redisCommands),
    postgres(replica, find, 1),
    hash(replica),
    postgres(replica, write, ROUND_TRIPS.signIn, signIn.walBytes),
    redis(session, 2, signIn.redisMicros * (1 - 1 / signIn.redisCommands)),
    loop(replica, signIn.serverMicros / 2),
  ]);
}

function signOut(world: World, session: number): void {
  const { serverMicros, postgresMicros, redisMicros, redisCommands, walBytes } =
    world.wish.costs.requests.signOut;
  world.states.end(session);
  if (!world.isMeasured) return;
  send(world, 'signOut', (replica, { loop, redis, postgres }) => [
    loop(replica, serverMicros / 2),
    postgres(replica, postgresMicros, ROUND_TRIPS.signOut, walBytes),
    redis(session, Math.round(redisCommands), redisMicros),
    loop(replica, serverMicros / 2),
  ]);
}

/** Sends a request to any replica, and counts it when it is answered. */
function send(world: World, kind: RequestKind, way: (replica: Replica, machines: Machines) => Step[]): void {
  const { machines, random, timeline, tally } = world;
  const replica = machines.replicas[Math.floor(random.uniform() * machines.replicas.length)] as Replica;
  const sent = { kind, at: timeline.now() };
  tally.sent(sent);
  follow(way(replica, machines), 0, () => tally.answered(sent, timeline.now()));
}

function follow(steps: Step[], at: number, done: () => void): void {
  const step = steps[at];
  if (step === undefined) done();
  else step(() => follow(steps, at + 1, done));
}

type Sent = { kind: RequestKind; at: number };

function createTally() {
  const pending = new Set<Sent>();
  let latencies = new Map<RequestKind, RecordableHistogram>();
  let found = { fresh: 0, stale: 0, none: 0 };
  let counts = { sent: 0, late: 0, touches: 0 };

  return {
    lookUp(lookUp: LookUp): void {
      found[lookUp.found] += 1;
      if (lookUp.isDue) counts.touches += 1;
    },
    sent(sent: Sent): void {
      counts.sent += 1;
      pending.add(sent);
    },
    answered(sent: Sent, now: number): void {
      pending.delete(sent);
      const times = latencies.get(sent.kind) ?? createHistogram({ figures: 3 });
      latencies.set(sent.kind, times);
      times.record(Math.max(1, Math.round((now - sent.at) * 1000)));
      if (now - sent.at > LATE_MS) counts.late += 1;
    },
    clear(): void {
      latencies = new Map();
      found = { fresh: 0, stale: 0, none: 0 };
      counts = { sent: 0, late: 0, touches: 0 };
    },
    figures(now: number) {
      const waiting = [...pending].filter(({ at }) => now - at > LATE_MS).length;
      return { latencies, found, ...counts, late: counts.late + waiting };
    },
  };
}

function outcomeOf({ wish, machines, tally, states, timeline }: World): Outcome {
  const { latencies, found, sent, late, touches } = tally.figures(timeline.now());
  const perSecond = (count: number) => (count * wish.k) / wish.seconds;
  const looked = Math.max(1, found.fresh + found.stale + found.none);
  const latency = [...latencies].map(([kind, times]) => [
    kind,
    {
      perSecond: perSecond(times.count),
      p50Ms: times.percentile(50) / 1000,
      p99Ms: times.percentile(99) / 1000,
    },
  ]);
  const { logBytes, commits } = machines.rates();
  return {
    requestsPerSecond: perSecond(sent),
    lookUps: { fresh: found.fresh / looked, stale: found.stale / looked, none: found.none / looked },
    resources: machines.figures(),
    latency: Object.fromEntries(latency),
    latePercent: (100 * late) / Math.max(1, sent),
    cacheEntries: states.entries(timeline.now()) * wish.k,
    touchesPerSecond: perSecond(touches),
    commitsPerSecond: commits,
    logBytesPerSecond: logBytes,
  };
}
