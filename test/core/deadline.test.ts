import { mock } from 'node:test';
import { type Test, test } from 'tap';
import { within } from '../../src/core/deadline.ts';

const late = () => new Error('too late');

function enableTimers(t: Test): void {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
}

test('answers what the work answers, and fails as the work fails', async (t) => {
  t.equal(await within(Promise.resolve('done'), 1_000, late), 'done');
  const failure = new Error('no');
  await t.rejects(within(Promise.reject(failure), 1_000, late), failure);
});

test('rejects at the deadline, not before, and a later failure of the work does no harm', async (t) => {
  enableTimers(t);
  const { promise: work, reject } = Promise.withResolvers<never>();
  let made = 0;
  const waiting = within(work, 1_000, () => {
    made += 1;
    return late();
  });
  mock.timers.tick(999);
  t.equal(made, 0);
  mock.timers.tick(1);
  await t.rejects(waiting, { message: 'too late' });
  reject(new Error('after that'));
  await new Promise(setImmediate);
  t.equal(made, 1);
});

test('work that is done in time is never late', async (t) => {
  enableTimers(t);
  await within(Promise.resolve(), 1_000, () => {
    t.fail('not late');
    return late();
  });
  mock.timers.tick(5_000);
  t.end();
});
