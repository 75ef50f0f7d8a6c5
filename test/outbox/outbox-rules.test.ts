import fc from 'fast-check';
import { test } from 'tap';
import { errorName, leaseMsOf, retryDelayMs } from '../../src/outbox/outbox-rules.ts';

const policy = { firstDelayMs: 500, maxDelayMs: 60_000, maxAttempts: 10 };

test('waits twice as long after each failure, up to a bound, and then no more', (t) => {
  const longest = Array.from({ length: 10 }, (_, at) => retryDelayMs(at + 1, policy, 1 - Number.EPSILON));
  t.same(longest, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, null]);
  const shortest = Array.from({ length: 3 }, (_, at) => retryDelayMs(at + 1, policy, 0));
  t.same(shortest, [250, 500, 1_000]);
  t.end();
});

test('every wait lies in the later half of its longest, and none is longer than the bound', (t) => {
  const arbitrary = fc.record({
    attempts: fc.integer({ min: 1, max: 5_000 }),
    firstDelayMs: fc.integer({ min: 1, max: 100_000 }),
    maxDelayMs: fc.integer({ min: 1, max: 86_400_000 }),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  });
  const holds = fc.property(arbitrary, ({ attempts, firstDelayMs, maxDelayMs, random }) => {
    const delayMs = retryDelayMs(attempts, { firstDelayMs, maxDelayMs, maxAttempts: 10_000 }, random);
    const longestMs = Math.min(maxDelayMs, firstDelayMs * 2 ** (attempts - 1));
    return delayMs !== null && delayMs >= Math.floor(longestMs / 2) && delayMs <= longestMs;
  });
  t.doesNotThrow(() => fc.assert(holds, { numRuns: 1_000 }));
  t.end();
});

test('whoever asks for time gets it, but no more than the bound, and no wait becomes shorter', (t) => {
  t.equal(retryDelayMs(1, policy, 0.5, 30_000), 30_000);
  t.equal(retryDelayMs(1, policy, 0.5, 3_600_000), 60_000);
  t.equal(retryDelayMs(9, policy, 0.5, 1), 45_000);
  t.equal(retryDelayMs(10, policy, 0.5, 30_000), null);
  t.end();
});

test('the last attempt is followed by none', (t) => {
  t.equal(retryDelayMs(1, { ...policy, maxAttempts: 1 }, 0.5), null);
  t.not(retryDelayMs(9, policy, 0.5), null);
  t.equal(retryDelayMs(10, policy, 0.5), null);
  t.equal(retryDelayMs(11, policy, 0.5), null);
  t.end();
});

test('of an error its code or its name is kept, and nothing that could quote a secret', (t) => {
  const coded = (code: unknown) => Object.assign(new TypeError('to ada@example.com'), { code });
  t.equal(errorName(coded('ECONNREFUSED')), 'ECONNREFUSED');
  t.equal(errorName(coded(535)), 'TypeError');
  t.equal(errorName(coded('535 wrong password: ada')), 'TypeError');
  t.equal(errorName(new RangeError('x')), 'RangeError');
  t.equal(errorName(Object.assign(new Error('x'), { name: 'told by ada@example.com' })), 'Error');
  t.equal(errorName('a secret'), 'Error');
  t.end();
});

test('a claim outlasts the delivery and a statement on either side of it', (t) => {
  t.equal(leaseMsOf(1_000, 2_000), 5_000);
  t.end();
});
