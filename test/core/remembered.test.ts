import { test } from 'tap';
import { remembered } from '../../src/core/remembered.ts';

test('asks once in a while, however many want to know', async (t) => {
  let nowMs = 0;
  let asked = 0;
  const ask = remembered(async () => ++asked, { everyMs: 1_000, deadlineMs: 60_000, now: () => nowMs });
  t.same(await Promise.all([ask(), ask()]), [1, 1]);
  nowMs = 999;
  t.equal(await ask(), 1);
  nowMs = 1_000;
  t.equal(await ask(), 2);
});

test('does not wait longer than the deadline, and asks again later', async (t) => {
  let nowMs = 0;
  const answers = [new Promise<string>(() => {}), Promise.resolve('here')];
  const ask = remembered(() => answers.shift() ?? Promise.reject(new Error('once more')), {
    everyMs: 1_000,
    deadlineMs: 1,
    now: () => nowMs,
  });
  t.equal(await ask(), null);
  nowMs = 1_000;
  t.equal(await ask(), 'here');
  nowMs = 2_000;
  t.equal(await ask(), null);
});
