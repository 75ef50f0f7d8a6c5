import { test } from 'tap';
import { parseInstant } from '../../src/core/instant.ts';

test('an instant is RFC 3339 with a time zone, or a day, which begins in UTC', (t) => {
  for (const [text, instant] of [
    ['2030-01-31T12:00:00Z', '2030-01-31T12:00:00.000Z'],
    ['2030-01-31t12:00:00.123456+02:00', '2030-01-31T10:00:00.123Z'],
    ['2030-01-31T12:00z', '2030-01-31T12:00:00.000Z'],
    ['2028-02-29', '2028-02-29T00:00:00.000Z'],
  ] as const)
    t.equal(parseInstant(text)?.toISOString(), instant, text);
  t.end();
});

test('what is no instant, or none that the database reads, is none', (t) => {
  for (const text of [
    ...['', '0', '1900000000', 'yesterday', '30d', '2030', '2030-01', '2030-1-31', '2030-01-31T12:00:00'],
    ...['2030-01-31 12:00:00Z', '2030-02-30T00:00:00Z', '2030-13-01', '2030-01-31T25:00:00Z'],
    ...['0000-01-01T00:00:00Z', '0001-01-01T00:00:00+23:59', '9999-12-31T23:59:59-23:59'],
    ...['2030-01-31T23:59:60Z', '2030-01-31T12:00:00+0200', '12030-01-31T12:00:00Z'],
  ])
    t.equal(parseInstant(text), null, text);
  t.end();
});
