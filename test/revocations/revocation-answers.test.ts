import { type Test, test } from 'tap';
import { unavailable } from '../../src/core/errors.ts';
import { hashOfId } from '../../src/db/revocation-log.ts';
import { createRevocationFeed } from '../../src/revocations/revocation-feed.ts';
import type { Revocation } from '../../src/revocations/revocation-part.ts';
import type { TableState } from '../../src/revocations/revocation-store.ts';
import { eventually } from '../support/adapters.ts';
import { hashesIn, partsAfter } from '../support/revocations.ts';

const WINDOW_MS = 1_920_000;
const NOON = 1_764_244_800_000;

type New = Pick<Revocation, 'kind' | 'value'> & { id: string };

/** A table in memory, which a test can change behind the replicas, and replicas of it. */
function createTable(t: Test) {
  // The timers of a feed do not keep a process alive.
  const alive = setInterval(() => {}, 60_000);
  t.teardown(() => clearInterval(alive));
  let rows: Revocation[] = [];
  const waiting: New[] = [];
  let epoch = 'e1';
  let nowMs = 0;
  const fault: { of: 'look' | 'list' | 'number' | 'none'; error: unknown } = { of: 'none', error: null };
  const held = { list: Promise.resolve() };
  const calls = { look: 0, list: 0, number: 0 };
  const call = (name: keyof typeof calls) => {
    calls[name] += 1;
    if (fault.of === name) throw fault.error;
  };
  const number = (limit: number) => {
    const next = waiting.splice(0, limit);
    for (const { id, kind, value } of next) {
      const subject = kind === 'key' ? Buffer.from(id) : hashOfId(id);
      rows.push({ seq: (rows.at(-1)?.seq ?? 0) + 1, kind, subject, value, revokedAt: NOON + nowMs });
    }
    return next.length;
  };
  const store = {
    async look(): Promise<TableState> {
      call('look');
      const hasUnnumbered = waiting.length > 0;
      return { epoch, readAt: NOON + nowMs, hasUnnumbered, head: rows.at(-1)?.seq ?? 0 };
    },
    async list(seq: number, limit: number) {
      call('list');
      const found = rows.filter((row) => row.seq > seq).slice(0, limit);
      await held.list;
      return found;
    },
    async number(limit: number) {
      call('number');
      return number(limit);
    },
  };
  return {
    store,
    fault,
    held,
    calls,
    number,
    note: (id: string, kind: Revocation['kind'] = 'session', value: number | null = null) =>
      void waiting.push({ id, kind, value }),
    noteMany: (count: number) => {
      for (let id = 0; id < count; id += 1) waiting.push({ id: String(id), kind: 'session', value: null });
    },
    pass: (ms: number) => {
      nowMs += ms;
    },
    /** Another server, or another state of the same one. */
    become: (other: { epoch?: string; rows?: number }) => {
      epoch = other.epoch ?? epoch;
      rows = rows.slice(0, other.rows);
    },
    open(options: Partial<Parameters<typeof createRevocationFeed>[0]> = {}) {
      const feed = createRevocationFeed({ store, windowMs: WINDOW_MS, now: () => nowMs, ...options });
      t.teardown(feed.close);
      /** Until a look that began after this call has ended. */
      return { ...feed, look: () => feed.start() };
    },
  };
}

const hex = (...ids: string[]) => ids.map((id) => hashOfId(id).toString('hex'));

test('without anything read, "cannot know" is the answer, and never an empty list', async (t) => {
  const { fault, note, open } = createTable(t);
  note('s');
  Object.assign(fault, { of: 'look', error: unavailable(new Error('down')) });
  const feed = open();
  t.equal(await feed.start(), undefined, 'the server starts all the same');
  await t.rejects(feed.answer(null), { code: 'unavailable' });
  await t.rejects(feed.answer('e1.1'), { code: 'unavailable' });
  t.equal(feed.state(), null);
  t.notOk(feed.isRevoked({ sub: 'u', client_id: 'c', iat: 0, jti: 'j', sid: 's' }, 'kid'));
  fault.of = 'none';
  t.strictSame(hashesIn((await feed.answer(null)).sessions), hex('s'));
});

test('when the database is lost, what was read is told on, with its age', async (t) => {
  const { fault, note, pass, open } = createTable(t);
  note('s');
  const feed = open();
  const before = await feed.answer(null);
  t.match(before, { asOf: NOON, ageMs: 0 });
  Object.assign(fault, { of: 'look', error: unavailable(new Error('down')) });
  pass(5_000);
  await feed.look();
  const after = await feed.answer(null);
  t.match(after, { asOf: NOON, ageMs: 5_000, cursor: before.cursor });
  t.strictSame(hashesIn(after.sessions), hex('s'));
  t.match(feed.state(), { asOf: NOON, ageMs: 5_000, cursor: before.cursor });
  t.match(await feed.answer(before.cursor), { from: before.cursor, ageMs: 5_000 });
  await t.rejects(feed.answer('e1.2'), { code: 'unavailable' }, 'another replica may be further');
  await t.rejects(feed.answer('e2.1'), { code: 'unavailable' });
});

test('a replica that lags behind reads on when it sees the cursor of another one', async (t) => {
  const { note, open } = createTable(t);
  const behind = open();
  const ahead = open();
  note('a');
  const first = await behind.answer(null);
  note('b');
  const further = await ahead.answer(null);
  t.strictSame(await behind.answer(further.cursor), {
    ...(await behind.answer(first.cursor)),
    from: further.cursor,
    sessions: Buffer.alloc(0),
  });
});

test('a cursor that was never given, or is of another epoch, gets the whole window', async (t) => {
  const { note, open } = createTable(t);
  note('a');
  const feed = open();
  for (const cursor of ['e1.2', 'e1.99', 'e0.1', 'e.1']) {
    const part = await feed.answer(cursor);
    t.match(part, { from: null, cursor: 'e1.1' }, cursor);
    t.strictSame(hashesIn(part.sessions), hex('a'), cursor);
  }
});

test('a cursor from before the window gets the whole window', async (t) => {
  const { note, pass, open } = createTable(t);
  const feed = open();
  await feed.answer(null);
  for (const id of ['a', 'b', 'c']) {
    note(id);
    await feed.look();
    pass(WINDOW_MS / 2 + 1);
  }
  await feed.look();
  t.match(await feed.answer('e1.1'), { from: null, cursor: 'e1.3' });
  const part = await feed.answer('e1.2');
  t.equal(part.from, 'e1.2', 'what it needs is still there');
  t.strictSame(hashesIn(part.sessions), hex('c'));
});

test('after a failover the old window is told until the new one is whole', async (t) => {
  const { note, noteMany, become, held, open } = createTable(t);
  noteMany(3);
  const feed = open();
  await feed.answer(null);
  become({ epoch: 'e2', rows: 2 });
  note('new');
  const hold = Promise.withResolvers<void>();
  held.list = hold.promise;
  const looked = feed.look();
  const old = await feed.answer('e1.2');
  t.match(old, { from: 'e1.2', cursor: 'e1.3' });
  hold.resolve();
  await looked;
  const part = await feed.answer('e1.3');
  t.match(part, { from: null, cursor: 'e2.3' });
  t.strictSame(hashesIn(part.sessions), hex('0', '1', 'new'));
});

test('an older state that was put back in place is read anew', async (t) => {
  const { note, noteMany, become, open } = createTable(t);
  noteMany(5);
  const feed = open();
  await feed.answer(null);
  become({ rows: 2 });
  note('new');
  await feed.look();
  const part = await feed.answer('e1.5');
  t.match(part, { from: null, cursor: 'e1.3' });
  t.strictSame(hashesIn(part.sessions), hex('0', '1', 'new'));
});

test('it numbers until nothing is left, and reads all of it', async (t) => {
  const { noteMany, calls, open } = createTable(t);
  noteMany(20_005);
  const feed = open();
  t.equal(
    (await partsAfter(feed, null)).reduce((sum, { sessions }) => sum + sessions.length / 8, 0),
    20_005,
  );
  t.match(calls, { look: 1, number: 3, list: 5 });
  await feed.look();
  t.match(calls, { look: 2, number: 3, list: 5 }, 'a look that finds nothing new is one query');
});

test('what another replica numbers in the meantime is in the same look', async (t) => {
  const { store, note, number, open } = createTable(t);
  const heads: string[] = [];
  note('a');
  const numberLate = async () => {
    number(10);
    return store.number(10);
  };
  const feed = open({ store: { ...store, number: numberLate }, announce: (head) => void heads.push(head) });
  const part = await feed.answer(null);
  t.strictSame(hashesIn(part.sessions), hex('a'));
  t.strictSame(heads, [], 'the one that numbered says so');
});

test('whoever waits is called after each look that found something, and the others hear of the new end', async (t) => {
  const { note, number, open } = createTable(t);
  const heads: string[] = [];
  const feed = open({ announce: (head) => void heads.push(head) });
  let called = 0;
  const stop = feed.onAdvance(() => {
    called += 1;
  });
  await feed.start();
  t.equal(called, 1, 'the first look found the table');
  await feed.look();
  t.equal(called, 1);
  note('a');
  await feed.look();
  t.equal(called, 2);
  t.strictSame(heads, ['e1.1']);
  note('b');
  number(1);
  await feed.look();
  t.equal(called, 3);
  t.strictSame(heads, ['e1.1'], 'it has numbered nothing');
  stop();
  note('c');
  await feed.look();
  t.equal(called, 3);
});

test('a look that fails half way changes no time, and what it read is told by the next one', async (t) => {
  const { store, noteMany, pass, open } = createTable(t);
  let lists = 0;
  const list = async (seq: number, limit: number) => {
    lists += 1;
    if (lists === 3) throw unavailable(new Error('down'));
    return store.list(seq, limit);
  };
  const feed = open({ store: { ...store, list } });
  let called = 0;
  await feed.start();
  feed.onAdvance(() => {
    called += 1;
  });
  pass(1_000);
  noteMany(10_001);
  await feed.look();
  t.equal(called, 0);
  t.match(feed.state(), { asOf: NOON, cursor: 'e1.10000' });
  await feed.look();
  t.equal(called, 1);
  t.match(feed.state(), { asOf: NOON + 1_000, cursor: 'e1.10001' });
});

test('a hint makes it look, unless it says nothing new', async (t) => {
  const { note, number, calls, open } = createTable(t);
  const feed = open();
  feed.hear('e1.0');
  await eventually(() => {
    if (feed.state() === null) throw new Error('nothing was read yet');
  });
  note('a');
  number(1);
  const { look } = calls;
  feed.hear('e1.0');
  feed.hear('e1.1');
  await eventually(() => {
    if (feed.state()?.cursor !== 'e1.1') throw new Error('not read yet');
  });
  t.equal(calls.look, look + 1);
  note('b');
  number(1);
  feed.hurry();
  await eventually(() => {
    if (feed.state()?.cursor !== 'e1.2') throw new Error('not read yet');
  });
});

test('only the first of many failures is told, and none of a database that does not answer', async (t) => {
  const { fault, open } = createTable(t);
  const errors: unknown[] = [];
  const feed = open({ onError: (error) => void errors.push(error) });
  const refused = new Error('permission denied');
  const failWith = async (error: unknown) => {
    Object.assign(fault, { of: error === null ? 'none' : 'look', error });
    await feed.look();
  };
  await failWith(unavailable(new Error('down')));
  t.strictSame(errors, []);
  await failWith(refused);
  await failWith(refused);
  t.strictSame(errors, [refused]);
  await failWith(null);
  await failWith(refused);
  t.strictSame(errors, [refused, refused]);
  const silent = open();
  await silent.look();
  await t.rejects(silent.answer(null), refused);
});

test('beyond its bound the window says so', async (t) => {
  const { noteMany, open } = createTable(t);
  noteMany(12);
  const feed = open({ mostEntries: 10 });
  t.match(await feed.answer(null), { overflow: true, from: null });
  t.match(await feed.answer('e1.1'), { from: null });
});

test('a token is void by its session, its id, its user, its client or its key', async (t) => {
  const { note, open } = createTable(t);
  note('ended');
  note('revoked', 'token');
  note('changed', 'user', 5);
  note('changed', 'user', 4);
  note('machine', 'client', 1_000);
  note('kid-1', 'key');
  const feed = open();
  await feed.start();
  const token = { sub: 'u', client_id: 'browser', iat: 500, jti: 'j', sid: 's', cv: 1 };
  const { sid: _, ...ofClient } = { ...token, client_id: 'machine', sub: 'machine' };
  const isRevoked = (claims: Partial<typeof token>, kid = 'kid-2') =>
    feed.isRevoked({ ...token, ...claims }, kid);
  t.notOk(isRevoked({}));
  t.notOk(isRevoked({}, 'kid-2'));
  t.ok(isRevoked({}, 'kid-1'));
  t.ok(isRevoked({ sid: 'ended' }));
  t.ok(isRevoked({ jti: 'revoked' }));
  t.ok(isRevoked({ sub: 'changed', cv: 4 }));
  t.notOk(isRevoked({ sub: 'changed', cv: 5 }));
  const { cv: _cv, ...withoutVersion } = token;
  t.ok(feed.isRevoked({ ...withoutVersion, sub: 'changed' }, 'kid-2'), 'a token from before versions');
  t.notOk(feed.isRevoked(withoutVersion, 'kid-2'));
  t.ok(feed.isRevoked({ ...ofClient, iat: 1_000 }, 'kid-2'));
  t.notOk(feed.isRevoked({ ...ofClient, iat: 1_001 }, 'kid-2'));
  t.notOk(
    feed.isRevoked({ ...ofClient, client_id: 'other', sub: 'changed' }, 'kid-2'),
    'no user, whatever its name',
  );
});

test('an empty window voids nothing', async (t) => {
  const feed = createTable(t).open();
  await feed.start();
  t.notOk(feed.isRevoked({ sub: 'u', client_id: 'c', iat: 0, jti: 'j' }, 'kid'));
});
