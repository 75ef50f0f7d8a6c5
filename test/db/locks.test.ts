import { test } from 'tap';
import { LOCKS, tryLock, waitForLock } from '../../src/db/locks.ts';
import { openPostgres } from '../support/adapters.ts';

test('each job has a number of its own, and the numbers are those of every release', async (t) => {
  t.equal(new Set(Object.values(LOCKS)).size, Object.keys(LOCKS).length);
  t.match(LOCKS, {
    migrate: 7_236_455_021,
    rotateKeys: 7_236_455_022,
    sweepSessions: 7_236_455_023,
    sweepSpentTokens: 7_236_455_024,
  });
});

test('one transaction at a time has the lock of a job; others of other jobs do not mind', async (t) => {
  const { transact } = await openPostgres();
  const order: string[] = [];
  let waiting: Promise<unknown> | undefined;
  await transact(async (first) => {
    t.equal(await tryLock(first, 'sweepSessions'), true);
    await transact(async (second) => {
      t.equal(await tryLock(second, 'sweepSessions'), false);
      t.equal(await tryLock(second, 'sweepSpentTokens'), true);
    });
    waiting = transact(async (third) => {
      await waitForLock(third, 'sweepSessions');
      order.push('the one that waited');
    });
    order.push('the first');
  });
  await waiting;
  t.same(order, ['the first', 'the one that waited']);
});
