import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type Test, test } from 'tap';
import Type from 'typebox';
import { channels, type DeliveryEvent, listenTo } from '../../src/core/channels.ts';
import { outbox as rows } from '../../src/db/schema.ts';
import type { LaneSettings } from '../../src/outbox/outbox-lane.ts';
import { Undeliverable } from '../../src/outbox/outbox-rules.ts';
import { createOutboxService } from '../../src/outbox/outbox-service.ts';
import { type ClaimedMessage, createOutboxStore, type OutboxStore } from '../../src/outbox/outbox-store.ts';
import { eventually, openPostgres } from '../support/adapters.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DEADLINE_MS = 10 * SECOND_MS;
const DATABASE_DEADLINE_MS = 5 * SECOND_MS;
const LEASE_MS = DEADLINE_MS + 2 * DATABASE_DEADLINE_MS;

const Payload = Type.Object({ n: Type.Integer() });
type Changes = Partial<LaneSettings<typeof Payload>>;
type Line = { level: string; context: Record<string, unknown>; message: string };

/** Another side that can go away, and replicas with a lane to it. */
async function setUp(t: Test) {
  const opened = await openPostgres();
  const { database, transact, moveTime } = opened;
  const otherSide = { away: false, got: [] as number[], tried: 0, seen: [] as object[] };
  const failure = Object.assign(new Error('the other side is away'), { code: 'EAWAY' });
  const lines: Line[] = [];
  const keep = (level: string) => (context: object, message: string) =>
    void lines.push({ level, context: context as Line['context'], message });
  const log = { debug: keep('debug'), warn: keep('warn'), error: keep('error') };
  const store = createOutboxStore(database);
  const events: DeliveryEvent[] = [];
  t.teardown(listenTo(channels.delivery, (event) => void events.push(event)));

  function openReplica(changes: Changes = {}, storeChanges: Partial<OutboxStore> = {}) {
    const outbox = createOutboxService({
      store: { ...store, ...storeChanges },
      log,
      databaseDeadlineMs: DATABASE_DEADLINE_MS,
      random: () => 0.5,
    });
    const lane = outbox.openLane({ ...laneTo(otherSide, failure), ...changes });
    t.teardown(outbox.close);
    const send = (n: number) => transact((transaction) => lane.send(transaction, { n }));
    return { outbox, lane, send };
  }

  const waiting = () => database.$count(rows);
  const linesOf = (level: string) => lines.filter((line) => line.level === level);
  const ripen = () => moveTime(LEASE_MS);
  return { ...opened, store, log, otherSide, failure, lines, linesOf, events, openReplica, waiting, ripen };
}

function laneTo(
  otherSide: { away: boolean; got: number[]; tried: number; seen: object[] },
  failure: Error,
): LaneSettings<typeof Payload> {
  return {
    kind: 'test',
    payload: Payload,
    deliver: async ({ n }, delivery) => {
      otherSide.tried += 1;
      otherSide.seen.push(delivery);
      if (otherSide.away) throw failure;
      otherSide.got.push(n);
    },
    isAwaited: true,
    atOnce: 10,
    deadlineMs: DEADLINE_MS,
    retry: { firstDelayMs: 4 * MINUTE_MS, maxDelayMs: 60 * MINUTE_MS, maxAttempts: 3 },
  };
}

/** Waits until it is so. */
function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  return eventually(async () => {
    if (!(await isSo())) throw new Error('not yet');
  });
}

test('a message is delivered once its transaction has been committed, and then gone', async (t) => {
  const { transact, openReplica, otherSide, waiting, lines, events } = await setUp(t);
  const { lane } = openReplica();
  await transact(async (transaction) => {
    await lane.send(transaction, { n: 1 });
    t.equal(await transaction.database.$count(rows), 1, 'written in the transaction');
    t.equal(await waiting(), 0, 'not seen outside of it');
    t.equal(otherSide.tried, 0);
  });
  t.same(otherSide.got, [1]);
  t.equal(await waiting(), 0);
  t.match(lines, [
    { level: 'debug', context: { kind: 'test', attempts: 1 }, message: 'delivered a message' },
  ]);
  t.match(events, [{ kind: 'test', outcome: 'delivered', attempts: 1, ageMs: 0 }]);
});

test('several messages of one call go out together, each on its own', async (t) => {
  for (const isAwaited of [true, false]) {
    const { transact, openReplica, otherSide, waiting, failure } = await setUp(t);
    const { lane } = openReplica({
      isAwaited,
      deliver: async ({ n }) => {
        if (n === 2) throw failure;
        otherSide.got.push(n);
      },
    });
    await transact((transaction) => lane.send(transaction, { n: 1 }, { n: 2 }, { n: 3 }));
    await until(async () => (await waiting()) === 1);
    t.same(otherSide.got.toSorted(), [1, 3]);
  }
});

test('a message of a transaction that is rolled back is neither kept nor delivered', async (t) => {
  const { transact, openReplica, otherSide, waiting, ripen } = await setUp(t);
  const { outbox, lane } = openReplica();
  const change = new Error('changed my mind');
  const failing = transact(async (transaction) => {
    await lane.send(transaction, { n: 1 });
    throw change;
  });
  await t.rejects(failing, change);
  await ripen();
  await outbox.deliverDue();
  t.equal(otherSide.tried, 0);
  t.equal(await waiting(), 0);
});

test('a request does not wait for a lane that is not awaited, which is woken by the commit', async (t) => {
  const { openReplica, otherSide, waiting } = await setUp(t);
  const gate = Promise.withResolvers<void>();
  const { send } = openReplica({
    isAwaited: false,
    deliver: async ({ n }) => {
      await gate.promise;
      otherSide.got.push(n);
    },
  });
  await send(1);
  t.same(otherSide.got, [], 'the request has gone on');
  t.equal(await waiting(), 1);
  gate.resolve();
  await until(async () => (await waiting()) === 0);
  t.same(otherSide.got, [1]);
});

test('a process that only writes leaves to others what no request waits for', async (t) => {
  const { store, log, transact, otherSide, failure, waiting, openReplica } = await setUp(t);
  const outbox = createOutboxService({ store, log, databaseDeadlineMs: 1, onlyWrites: true });
  const usual = laneTo(otherSide, failure);
  const later = outbox.openLane({ ...usual, isAwaited: false });
  const awaited = outbox.openLane({ ...usual, kind: 'awaited' });
  await transact(async (transaction) => {
    await later.send(transaction, { n: 1 });
    await awaited.send(transaction, { n: 2 });
  });
  await outbox.deliverDue();
  t.same(otherSide.got, [2]);
  t.equal(await waiting(), 1);
  await openReplica().outbox.deliverDue();
  t.same(otherSide.got, [2, 1]);
});

test('what cannot be delivered waits longer each time, and is dead after the last attempt', async (t) => {
  const { openReplica, otherSide, failure, linesOf, events, store, moveTime, waiting } = await setUp(t);
  const { outbox, send } = openReplica();
  otherSide.away = true;
  await t.resolves(send(1), 'the transaction stands');
  // Half of it is random, and that is 0.5 here: 3 minutes of 4, then 6 of 8.
  for (const delayMs of [3 * MINUTE_MS, 6 * MINUTE_MS]) {
    await moveTime(delayMs - MINUTE_MS);
    const before = otherSide.tried;
    await outbox.deliverDue();
    t.equal(otherSide.tried, before, 'not too early');
    await moveTime(MINUTE_MS);
    await outbox.deliverDue();
    t.equal(otherSide.tried, before + 1);
  }
  await moveTime(600 * MINUTE_MS);
  await outbox.deliverDue();
  t.equal(otherSide.tried, 3, 'no attempt after the last one');
  t.equal(await waiting(), 1, 'kept for operators');
  t.match(await store.listDead(), [{ kind: 'test', attempts: 3, lastError: 'EAWAY' }]);
  t.match(linesOf('warn'), [
    { context: { kind: 'test', attempts: 1, err: failure, againInMs: 3 * MINUTE_MS } },
  ]);
  t.equal(linesOf('warn').length, 1, 'one warning a message');
  t.match(linesOf('error'), [
    { context: { kind: 'test', attempts: 3, err: failure }, message: /outbox list/ },
  ]);
  t.same(
    events.map(({ outcome }) => outcome),
    ['failed', 'failed', 'dead'],
  );
});

test('a message is delivered at a later attempt, under the same id', async (t) => {
  const { openReplica, otherSide, waiting, moveTime } = await setUp(t);
  const { outbox, send } = openReplica();
  otherSide.away = true;
  await send(1);
  otherSide.away = false;
  await moveTime(3 * MINUTE_MS);
  await outbox.deliverDue();
  t.same(otherSide.got, [1]);
  t.equal(await waiting(), 0);
  const [first, second] = otherSide.seen as { id: string; attempts: number; ageMs: number }[];
  t.equal(first?.id, second?.id);
  t.match(second, { attempts: 2 });
  t.ok(Number(second?.ageMs) >= 3 * MINUTE_MS);
});

test('a message of a process that died after its commit is taken over when the lease ends', async (t) => {
  const { transact, openReplica, otherSide, waiting, moveTime } = await setUp(t);
  const dying = openReplica();
  await transact((transaction) => dying.lane.send({ ...transaction, afterCommit: () => {} }, { n: 1 }));
  t.equal(await waiting(), 1);
  const other = openReplica();
  await moveTime(LEASE_MS / 2);
  await other.outbox.deliverDue();
  t.equal(otherSide.tried, 0, 'its own replica may be at it');
  await moveTime(LEASE_MS / 2);
  await other.outbox.deliverDue();
  t.same(otherSide.got, [1]);
  t.equal(await waiting(), 0);
});

test('a backlog of many batches is delivered whole', async (t) => {
  const { openReplica, otherSide, waiting } = await setUp(t);
  const { outbox, send } = openReplica({ isAwaited: false, atOnce: 7 });
  const all = Array.from({ length: 100 }, (_, n) => n);
  await Promise.all(all.map(send));
  await outbox.deliverDue();
  t.same(
    otherSide.got.toSorted((a, b) => a - b),
    all,
  );
  t.equal(await waiting(), 0);
});

test('no more than so many are under way at once', async (t) => {
  const { openReplica, transact, ripen } = await setUp(t);
  let [now, most] = [0, 0];
  const { outbox, lane } = openReplica({
    atOnce: 4,
    deliver: async () => {
      most = Math.max(most, ++now);
      await turn();
      now -= 1;
    },
  });
  await transact(async (transaction) => {
    const silent = { ...transaction, afterCommit: () => {} };
    for (let n = 0; n < 30; n += 1) await lane.send(silent, { n });
  });
  await ripen();
  await outbox.deliverDue();
  t.equal(most, 4);
});

test('a message that hangs holds up no other of its lane', async (t) => {
  const { openReplica, transact, otherSide, waiting } = await setUp(t);
  const gate = Promise.withResolvers<void>();
  const { outbox, lane } = openReplica({
    isAwaited: false,
    atOnce: 2,
    // Far beyond what the test waits for.
    deadlineMs: 3_600 * SECOND_MS,
    deliver: async ({ n }) => {
      if (n === 0) await gate.promise;
      otherSide.got.push(n);
    },
  });
  await transact(async (transaction) => {
    for (let n = 0; n < 20; n += 1) await lane.send(transaction, { n });
  });
  await until(() => otherSide.got.length === 19);
  t.notOk(otherSide.got.includes(0));
  gate.resolve();
  await outbox.deliverDue();
  t.equal(otherSide.got.length, 20);
  t.equal(await waiting(), 0);
});

test('a lane that fails or hangs delays no other lane', async (t) => {
  const { database, store, log, transact, failure, otherSide } = await setUp(t);
  const outbox = createOutboxService({ store, log, databaseDeadlineMs: DATABASE_DEADLINE_MS });
  const usual = laneTo(otherSide, failure);
  const failing = outbox.openLane({ ...usual, kind: 'failing', deliver: () => Promise.reject(failure) });
  const hanging = outbox.openLane({
    ...usual,
    kind: 'hanging',
    deliver: () => new Promise(() => {}),
    isAwaited: false,
  });
  const working = outbox.openLane({ ...usual, kind: 'working', isAwaited: false });
  for (let n = 0; n < 50; n += 1) {
    await transact((transaction) => failing.send(transaction, { n }));
    await transact((transaction) => hanging.send(transaction, { n }));
    await transact((transaction) => working.send(transaction, { n }));
  }
  await until(async () => (await database.$count(rows)) === 100);
  t.equal(otherSide.got.length, 50);
  const counts = await store.count();
  t.match(counts, [
    { kind: 'failing', waiting: 50 },
    { kind: 'hanging', waiting: 50 },
  ]);
});

test('an attempt that takes longer than the deadline has failed, and is told to stop', async (t) => {
  const { openReplica, transact, ripen, linesOf, events } = await setUp(t);
  const signals: AbortSignal[] = [];
  const { outbox, lane } = openReplica({
    deliver: (_payload, { signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    },
  });
  await transact((transaction) => lane.send({ ...transaction, afterCommit: () => {} }, { n: 1 }));
  await ripen();
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const done = outbox.deliverDue();
  while (signals.length === 0) await turn();
  mock.timers.tick(DEADLINE_MS - 1);
  await turn();
  t.equal(signals[0]?.aborted, false);
  mock.timers.tick(1);
  await done;
  t.equal(signals[0]?.aborted, true);
  t.match(linesOf('debug'), [{ context: { err: { name: 'DeliveryTimeout' } } }]);
  t.match(events, [{ outcome: 'failed', attempts: 2 }]);
});

test('a payload in a form that this release does not know fails, and the others go on', async (t) => {
  const { openReplica, database, otherSide, store } = await setUp(t);
  const { outbox, send } = openReplica({ isAwaited: false });
  for (const payload of [{ m: 1 }, 'text', null, { n: 'one' }])
    await database.insert(rows).values({ id: crypto.randomUUID(), kind: 'test', payload: payload ?? {} });
  await send(1);
  await outbox.deliverDue();
  t.same(otherSide.got, [1]);
  t.match(await store.count(), [{ kind: 'test', waiting: 4 }]);
  t.match(await database.select().from(rows), Array(4).fill({ lastError: 'PayloadError' }));
});

test('whatever a delivery throws is a failure', async (t) => {
  const { openReplica, waiting, linesOf } = await setUp(t);
  const thrown: unknown[] = ['a word', undefined, null, 0];
  const { send } = openReplica({
    deliver: async ({ n }) => {
      throw thrown[n];
    },
  });
  for (const n of thrown.keys()) await t.resolves(send(n));
  t.equal(await waiting(), 4);
  t.equal(linesOf('warn').length, 4);
});

test('what became of a message may be lost, and then it goes out again', async (t) => {
  const { openReplica, otherSide, linesOf, ripen, waiting } = await setUp(t);
  const lost = new Error('no database');
  const reject = async () => {
    throw lost;
  };
  const failing = openReplica({}, { delete: reject, fail: reject });
  await t.resolves(failing.send(1));
  t.match(linesOf('warn'), [{ context: { err: lost } }]);
  otherSide.away = true;
  await t.resolves(failing.send(2));
  otherSide.away = false;
  t.equal(await waiting(), 2);
  await ripen();
  await openReplica().outbox.deliverDue();
  t.same(otherSide.got.toSorted(), [1, 1, 2]);
  t.equal(await waiting(), 0);
});

test('once started it looks every second, tells failures, and stops when it is closed', async (t) => {
  const { openReplica, linesOf } = await setUp(t);
  let looks = 0;
  const failure = new Error('no database');
  const claim = async () => {
    looks += 1;
    if (looks === 1) throw failure;
    return [];
  };
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const { outbox } = openReplica({}, { claim });
  outbox.start();
  for (const round of [1, 2, 3]) {
    mock.timers.tick(SECOND_MS);
    await turn();
    t.equal(looks, round);
  }
  t.match(linesOf('warn'), [{ context: { err: failure, kind: 'test' } }]);
  await outbox.close();
  mock.timers.tick(9 * SECOND_MS);
  await turn();
  t.equal(looks, 3);
});

test('closing waits for what is under way, and begins nothing more', async (t) => {
  const { openReplica, transact, otherSide, waiting } = await setUp(t);
  const gate = Promise.withResolvers<void>();
  const { outbox, lane, send } = openReplica({
    isAwaited: false,
    atOnce: 1,
    deliver: async ({ n }) => {
      await gate.promise;
      otherSide.got.push(n);
    },
  });
  await transact(async (transaction) => {
    for (const n of [1, 2]) await lane.send(transaction, { n });
  });
  await until(async () => (await claimedOnes()).length === 1);
  let isClosed = false;
  const closing = outbox.close().then(() => {
    isClosed = true;
  });
  await turn();
  t.equal(isClosed, false);
  gate.resolve();
  await closing;
  await send(3);
  await outbox.deliverDue();
  t.equal(otherSide.got.length, 1);
  t.equal(await waiting(), 2);

  async function claimedOnes() {
    const all = await transact((transaction) => transaction.database.select().from(rows));
    return all.filter(({ attempts }) => attempts > 0);
  }
});

test('a failure to look that nothing waits for is told', async (t) => {
  const { openReplica, linesOf } = await setUp(t);
  const failure = new Error('no database');
  const { send } = openReplica(
    { isAwaited: false },
    {
      claim: async () => {
        throw failure;
      },
    },
  );
  await send(1);
  await until(() => linesOf('warn').length === 1);
  t.match(linesOf('warn'), [{ context: { err: failure } }]);
});

test('a message that ends its process at each attempt is given up, without another one', async (t) => {
  const { database, openReplica, store, otherSide, linesOf, events, ripen } = await setUp(t);
  const id = crypto.randomUUID();
  await database.insert(rows).values({ id, kind: 'test', payload: { n: 1 } });
  for (const attempts of [1, 2, 3]) {
    t.match(await store.claim('test', 1, LEASE_MS), [{ id, attempts }], 'claimed by a process that dies');
    await ripen();
  }
  await openReplica().outbox.deliverDue();
  t.equal(otherSide.tried, 0);
  t.match(await store.listDead(), [{ id, lastError: 'LostAttempt' }]);
  t.match(linesOf('error'), [{ context: { id, err: { name: 'LostAttempt' } }, message: /outbox list/ }]);
  // On a slow machine, what hangs in an earlier test meets its deadline now.
  t.match(
    events.filter(({ kind }) => kind === 'test'),
    [{ outcome: 'dead' }],
  );
});

test('a message is one replica’s own through a slow commit, a slow delivery and a slow deletion', async (t) => {
  const { openReplica, transact, moveTime, otherSide, store, waiting } = await setUp(t);
  const other = openReplica();
  const slowly = async (ms: number) => {
    await moveTime(ms);
    await other.outbox.deliverDue();
    t.equal(otherSide.tried, 0, 'the other replica does not get it');
  };
  const deadlineMs = SECOND_MS;
  const { lane } = openReplica(
    { deadlineMs, deliver: () => slowly(deadlineMs) },
    {
      delete: async (ids) => {
        // Less than it may take by what has really passed meanwhile.
        await slowly(DATABASE_DEADLINE_MS - 3 * SECOND_MS);
        await store.delete(ids);
      },
    },
  );
  await transact(async (transaction) => {
    await lane.send(transaction, { n: 1 });
    await slowly(DATABASE_DEADLINE_MS);
  });
  t.equal(await waiting(), 0);
});

test('a message that no attempt could deliver is given up at once, and delays no other', async (t) => {
  const { openReplica, store, otherSide, events, linesOf } = await setUp(t);
  const { outbox, send } = openReplica({
    isAwaited: false,
    atOnce: 2,
    async deliver({ n }) {
      if (n < 5) throw new Undeliverable('NoSuchMailbox', 'there is no such mailbox');
      otherSide.got.push(n);
    },
  });
  for (const n of [1, 2, 3, 4, 5]) await send(n);
  await outbox.deliverDue();
  await until(() => otherSide.got.length === 1);
  await outbox.deliverDue();
  t.match(
    await store.listDead(),
    Array.from({ length: 4 }, () => ({ attempts: 1, lastError: 'NoSuchMailbox' })),
  );
  t.equal(events.filter(({ outcome }) => outcome === 'dead').length, 4);
  t.equal(linesOf('error').length, 4);
  t.equal(linesOf('warn').length, 0);
});

/** A started replica whose looks find what the test puts there. */
async function startOnTimers(t: Test, changes: Changes) {
  const { openReplica, linesOf } = await setUp(t);
  const due: ClaimedMessage[] = [];
  const looks: number[] = [];
  const nothing = async () => {};
  const { outbox, lane } = openReplica(changes, {
    claim: async (_kind, limit) => {
      looks.push(limit);
      return due.splice(0, limit);
    },
    insert: nothing,
    insertClaimed: nothing,
    delete: nothing,
    fail: nothing,
  });
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  outbox.start();
  const settle = async () => {
    for (let i = 0; i < 20; i += 1) await turn();
  };
  return {
    looks,
    linesOf,
    settle,
    addDue: (count: number) => {
      for (let n = 0; n < count; n += 1)
        due.push({ id: crypto.randomUUID(), payload: { n }, attempts: 1, ageMs: 0 });
    },
    pass: async (ms: number) => {
      for (let passed = 0; passed < ms; passed += SECOND_MS) {
        mock.timers.tick(SECOND_MS);
        await settle();
      }
    },
    /** Sends a message, and does what follows the commit. */
    send: async () => {
      const actions: (() => Promise<void>)[] = [];
      const transaction = { afterCommit: (action: () => Promise<void>) => void actions.push(action) };
      await lane.send(transaction as never, { n: 1 });
      for (const action of actions) await action();
      await settle();
    },
  };
}

const refuse = () => Promise.reject(new Error('away'));

test('after a failure a replica looks again only when all others have looked', async (t) => {
  const { looks, send, addDue, pass } = await startOnTimers(t, { deliver: refuse });
  await pass(SECOND_MS);
  t.equal(looks.length, 1);
  await send();
  await pass(2 * SECOND_MS);
  t.equal(looks.length, 1, 'the others have looked twice');
  await send();
  await pass(SECOND_MS);
  t.equal(looks.length, 2, 'a stream of failures does not put it off for ever');
  addDue(1);
  await pass(3 * SECOND_MS);
  t.equal(looks.length, 3, 'what it had claimed has failed too');
  await pass(3 * SECOND_MS);
  t.equal(looks.length, 6, 'then it looks each second again');
});

test('while the other side is away a look tries a few messages, and new ones wait with the rest', async (t) => {
  const { looks, send, addDue, pass, linesOf } = await startOnTimers(t, {
    isAwaited: false,
    atOnce: 5,
    deliver: refuse,
  });
  addDue(100);
  await pass(SECOND_MS);
  const tried = linesOf('warn').length;
  t.ok(tried >= 5 && tried < 10, `${tried} tried`);
  const before = looks.length;
  for (const _ of [1, 2, 3]) await send();
  t.equal(looks.length, before);
  await pass(3 * SECOND_MS);
  t.ok(linesOf('warn').length > tried, 'it tries some again by itself');
  t.ok(linesOf('warn').length < tried + 10);
});

test('each lane looks in its own time, whatever the others are at', async (t) => {
  const { store, log, failure, otherSide } = await setUp(t);
  const looks: Record<string, number> = {};
  const claim = async (kind: string) => {
    const n = (looks[kind] ?? 0) + 1;
    looks[kind] = n;
    // One that never answers, and one that has something each time.
    if (kind === 'hanging') await new Promise(() => {});
    return [{ id: crypto.randomUUID(), payload: { n }, attempts: 1, ageMs: 0 }];
  };
  const nothing = async () => {};
  const outbox = createOutboxService({
    store: { ...store, claim, delete: nothing, fail: nothing },
    log,
    databaseDeadlineMs: DATABASE_DEADLINE_MS,
  });
  const usual = laneTo(otherSide, failure);
  const stuck = { ...usual, deliver: () => new Promise<void>(() => {}) };
  for (const lane of [{ ...stuck, kind: 'hanging' }, { ...stuck, kind: 'stuck', atOnce: 1 }, usual])
    outbox.openLane(lane);
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  outbox.start();
  for (const round of [1, 2, 3]) {
    mock.timers.tick(SECOND_MS);
    for (let i = 0; i < 20; i += 1) await turn();
    t.equal(otherSide.got.length, round);
  }
  t.match(looks, { hanging: 1, stuck: 1, test: 3 });
});

test('a message is part of the request that waits for it, and of no request that does not', async (t) => {
  const request = new AsyncLocalStorage<string>();
  for (const isAwaited of [true, false]) {
    const { openReplica, waiting } = await setUp(t);
    const parts: unknown[] = [];
    const { send } = openReplica({ isAwaited, deliver: async () => void parts.push(request.getStore()) });
    await request.run('a request', () => send(1));
    await until(async () => (await waiting()) === 0);
    t.same(parts, [isAwaited ? 'a request' : undefined]);
  }
});

test('tells how many messages each lane has, an empty lane and an unknown kind included', async (t) => {
  const { openReplica, store, transact } = await setUp(t);
  const { outbox } = openReplica();
  const empty = { kind: 'test', waiting: 0, oldestAt: null, dead: 0 };
  t.same(await outbox.depths(), [empty]);
  await transact((transaction) =>
    store.insert(transaction, { id: randomUUID(), kind: 'older', payload: {} }),
  );
  t.match(await outbox.depths(), [{ kind: 'older', waiting: 1, oldestAt: Date, dead: 0 }, empty]);
});
