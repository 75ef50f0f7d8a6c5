import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { test } from 'tap';
import { MOST_IN_PART, type Revocation, type RevocationKind } from '../../src/revocations/revocation-part.ts';
import { createRevocationWindow, type RevocationSlice } from '../../src/revocations/revocation-window.ts';
import { eventually } from '../support/adapters.ts';
import { hashesIn } from '../support/revocations.ts';

const WINDOW_MS = 1_920_000;
/** Few, so that they meet. */
const MOST_IDS = 20;
const KINDS: RevocationKind[] = ['session', 'token', 'user', 'client', 'key'];

const hashOf = (id: number | string) => createHash('sha256').update(String(id)).digest().subarray(0, 8);
const subjectOf = (kind: RevocationKind, id: number) =>
  kind === 'key' ? Buffer.from(`kid-${id}`) : hashOf(id);

function revocation(seq: number, revokedAt = 0): Revocation {
  return { seq, kind: 'session', subject: hashOf(seq), value: null, revokedAt };
}

type Step =
  | { kind: RevocationKind; id: number; value: number; gap: number; passedMs: number }
  | { expireAfterMs: number };

const steps = fc.array(
  fc.oneof(
    {
      weight: 9,
      arbitrary: fc.record({
        kind: fc.constantFrom(...KINDS),
        id: fc.nat(MOST_IDS),
        value: fc.nat(9),
        gap: fc.oneof({ weight: 9, arbitrary: fc.nat(3) }, fc.constant(2 ** 32)),
        // A clock may be set back.
        passedMs: fc.integer({ min: -60_000, max: WINDOW_MS / 4 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ expireAfterMs: fc.nat(WINDOW_MS) }) },
  ),
  { maxLength: 60 },
);

/** What a window does, in the plainest way; how much goes at once is left to the window. */
function createModel() {
  const all: Revocation[] = [];
  const held = (floor: number) => all.filter(({ seq }) => seq > floor);
  return {
    add: (one: Revocation) => void all.push(one),
    head: () => all.at(-1)?.seq ?? 0,
    held,
    /** Whether something has gone that would still be needed. */
    isShort: (floor: number, now: number) =>
      all.some(({ seq, revokedAt }) => seq <= floor && revokedAt + WINDOW_MS > now),
    find: (floor: number, kind: RevocationKind, id: number) => {
      const found = held(floor).filter((one) => one.kind === kind && one.subject.equals(subjectOf(kind, id)));
      return found.length === 0 ? undefined : Math.max(...found.map(({ value }) => Number(value)));
    },
  };
}

function sorted(entries: Revocation[]): Omit<RevocationSlice, 'last' | 'more'> {
  const of = (kind: RevocationKind) => entries.filter((one) => one.kind === kind);
  return {
    sessions: Buffer.concat(of('session').map(({ subject }) => subject)),
    tokens: Buffer.concat(of('token').map(({ subject }) => subject)),
    users: of('user').map(({ subject, value }) => [subject, Number(value)]),
    clients: of('client').map(({ subject, value }) => [subject, Number(value)]),
    keys: of('key').map(({ subject }) => subject.toString()),
  };
}

function tellsTheSame(steps: Step[], mostEntries: number, from: number, limit: number): void {
  const window = createRevocationWindow({ windowMs: WINDOW_MS, mostEntries });
  const model = createModel();
  let [seq, now, latest] = [5, 1_764_212_345_678, 0];
  for (const step of steps) {
    if ('expireAfterMs' in step) {
      latest = Math.max(latest, now + step.expireAfterMs);
      window.expire(latest);
      assert.equal(window.isOverflowing(latest), model.isShort(window.floor(), latest));
      continue;
    }
    seq += 1 + step.gap;
    now += step.passedMs;
    const { kind, id } = step;
    const value = kind === 'user' || kind === 'client' ? step.value : null;
    const added = { seq, kind, subject: subjectOf(kind, id), value, revokedAt: now };
    window.add(added);
    model.add(added);
  }
  const floor = window.floor();
  const expected = model.held(Math.max(floor, from));
  const { last, more, ...entries } = window.after(from, limit);
  assert.deepEqual(entries, sorted(expected.slice(0, limit)));
  assert.equal(more, expected.length > limit);
  assert.equal(last, expected[Math.min(limit, expected.length) - 1]?.seq ?? Math.max(from, floor));
  assert.equal(window.head(), model.head());
  assert.equal(window.size(), model.held(floor).length);
  assert.ok(window.size() <= mostEntries);
  for (let id = 0; id <= MOST_IDS; id += 1) {
    for (const kind of KINDS.slice(0, 4))
      assert.equal(window.find(kind, hashOf(id)), model.find(floor, kind, id));
    assert.equal(window.hasKey(`kid-${id}`), model.find(floor, 'key', id) !== undefined);
  }
}

test('whatever comes and goes, it tells what a plain list would tell', async () => {
  const places = fc.integer({ min: 5, max: 70 });
  fc.assert(
    fc.property(
      steps,
      fc.integer({ min: 1, max: 40 }),
      places,
      fc.integer({ min: 1, max: 70 }),
      tellsTheSame,
    ),
    {
      numRuns: 500,
    },
  );
});

test('the place before the first entry is the floor, and nothing is missing after it', async (t) => {
  const window = createRevocationWindow({ windowMs: WINDOW_MS });
  t.strictSame([window.head(), window.floor(), window.size()], [0, 0, 0]);
  window.add(revocation(41));
  t.strictSame([window.head(), window.floor(), window.size()], [41, 40, 1]);
});

test('entries leave a part at a time, an eighth of the window late at most', async (t) => {
  const window = createRevocationWindow({ windowMs: WINDOW_MS });
  for (let minute = 0; minute < 60; minute += 1) {
    window.add(revocation(minute + 1, minute * 60_000));
    window.expire(minute * 60_000);
    const oldest = Math.max(0, minute - WINDOW_MS / 60_000);
    t.ok(window.floor() <= oldest, 'nothing goes too early');
    t.ok(window.floor() >= oldest - WINDOW_MS / 8 / 60_000, 'and nothing stays for long');
  }
  window.expire(60 * 60_000 + WINDOW_MS);
  t.strictSame([window.size(), window.floor(), window.head()], [0, 60, 60], 'the place is kept');
  t.match(window.after(60, 10), { last: 60, more: false });
});

test('a key that was revoked again stays when its first revocation goes', async (t) => {
  const window = createRevocationWindow({ windowMs: WINDOW_MS });
  const key = { kind: 'key' as const, subject: Buffer.from('kid-1'), value: null };
  window.add({ ...key, seq: 1, revokedAt: 0 });
  window.add({ ...key, seq: 2, revokedAt: WINDOW_MS });
  window.expire(WINDOW_MS + 1);
  t.equal(window.floor(), 1);
  t.ok(window.hasKey('kid-1'));
  window.expire(2 * WINDOW_MS + 1);
  t.notOk(window.hasKey('kid-1'));
});

test('beyond its bound the oldest go, and that is said for as long as they would be needed', async (t) => {
  const window = createRevocationWindow({ windowMs: WINDOW_MS, mostEntries: 100_000 });
  for (let seq = 1; seq <= 100_000; seq += 1) window.add(revocation(seq, seq));
  t.notOk(window.isOverflowing(100_000));
  window.add(revocation(100_001, 100_001));
  t.equal(window.floor(), MOST_IN_PART, 'a part has gone');
  t.equal(window.size(), 100_001 - MOST_IN_PART);
  t.ok(window.isOverflowing(100_001));
  t.ok(window.isOverflowing(MOST_IN_PART + WINDOW_MS - 1));
  t.notOk(window.isOverflowing(MOST_IN_PART + WINDOW_MS));
});

test('half a million entries take at most 25 bytes each, and all of them are found', async (t) => {
  setFlagsFromString('--expose-gc');
  const collectGarbage: () => void = runInNewContext('gc');
  const hashes = randomBytes(8 * 500_000);
  const hashAt = (at: number) => hashes.subarray(8 * at, 8 * at + 8);
  const window = createRevocationWindow({ windowMs: WINDOW_MS });
  const before = process.memoryUsage().arrayBuffers;
  // 278 a second.
  for (let at = 0; at < 500_000; at += 1) {
    window.add({ ...revocation(at + 1, Math.floor(at * 3.6)), subject: hashAt(at) });
  }
  // What is left of grown tables is freed a little later.
  const bytesEach = await eventually(() => {
    collectGarbage();
    const each = (process.memoryUsage().arrayBuffers - before) / 500_000;
    assert.ok(each <= 25, `${each} bytes`);
    return each;
  });
  t.comment(`${bytesEach.toFixed(1)} bytes each`);
  let found = 0;
  for (let at = 0; at < 500_000; at += 1) if (window.find('session', hashAt(at)) === 0) found += 1;
  t.equal(found, 500_000);
  t.equal(window.find('token', hashAt(0)), undefined, 'of no other kind');
  t.equal(hashesIn(window.after(0, 3).sessions).join(''), hashes.toString('hex', 0, 24));
});
