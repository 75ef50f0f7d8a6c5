import { test } from 'tap';
import { readInstant } from '../../src/core/instant.ts';

test('an instant has a time zone, and a day begins in UTC', async (t) => {
  for (const [text, instant] of [
    ['2026-11-27T16:30:00Z', '2026-11-27T16:30:00.000Z'],
    ['2026-11-27t16:30:00.123456789z', '2026-11-27T16:30:00.123Z'],
    ['2026-11-27 16:30+01:00', '2026-11-27T15:30:00.000Z'],
    ['2026-11-27', '2026-11-27T00:00:00.000Z'],
    ['2026-11-27T00:00:00+23:59', '2026-11-26T00:01:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999999Z', '9999-12-31T23:59:59.999Z'],
  ] as const)
    t.equal(readInstant(text)?.toISOString(), instant, text);
});

test('what PostgreSQL or RFC 3339 could not write is no instant', async (t) => {
  for (const text of [
    ...['', 'now', '2026-11-27T16:30:00', '2026-13-01', '2026-11-27T25:00:00Z', '2026-12-31T23:59:60Z'],
    ...['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+10:00', '9999-12-31T23:59:59-10:00'],
    '+010000-01-01T00:00:00Z',
  ])
    t.equal(readInstant(text), null, text);
});
