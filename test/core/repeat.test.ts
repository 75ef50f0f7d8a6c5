import { mock } from 'node:test';
import { type Test, test } from 'tap';
import { repeat } from '../../src/core/repeat.ts';

const EVERY_MS = 1_000;

/** A task whose runs the test ends by hand. */
function setUp(t: Test) {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const runs: PromiseWithResolvers<void>[] = [];
  const errors: unknown[] = [];
  const task = () => {
    const run = Promise.withResolvers<void>();
    runs.push(run);
    return run.promise;
  };
  const repetition = repeat(task, EVERY_MS, (error) => void errors.push(error));
  return { runs, errors, repetition };
}

/** Lets everything happen that waits for nothing but a promise. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('the first run comes after one pause, not at once', async (t) => {
  const { runs } = setUp(t);
  mock.timers.tick(EVERY_MS - 1);
  t.equal(runs.length, 0);
  mock.timers.tick(1);
  t.equal(runs.length, 1);
});

test('the next run comes one pause after the end of the last: no run overtakes another', async (t) => {
  const { runs } = setUp(t);
  mock.timers.tick(EVERY_MS);
  mock.timers.tick(9 * EVERY_MS);
  t.equal(runs.length, 1, 'still at the first');
  runs[0]?.resolve();
  await settle();
  mock.timers.tick(EVERY_MS - 1);
  t.equal(runs.length, 1);
  mock.timers.tick(1);
  t.equal(runs.length, 2);
});

test('a run that failed is told, and the next one follows', async (t) => {
  const { runs, errors } = setUp(t);
  const failure = new Error('not now');
  mock.timers.tick(EVERY_MS);
  runs[0]?.reject(failure);
  await settle();
  t.same(errors, [failure]);
  mock.timers.tick(EVERY_MS);
  t.equal(runs.length, 2);
  t.same(errors, [failure]);
});

test('closing between two runs starts no other', async (t) => {
  const { runs, repetition } = setUp(t);
  await repetition.close();
  mock.timers.tick(10 * EVERY_MS);
  t.equal(runs.length, 0);
});

test('closing waits for the run under way, and starts no other', async (t) => {
  const { runs, errors, repetition } = setUp(t);
  mock.timers.tick(EVERY_MS);
  let isClosed = false;
  const closed = repetition.close().then(() => {
    isClosed = true;
  });
  await settle();
  t.equal(isClosed, false);
  runs[0]?.reject(new Error('at the end'));
  await closed;
  t.equal(errors.length, 1);
  await settle();
  mock.timers.tick(10 * EVERY_MS);
  t.equal(runs.length, 1);
});
