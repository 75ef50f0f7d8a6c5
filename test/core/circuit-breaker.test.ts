import { mock } from 'node:test';
import { type Test, test } from 'tap';
import {
  type CircuitBreaker,
  CircuitOpenError,
  createCircuitBreaker,
} from '../../src/core/circuit-breaker.ts';

const PROBE_EVERY_MS = 1_000;

class NoAnswer extends Error {}

/** A breaker that opens at three failures, for a dependency whose probes the test answers. */
function setUp(t: Test) {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const probes: PromiseWithResolvers<void>[] = [];
  const changes: boolean[] = [];
  const breaker = createCircuitBreaker({
    part: 'redis',
    threshold: 3,
    isFailure: (error) => error instanceof NoAnswer,
    probe: () => {
      const probe = Promise.withResolvers<void>();
      probes.push(probe);
      return probe.promise;
    },
    probeEveryMs: PROBE_EVERY_MS,
    onChange: (isOpen) => void changes.push(isOpen),
  });
  return { breaker, probes, changes };
}

async function fail(breaker: CircuitBreaker, error: Error = new NoAnswer()): Promise<unknown> {
  return breaker.run(() => Promise.reject(error)).catch((cause: unknown) => cause);
}

async function open(breaker: CircuitBreaker): Promise<void> {
  for (const _ of [1, 2, 3]) await fail(breaker);
}

/** Lets everything happen that waits for nothing but a promise. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('passes on answers and errors as they are', async (t) => {
  const { breaker } = setUp(t);
  t.equal(await breaker.run(async () => 'answer'), 'answer');
  const error = new NoAnswer();
  t.equal(await fail(breaker, error), error);
});

test('opens at the threshold, and then refuses at once without asking', async (t) => {
  const { breaker, changes } = setUp(t);
  for (const _ of [1, 2]) await fail(breaker);
  t.equal(breaker.isOpen(), false);
  t.same(changes, []);
  t.type(await fail(breaker), NoAnswer, 'the one that opens it has been asked');
  t.equal(breaker.isOpen(), true);
  let asked = false;
  const refused = breaker.run(async () => {
    asked = true;
  });
  await t.rejects(refused, { name: 'CircuitOpenError' });
  t.type(await fail(breaker), CircuitOpenError);
  t.equal(asked, false);
  t.same(changes, [true]);
});

test('counts only failures in a row', async (t) => {
  const { breaker } = setUp(t);
  for (const _ of [1, 2, 3]) {
    for (const _ of [1, 2]) await fail(breaker);
    await breaker.run(async () => {});
  }
  t.equal(breaker.isOpen(), false);
});

test('an error that is an answer neither counts nor opens', async (t) => {
  const { breaker, probes } = setUp(t);
  for (const _ of [1, 2, 3, 4]) await fail(breaker, new RangeError('no'));
  t.equal(breaker.isOpen(), false);
  t.same(probes, []);
});

test('calls under way that fail when it is open already open it no further', async (t) => {
  const { breaker, probes, changes } = setUp(t);
  const answers = Array.from({ length: 9 }, () => Promise.withResolvers<void>());
  const calls = answers.map(({ promise }) => breaker.run(() => promise));
  for (const { reject } of answers) reject(new NoAnswer());
  t.match(await Promise.allSettled(calls), Array(9).fill({ status: 'rejected' }));
  t.same([probes.length, changes], [1, [true]]);
});

test('probes at once when it opens, and closes when that is answered', async (t) => {
  const { breaker, probes, changes } = setUp(t);
  await open(breaker);
  t.equal(probes.length, 1);
  t.equal(breaker.isOpen(), true, 'until the probe is answered');
  probes[0]?.resolve();
  await settle();
  t.equal(breaker.isOpen(), false);
  t.equal(await breaker.run(async () => 'answer'), 'answer');
  t.same(changes, [true, false]);
});

test('probes again and again, after a pause, off the path of calls', async (t) => {
  const { breaker, probes, changes } = setUp(t);
  await open(breaker);
  for (const round of [1, 2, 3]) {
    t.equal(probes.length, round);
    mock.timers.tick(2 * PROBE_EVERY_MS);
    t.equal(probes.length, round, 'one at a time, however long it takes');
    probes.at(-1)?.reject(new NoAnswer());
    await Promise.allSettled(probes.map(({ promise }) => promise));
    mock.timers.tick(PROBE_EVERY_MS - 1);
    t.type(await fail(breaker), CircuitOpenError);
    t.equal(probes.length, round, 'no call makes it probe');
    mock.timers.tick(1);
  }
  probes.at(-1)?.resolve();
  await Promise.allSettled(probes.map(({ promise }) => promise));
  t.equal(breaker.isOpen(), false);
  t.same(changes, [true, false]);
});

test('a closed breaker probes no more, whatever was under way and whatever fails yet', async (t) => {
  const { breaker, probes, changes } = setUp(t);
  await open(breaker);
  breaker.close();
  t.equal(breaker.isOpen(), false);
  probes[0]?.reject(new NoAnswer());
  await settle();
  mock.timers.tick(10 * PROBE_EVERY_MS);
  await open(breaker);
  t.type(await fail(breaker), NoAnswer, 'calls are passed on');
  t.equal(probes.length, 1);
  t.same(changes, [true]);
});

test('closing it takes back a probe that is due, and does not care for one that is answered', async (t) => {
  for (const outcome of ['reject', 'resolve'] as const) {
    const { breaker, probes, changes } = setUp(t);
    await open(breaker);
    probes[0]?.reject(new NoAnswer());
    await settle();
    if (outcome === 'resolve') mock.timers.tick(PROBE_EVERY_MS);
    breaker.close();
    probes[1]?.resolve();
    await settle();
    mock.timers.tick(10 * PROBE_EVERY_MS);
    t.equal(probes.length, outcome === 'resolve' ? 2 : 1);
    t.same(changes, [true]);
    mock.timers.reset();
  }
});
