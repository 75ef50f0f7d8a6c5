import { test } from 'tap';
import { createPatience, later } from '../../src/verifier/answer-patience.ts';

test('calls back later, unless that is prevented', async (t) => {
  const called: string[] = [];
  const prevent = later(() => called.push('prevented'), 1);
  prevent();
  await new Promise<void>((resolve) => {
    // The timer does not keep the process alive.
    const alive = setInterval(() => {}, 1000);
    later(() => {
      clearInterval(alive);
      resolve();
    }, 1);
  });
  t.strictSame(called, []);
});

test('works where a timer is a number, as in a browser', (t) => {
  const [setReal, clearReal] = [globalThis.setTimeout, globalThis.clearTimeout];
  const cleared: unknown[] = [];
  t.teardown(() => Object.assign(globalThis, { setTimeout: setReal, clearTimeout: clearReal }));
  Object.assign(globalThis, { setTimeout: () => 7, clearTimeout: (timer: unknown) => cleared.push(timer) });
  later(() => {}, 1)();
  Object.assign(globalThis, { setTimeout: setReal, clearTimeout: clearReal });
  t.strictSame(cleared, [7]);
  t.end();
});

test('ends a request for which nothing comes in time', (t) => {
  const timers: { callback: () => void; ms: number; isCancelled: boolean }[] = [];
  const patience = createPatience((callback, ms) => {
    const timer = { callback, ms, isCancelled: false };
    timers.push(timer);
    return () => {
      timer.isCancelled = true;
    };
  });
  patience.waitAtMost(2000);
  patience.waitAtMost(3500);
  t.match(timers, [
    { ms: 2000, isCancelled: true },
    { ms: 3500, isCancelled: false },
  ]);
  t.notOk(patience.signal.aborted);
  timers[1]?.callback();
  t.match(patience.signal.reason, { kind: 'silence', message: 'says nothing for 3500 ms' });
  patience.end();
  t.match(timers[1], { isCancelled: true });
  t.match(patience.signal.reason, { kind: 'silence' }, 'the first reason stays');
  t.end();
});

test('a request that has ended is not waited for', (t) => {
  const patience = createPatience(() => () => {});
  patience.end();
  t.equal(patience.signal.aborted, true);
  t.end();
});
