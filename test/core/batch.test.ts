import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'tap';
import { createBatch } from '../../src/core/batch.ts';

/** A batch whose answers are the doubles of its keys, and the calls it has made. */
function doubling(mostAtOnce: number) {
  const calls: number[][] = [];
  const double = createBatch(async (keys: number[]) => {
    calls.push(keys);
    if (keys.includes(0)) throw new Error('no zeros');
    return keys.map((key) => 2 * key);
  }, mostAtOnce);
  return { calls, double };
}

test('calls of one turn are answered by one, each with its own answer', async (t) => {
  const { calls, double } = doubling(100);
  t.same(await Promise.all([3, 1, 3, 2].map(double)), [6, 2, 6, 4]);
  t.same(calls, [[3, 1, 3, 2]]);
});

test('a later turn has a call of its own, though the earlier one is not answered', async (t) => {
  const { calls, double } = doubling(100);
  const first = double(1);
  await nextTurn();
  const second = double(2);
  t.same(await Promise.all([first, second]), [2, 4]);
  t.same(calls, [[1], [2]]);
});

test('no call is larger than the largest that is allowed', async (t) => {
  const { calls, double } = doubling(2);
  t.same(await Promise.all([1, 2, 3, 4, 5].map(double)), [2, 4, 6, 8, 10]);
  t.same(calls, [[1, 2], [3, 4], [5]]);
});

test('whoever waited for a call that fails hears of it, and nobody else', async (t) => {
  const { double } = doubling(2);
  const [one, zero, two] = await Promise.allSettled([1, 0, 2].map(double));
  t.match(one, { reason: { message: 'no zeros' } });
  t.match(zero, { reason: { message: 'no zeros' } });
  t.match(two, { value: 4 });
  t.equal(await double(3), 6);
});
