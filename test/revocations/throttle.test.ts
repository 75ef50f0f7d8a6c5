import { mock } from 'node:test';
import { test } from 'tap';
import { createThrottle } from '../../src/revocations/throttle.ts';

test('works at once, then at most once in its time, however often it is asked', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  let nowMs = 1_000;
  const passTime = (ms: number) => {
    nowMs += ms;
    mock.timers.tick(ms);
  };
  const times: number[] = [];
  const { soon, stop } = createThrottle(
    () => times.push(nowMs),
    100,
    () => nowMs,
  );
  passTime(500);
  t.strictSame(times, [], 'nobody asked');
  soon();
  soon();
  passTime(1);
  t.strictSame(times, [1_501]);
  passTime(50);
  soon();
  soon();
  passTime(48);
  t.strictSame(times, [1_501]);
  passTime(2);
  t.strictSame(times, [1_501, 1_601]);
  passTime(300);
  soon();
  passTime(1);
  t.strictSame(times, [1_501, 1_601, 1_902]);
  soon();
  stop();
  passTime(1_000);
  t.equal(times.length, 3);
});
