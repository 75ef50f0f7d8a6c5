import fc from 'fast-check';
import { type Test, test } from 'tap';
import { createRandom, type Draw } from '../../bench/random.ts';
import { createFlusher, createStation } from '../../bench/simulation/station.ts';
import { createTimeline } from '../../bench/simulation/timeline.ts';

const JOBS = 200_000;

type Measured = {
  meanWaitMs: number;
  utilisation: number;
  meanInSystem: number;
  meanTimeMs: number;
  perMs: number;
};

/** Sends jobs to one station, open: they come whether or not earlier ones are done. */
function runQueue(servers: number, between: Draw, service: Draw): Measured {
  const timeline = createTimeline();
  const station = createStation(timeline, servers);
  let [come, gone, timeMs, areaMs, countedAt] = [0, 0, 0, 0, 0];
  const count = () => {
    areaMs += (come - gone) * (timeline.now() - countedAt);
    countedAt = timeline.now();
  };
  const arrive = () => {
    const at = timeline.now();
    count();
    come += 1;
    if (come < JOBS) timeline.after(between(), arrive);
    station.serve(service(), () => {
      count();
      gone += 1;
      timeMs += timeline.now() - at;
    });
  };
  timeline.after(between(), arrive);
  timeline.runUntil(Number.MAX_SAFE_INTEGER);
  const { meanWaitMs } = station.figures();
  const lastMs = countedAt;
  return {
    meanWaitMs,
    utilisation: (station.figures().utilisation * timeline.now()) / lastMs,
    meanInSystem: areaMs / lastMs,
    meanTimeMs: timeMs / gone,
    perMs: gone / lastMs,
  };
}

/** Erlang C: the probability that a job waits, with `servers` of them and that many busy on the average. */
function erlangC(servers: number, busy: number): number {
  let term = 1;
  let sum = 1;
  for (let n = 1; n < servers; n += 1) {
    term *= busy / n;
    sum += term;
  }
  const last = ((term * busy) / servers) * (servers / (servers - busy));
  return last / (sum + last);
}

function near(t: Test, found: number, expected: number, tolerance: number, what: string): void {
  t.ok(Math.abs(found / expected - 1) < tolerance, `${what}: ${found}, by theory ${expected}`);
}

test('one server and exponential times wait as M/M/1 does', async (t) => {
  for (const load of [0.5, 0.8]) {
    const random = createRandom(7);
    const found = runQueue(1, random.exponential(1 / load), random.exponential(1));
    near(t, found.utilisation, load, 0.02, 'utilisation');
    near(t, found.meanWaitMs, load / (1 - load), 0.06, `wait at ${load}`);
  }
});

test('times that are all the same halve the wait, as in M/D/1', async (t) => {
  const found = runQueue(1, createRandom(7).exponential(1 / 0.8), () => 1);
  near(t, found.meanWaitMs, 0.8 / (2 * (1 - 0.8)), 0.06, 'wait');
});

test('log-normal times wait as Pollaczek and Khinchine say for M/G/1', async (t) => {
  const [load, sigma] = [0.7, 0.8];
  const random = createRandom(11);
  const found = runQueue(1, random.exponential(1 / load), random.logNormal(1, sigma));
  // The mean of the squares of log-normal times with mean 1 is e to the square of sigma.
  near(t, found.meanWaitMs, (load * Math.exp(sigma ** 2)) / (2 * (1 - load)), 0.08, 'wait');
});

test('several servers wait as M/M/c does', async (t) => {
  for (const [servers, load] of [
    [4, 0.8],
    [16, 0.9],
  ] as const) {
    const random = createRandom(7);
    const found = runQueue(servers, random.exponential(1 / (load * servers)), random.exponential(1));
    const expected = erlangC(servers, load * servers) / (servers * (1 - load));
    near(t, found.utilisation, load, 0.02, 'utilisation');
    near(t, found.meanWaitMs, expected, 0.1, `wait of ${servers}`);
  }
});

test("as many are in the system as come in the time that each stays: Little's law", async (t) => {
  for (const servers of [1, 3]) {
    const random = createRandom(3);
    const found = runQueue(servers, random.exponential(1 / (0.85 * servers)), random.logNormal(1, 0.5));
    near(t, found.meanInSystem, found.perMs * found.meanTimeMs, 1e-6, 'in the system');
  }
});

test('events happen in the order of their times, and those of one time as they were planned', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { maxLength: 200 }), (delays) => {
      const timeline = createTimeline();
      const happened: [at: number, index: number][] = [];
      for (const [index, delay] of delays.entries())
        timeline.after(delay, () => happened.push([timeline.now(), index]));
      timeline.runUntil(20);
      const expected = delays
        .map((delay, index): [number, number] => [delay, index])
        .sort(([a, i], [b, j]) => a - b || i - j);
      t.same(happened, expected);
    }),
  );
});

test('the timeline stops where it should, goes on later, and plans nothing in the past', async (t) => {
  const timeline = createTimeline();
  const happened: number[] = [];
  for (const delay of [1, 2, 3]) timeline.after(delay, () => happened.push(delay));
  timeline.runUntil(2);
  t.same([happened, timeline.now()], [[1, 2], 2]);
  timeline.runUntil(10);
  t.same([happened, timeline.now()], [[1, 2, 3], 10]);
  for (const delay of [-1, Number.NaN]) t.throws(() => timeline.after(delay, () => {}), RangeError);
});

test('jobs of a station are done in the order in which they came', async (t) => {
  const timeline = createTimeline();
  const station = createStation(timeline, 1);
  const done: number[] = [];
  for (let job = 0; job < 5_000; job += 1) station.serve(1, () => done.push(job));
  t.equal(station.figures().longestQueue, 4_999);
  timeline.runUntil(5_000);
  t.same(done, [...done.keys()]);
  t.match(station.figures(), { jobs: 5_000, utilisation: 1, meanWaitMs: 4_999 / 2 });
  station.clear();
  timeline.runUntil(6_000);
  t.match(station.figures(), { jobs: 0, utilisation: 0, meanWaitMs: 0, longestQueue: 0 });
});

test('a flush takes along all commits that came during the one before it', async (t) => {
  const timeline = createTimeline();
  const log = createFlusher(timeline, 10);
  const done: [number, number][] = [];
  for (const at of [0, 1, 5, 9, 10.5, 40])
    timeline.after(at, () => log.flush(() => done.push([at, timeline.now()])));
  timeline.runUntil(100);
  t.same(done, [
    [0, 10],
    [1, 20],
    [5, 20],
    [9, 20],
    [10.5, 30],
    [40, 50],
  ]);
  t.match(log.figures(), { jobs: 4, utilisation: 0.4 });
});

test('distributions have the means that were asked for, and a seed repeats them', async (t) => {
  const random = createRandom(5);
  const mean = (draw: Draw) => {
    let sum = 0;
    for (let at = 0; at < 200_000; at += 1) sum += draw();
    return sum / 200_000;
  };
  near(t, mean(random.uniform), 0.5, 0.01, 'uniform');
  near(t, mean(random.exponential(3)), 3, 0.02, 'exponential');
  near(t, mean(random.geometric(10)), 10, 0.02, 'geometric');
  near(t, mean(random.logNormal(30, 1.1)), 30, 0.03, 'log-normal');
  t.equal(random.logNormal(4, 0)(), 4);
  const first = (seed: number) => Array.from({ length: 5 }, createRandom(seed).uniform);
  t.same(first(1), first(1));
  t.notSame(first(1), first(2));
});
