import fc from 'fast-check';
import { test } from 'tap';
import { createDatabaseClock } from '../../src/core/clock.ts';

const instant = fc.integer({ min: 0, max: 4_000_000_000_000 });
const span = fc.integer({ min: 0, max: 10_000_000_000 });

/** A local clock that the test sets. */
function setUp(startMs: number) {
  const local = { nowMs: startMs };
  return { local, clock: createDatabaseClock(() => local.nowMs) };
}

test('is the local clock until it has seen the database', async (t) => {
  const isLocal = (startMs: number, passedMs: number) => {
    const { local, clock } = setUp(startMs);
    local.nowMs += passedMs;
    return clock.now() === startMs + passedMs;
  };
  t.doesNotThrow(() => fc.assert(fc.property(instant, span, isLocal)));
});

test("follows the database's time, however wrong the local clock is", async (t) => {
  const follows = (localMs: number, databaseMs: number, passedMs: number) => {
    const { local, clock } = setUp(localMs);
    clock.observe(new Date(databaseMs));
    local.nowMs += passedMs;
    return clock.now() === databaseMs + passedMs;
  };
  t.doesNotThrow(() => fc.assert(fc.property(instant, instant, span, follows)));
});

test('the last observation counts, also when the local clock was set meanwhile', async (t) => {
  const step = fc.record({ localMs: instant, databaseMs: instant });
  const believesTheLast = (steps: { localMs: number; databaseMs: number }[], passedMs: number) => {
    const { local, clock } = setUp(0);
    for (const { localMs, databaseMs } of steps) {
      local.nowMs = localMs;
      clock.observe(new Date(databaseMs));
    }
    local.nowMs += passedMs;
    return clock.now() === (steps.at(-1)?.databaseMs ?? 0) + passedMs;
  };
  t.doesNotThrow(() => fc.assert(fc.property(fc.array(step, { minLength: 1 }), span, believesTheLast)));
});

test('two replicas whose clocks differ agree once both have seen the database', async (t) => {
  const agree = (oneMs: number, otherMs: number, databaseMs: number, passedMs: number) => {
    const replicas = [setUp(oneMs), setUp(otherMs)];
    for (const { clock } of replicas) clock.observe(new Date(databaseMs));
    for (const { local } of replicas) local.nowMs += passedMs;
    return new Set(replicas.map(({ clock }) => clock.now())).size === 1;
  };
  t.doesNotThrow(() => fc.assert(fc.property(instant, instant, instant, span, agree)));
});
