import { test } from 'tap';
import { createEventIds } from '../../src/audit/event-ids.ts';
import { createDatabaseClock } from '../../src/core/clock.ts';

const DATABASE_MS = Date.parse('2026-11-27T12:00:00Z');
const timeOf = (id: string) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

test('ids have the time of the database, on each replica', (t) => {
  for (const skewMs of [-60_000, 0, 60_000]) {
    const clock = createDatabaseClock(() => DATABASE_MS + skewMs);
    clock.observe(new Date(DATABASE_MS));
    t.equal(timeOf(createEventIds(clock.now)()), DATABASE_MS, `a clock that is off by ${skewMs} ms`);
  }
  t.end();
});

test('ids grow within a moment, and when the clock is set back', (t) => {
  const clock = createDatabaseClock(() => DATABASE_MS);
  const makeId = createEventIds(clock.now);
  const ids = Array.from({ length: 1_000 }, () => makeId());
  clock.observe(new Date(DATABASE_MS - 5_000));
  ids.push(makeId());
  t.same(ids, [...new Set(ids)].sort());
  t.end();
});
