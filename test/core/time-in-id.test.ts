import fc from 'fast-check';
import { test } from 'tap';
import { v7 as uuidv7, validate } from 'uuid';
import { instantOfId, leastIdAt } from '../../src/core/time-in-id.ts';

const instant = () => fc.integer({ min: 0, max: 2 ** 48 - 2 });

test('the least id of an instant is an id, and no id of the instant is less; those before it are', (t) => {
  fc.assert(
    fc.property(instant(), (ms) => {
      const least = leastIdAt(ms);
      t.ok(validate(least));
      t.ok(uuidv7({ msecs: ms }) >= least);
      t.ok(uuidv7({ msecs: ms }) < leastIdAt(ms + 1));
    }),
    { numRuns: 50 },
  );
  t.equal(leastIdAt(-1), leastIdAt(0));
  t.end();
});

test('the instant of an id is that at which it was made', (t) => {
  fc.assert(
    fc.property(instant(), (ms) => t.equal(instantOfId(uuidv7({ msecs: ms })), ms)),
    { numRuns: 50 },
  );
  t.end();
});
