import { test } from 'tap';
import { patiently } from '../../src/core/patience.ts';

const soon = () => performance.now() + 60_000;

/** Fails with each of these in turn, then goes well. */
function failing(...errors: string[]) {
  const left = [...errors];
  let attempts = 0;
  const attempt = async () => {
    attempts += 1;
    const error = left.shift();
    if (error !== undefined) throw new Error(error);
    return 'done';
  };
  return { attempt, attempts: () => attempts };
}

test('what goes well at once waits for nothing', async (t) => {
  const waits: unknown[] = [];
  const patience = {
    giveUpAt: 0,
    firstWaitMs: 1,
    mayPass: () => true,
    onWait: (error: unknown) => waits.push(error),
  };
  t.equal(await patiently(failing().attempt, patience), 'done');
  t.same(waits, []);
});

test('tries again while the failure may pass, and tells each', async (t) => {
  const waits: string[] = [];
  const { attempt, attempts } = failing('a', 'a', 'b');
  const result = await patiently(attempt, {
    giveUpAt: soon(),
    firstWaitMs: 1,
    mayPass: () => true,
    onWait: (error) => waits.push((error as Error).message),
  });
  t.same([result, attempts(), waits], ['done', 4, ['a', 'a', 'b']]);
});

test('what cannot pass ends it at once, and so does the time', async (t) => {
  const { attempt, attempts } = failing('wait', 'wrong', 'wait');
  const mayPass = (error: unknown) => (error as Error).message === 'wait';
  await t.rejects(
    patiently(attempt, { giveUpAt: soon(), firstWaitMs: 1, mayPass, onWait: () => {} }),
    new Error('wrong'),
  );
  t.equal(attempts(), 2);
  const late = failing('first', 'second');
  const giveUpAt = performance.now() - 1;
  await t.rejects(
    patiently(late.attempt, { giveUpAt, firstWaitMs: 1, mayPass: () => true, onWait: () => {} }),
    new Error('first'),
  );
});

test('the last attempt comes when time is up, however long the wait would be', async (t) => {
  const { attempt, attempts } = failing('first', 'second', 'third');
  const startedAt = performance.now();
  await t.rejects(
    patiently(attempt, {
      giveUpAt: startedAt + 50,
      firstWaitMs: 3_600_000,
      mayPass: () => true,
      onWait: () => {},
    }),
  );
  t.equal(attempts(), 2);
  t.ok(performance.now() - startedAt < 600_000);
});

test('a wait that is ended makes no other attempt, whether it is waiting or not', async (t) => {
  const forever = { giveUpAt: Number.POSITIVE_INFINITY, firstWaitMs: 3_600_000, mayPass: () => true };
  const waiting = failing('first', 'second');
  const during = new AbortController();
  await t.rejects(
    patiently(waiting.attempt, { ...forever, onWait: () => during.abort(), ended: during.signal }),
    new Error('first'),
  );
  t.equal(waiting.attempts(), 1);
  const trying = failing('first', 'second');
  const onWait = () => t.fail('nothing is waited for');
  await t.rejects(
    patiently(trying.attempt, { ...forever, onWait, ended: AbortSignal.abort() }),
    new Error('first'),
  );
});
