import { test } from 'tap';
import { beatOf, eventOf, isEmpty, messageOf } from '../../src/revocations/feed-message.ts';
import { nothing } from './fake-feed.ts';

const hash = (byte: number) => Buffer.alloc(8, byte);

const full = {
  ...nothing,
  from: null,
  more: true,
  overflow: true,
  sessions: Buffer.concat([hash(1), hash(2)]),
  tokens: hash(3),
  users: [[hash(4), 7]] as [Buffer, number][],
  clients: [[hash(5), 1_764_212_345]] as [Buffer, number][],
  keys: ['k1'],
};

test('a part with nothing new has all lists, and none of the marks', (t) => {
  t.strictSame(JSON.parse(messageOf(nothing)), {
    cursor: 'e.0',
    from: 'e.0',
    as_of: 1_764_212_345_678,
    age: 0.12,
    window: 1920,
    sessions: '',
    tokens: '',
    users: [],
    clients: [],
    keys: [],
  });
  t.end();
});

test('hashes are base64url, eight bytes each', (t) => {
  t.strictSame(JSON.parse(messageOf(full)), {
    cursor: 'e.0',
    from: null,
    as_of: 1_764_212_345_678,
    age: 0.12,
    window: 1920,
    more: true,
    overflow: true,
    sessions: 'AQEBAQEBAQECAgICAgICAg',
    tokens: 'AwMDAwMDAwM',
    users: [['BAQEBAQEBAQ', 7]],
    clients: [['BQUFBQUFBQU', 1_764_212_345]],
    keys: ['k1'],
  });
  t.end();
});

test('ages are seconds, zero or more, with three decimals at most', (t) => {
  for (const [ageMs, age] of [
    [1234.5678, 1.235],
    [-3, 0],
    [60_000, 60],
  ] as const) {
    t.equal(JSON.parse(messageOf({ ...nothing, ageMs })).age, age);
  }
  t.end();
});

test('an event is on one line, and has the cursor as its id', (t) => {
  const [name, id, data, ...rest] = eventOf(full).toString().split('\n');
  t.equal(name, 'event: revocations');
  t.equal(id, 'id: e.0');
  t.strictSame(JSON.parse(String(data).replace('data: ', '')), JSON.parse(messageOf(full)));
  t.strictSame(rest, ['', '']);
  t.end();
});

test('a beat has at most 120 bytes, whatever its numbers, and no id', (t) => {
  const beat = beatOf({ asOf: 9_007_199_254_740_991, ageMs: 99_999_999_999 });
  t.ok(beat.length <= 120, `${beat.length} bytes`);
  t.match(beat.toString(), /^event: beat\ndata: \{"as_of":\d+,"age":[\d.]+\}\n\n$/);
  t.end();
});

test('what starts anew is something to say, and so is each kind of entry', (t) => {
  t.ok(isEmpty(nothing));
  t.notOk(isEmpty({ ...nothing, from: null }));
  const { sessions, tokens, users, clients, keys } = full;
  for (const entries of [{ sessions }, { tokens }, { users }, { clients }, { keys }])
    t.notOk(isEmpty({ ...nothing, ...entries }));
  t.end();
});
