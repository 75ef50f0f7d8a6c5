import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { test } from 'tap';
import { createMissLimit } from '../../src/cache/miss-limit.ts';

const MINUTE_MS = 60_000;
const PER_MINUTE = 300;
const [one, other] = ['192.0.2.1', '2001:db8::1'];
const tooMany = { code: 'rate_limited', retryAfterSeconds: 60 };

function setUp() {
  const clock = { nowMs: 0 };
  const missLimit = createMissLimit(() => clock.nowMs);
  const miss = (network = one) => missLimit.run(network, async () => null);
  const missTimes = async (times: number) => {
    for (let time = 0; time < times; time += 1) await miss();
  };
  return { clock, missLimit, miss, missTimes };
}

/** Look-ups that end when the test says so, in the order in which they were started. */
function setUpHeld() {
  const started: PromiseWithResolvers<'found' | null>[] = [];
  const { missLimit, ...rest } = setUp();
  const start = (times: number) =>
    Array.from({ length: times }, () =>
      missLimit.run(one, () => {
        const lookUp = Promise.withResolvers<'found' | null>();
        started.push(lookUp);
        return lookUp.promise;
      }),
    );
  const end = async (from: number, to: number, outcome: 'found' | null) => {
    for (const { resolve } of started.slice(from, to)) resolve(outcome);
    await nextTurn();
  };
  return { ...rest, missLimit, started, start, end };
}

test('a client may ask for 300 unknown tokens a minute', async (t) => {
  const { miss, missTimes, missLimit } = setUp();
  await missTimes(PER_MINUTE);
  await t.rejects(miss(), tooMany);
  await t.rejects(
    missLimit.run(one, async () => t.fail('it looked')),
    tooMany,
  );
});

test('what finds something, or fails, counts for nothing', async (t) => {
  const { missLimit, miss, missTimes } = setUp();
  await missTimes(PER_MINUTE - 1);
  const failure = new Error('no answer');
  for (let time = 0; time < PER_MINUTE; time += 1) {
    t.equal(await missLimit.run(one, async () => 'found'), 'found');
    await t.rejects(
      missLimit.run(one, async () => {
        throw failure;
      }),
      failure,
    );
  }
  t.equal(await miss(), null);
  await t.rejects(miss(), tooMany);
});

test('a burst is counted before it looks', async (t) => {
  const { started, start, end } = setUpHeld();
  const burst = Promise.allSettled(start(2_000));
  await nextTurn();
  t.equal(started.length, PER_MINUTE);
  await end(0, PER_MINUTE, null);
  t.equal(started.length, PER_MINUTE);
  const outcomes = (await burst).map((outcome) => ('reason' in outcome ? outcome.reason.code : 'looked'));
  t.strictSame(outcomes, [
    ...Array.from({ length: PER_MINUTE }, () => 'looked'),
    ...Array.from({ length: 2_000 - PER_MINUTE }, () => 'rate_limited'),
  ]);
});

test('a burst of good tokens waits for its turn, and none of them is refused', async (t) => {
  const { started, start, end, missTimes } = setUpHeld();
  await missTimes(PER_MINUTE - 10);
  const burst = Promise.all(start(1_000));
  await nextTurn();
  t.equal(started.length, 10);
  await end(0, 3, 'found');
  t.equal(started.length, 13, 'as many as have ended');
  for (let at = 3; at < 1_000; at += 10) await end(at, at + 10, 'found');
  t.same(new Set(await burst), new Set(['found']));
});

test('a look-up waits no longer than its minute lasts', async (t) => {
  const { clock, started, start, end, missTimes } = setUpHeld();
  await missTimes(PER_MINUTE - 1);
  const [first, second] = start(2);
  await nextTurn();
  t.equal(started.length, 1);
  clock.nowMs += MINUTE_MS;
  await end(0, 1, null);
  t.equal(await first, null);
  await end(1, 2, 'found');
  t.equal(await second, 'found');
});

test('one client does not shut out another', async (t) => {
  const { miss, missTimes } = setUp();
  await missTimes(PER_MINUTE);
  await t.rejects(miss());
  t.equal(await miss(other), null);
});

test('it is over a minute after the first of them, and begins anew', async (t) => {
  const { clock, miss, missTimes } = setUp();
  await missTimes(1);
  clock.nowMs += MINUTE_MS - 1;
  await missTimes(PER_MINUTE - 1);
  await t.rejects(miss());
  clock.nowMs += 1;
  await missTimes(PER_MINUTE);
  await t.rejects(miss());
});

test('in whatever order look-ups start and end, no more than 300 find nothing, and each one ends', async (t) => {
  const step = fc.oneof(
    fc.record({ start: fc.integer({ min: 1, max: 400 }) }),
    fc.record({ end: fc.integer({ min: 1, max: 400 }), outcome: fc.constantFrom('found' as const, null) }),
  );
  const property = fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
    const { started, start, end } = setUpHeld();
    const all: Promise<unknown>[] = [];
    let [ended, missed] = [0, 0];
    const endSome = async (count: number, outcome: 'found' | null) => {
      const upTo = Math.min(started.length, ended + count);
      if (outcome === null) missed += upTo - ended;
      await end(ended, upTo, outcome);
      ended = upTo;
    };
    for (const step of steps) {
      if ('start' in step) all.push(Promise.allSettled(start(step.start)));
      else await endSome(step.end, step.outcome);
      await nextTurn();
    }
    while (ended < started.length) await endSome(started.length, null);
    await Promise.all(all);
    return missed <= PER_MINUTE;
  });
  await fc.assert(property, { numRuns: 50 });
  t.pass();
});
