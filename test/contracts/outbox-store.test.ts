import { type Test, test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import { outbox } from '../../src/db/schema.ts';
import { createOutboxStore, type Failure, type NewMessage } from '../../src/outbox/outbox-store.ts';
import { databases, openPostgres, type TestDatabase } from '../support/adapters.ts';

const SECOND_MS = 1_000;
const LEASE_MS = 120 * SECOND_MS;

for (const { name, open } of databases) test(name, (t) => suite(t, open));

function makeMessage(changes: Partial<NewMessage> = {}): NewMessage {
  return { id: uuidv7(), kind: 'mail', payload: { to: 'ada' }, ...changes };
}

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const store = createOutboxStore(opened.database);
    const insert = async (...messages: NewMessage[]) => {
      for (const message of messages) await opened.transact((tx) => store.insert(tx, message));
    };
    const insertClaimed = (message: NewMessage) =>
      opened.transact((tx) => store.insertClaimed(tx, message, LEASE_MS));
    const claimIds = async (kind = 'mail', limit = 100) =>
      (await store.claim(kind, limit, LEASE_MS)).map(({ id }) => id).sort();
    const failed = (id: string, changes: Partial<Failure> = {}) =>
      store.fail([{ id, attempts: 1, delayMs: 60 * SECOND_MS, error: 'ECONNREFUSED', ...changes }]);
    const revive = (id: string | null) =>
      opened.transact(async (tx) => (await store.revive(tx, id, 10)).map(({ id }) => id));
    const drop = (id: string) => opened.transact((tx) => store.drop(tx, id));
    return { ...opened, store, insert, insertClaimed, claimIds, failed, revive, drop };
  }

  t.test('a message is claimed as it was written, with its age by the time of the database', async (t) => {
    const { store, insert, moveTime } = await setUp(t);
    const payloads = [{ hashes: ['ab', 'cd'] }, ['ü', '"', 1], 'text', { deep: { er: null } }];
    const messages = payloads.map((payload) => makeMessage({ payload }));
    await insert(...messages);
    await moveTime(90 * SECOND_MS);
    const claimed = await store.claim('mail', 100, LEASE_MS);
    t.same(
      claimed.map(({ id, payload }) => ({ id, payload })).sort((a, b) => (a.id < b.id ? -1 : 1)),
      messages.map(({ id, payload }) => ({ id, payload })),
    );
    for (const { attempts, ageMs } of claimed) {
      t.equal(attempts, 1);
      t.ok(ageMs >= 90 * SECOND_MS && ageMs < 120 * SECOND_MS, `${ageMs}`);
    }
  });

  t.test('a message is written in the transaction of its caller', async (t) => {
    const { database, store, transact } = await setUp(t);
    const change = new Error('changed my mind');
    for (const write of [store.insert, store.insertClaimed]) {
      const failing = transact(async (transaction) => {
        await write(transaction, makeMessage(), LEASE_MS);
        throw change;
      });
      await t.rejects(failing, change);
    }
    t.equal(await database.$count(outbox), 0);
  });

  t.test('a claimed message is claimed by no other until its lease ends', async (t) => {
    const { insert, insertClaimed, claimIds, moveTime } = await setUp(t);
    const [due, born] = [makeMessage(), makeMessage()];
    await insert(due);
    await insertClaimed(born);
    t.same(await claimIds(), [due.id], 'its writer has claimed the other one');
    t.same(await claimIds(), []);
    await moveTime(LEASE_MS / 2);
    t.same(await claimIds(), []);
    await moveTime(LEASE_MS / 2);
    t.same(await claimIds(), [due.id, born.id].sort());
  });

  t.test('the longest due are claimed first, and no more than asked for', async (t) => {
    const { insert, claimIds, moveTime } = await setUp(t);
    const messages = Array.from({ length: 5 }, () => makeMessage());
    for (const message of messages.toReversed()) {
      await insert(message);
      await moveTime(SECOND_MS);
    }
    const ids = messages.map(({ id }) => id);
    t.same(await claimIds('mail', 3), ids.slice(2).sort());
    t.same(await claimIds('mail', 3), ids.slice(0, 2).sort());
  });

  t.test('each kind is claimed, counted and listed apart', async (t) => {
    const { store, insert, claimIds } = await setUp(t);
    const [mail, hook] = [makeMessage(), makeMessage({ kind: 'webhook' })];
    await insert(mail, hook);
    t.same(await claimIds('mail'), [mail.id]);
    t.same(await claimIds('sessions_ended'), []);
    t.same(await claimIds('webhook'), [hook.id]);
    await store.fail([{ id: hook.id, attempts: 1, delayMs: null, error: 'Error' }]);
    const counts = await store.count();
    t.match(counts, [
      { kind: 'mail', waiting: 1, dead: 0 },
      { kind: 'webhook', waiting: 0, oldestAt: null, dead: 1 },
    ]);
    t.ok(counts[0]?.oldestAt instanceof Date);
    await insert(makeMessage(), makeMessage());
    const some = await store.count(3);
    t.equal(
      some.reduce((sum, { waiting, dead }) => sum + waiting + dead, 0),
      3,
      'no more than was asked for',
    );
  });

  t.test('a failed message waits for as long as it is told, and its attempts add up', async (t) => {
    const { store, insert, claimIds, failed, moveTime } = await setUp(t);
    const message = makeMessage();
    await insert(message);
    await claimIds();
    await failed(message.id);
    await moveTime(30 * SECOND_MS);
    t.same(await claimIds(), []);
    await moveTime(30 * SECOND_MS);
    t.match(await store.claim('mail', 1, LEASE_MS), [{ id: message.id, attempts: 2 }]);
  });

  t.test('who has lost a claim changes nothing of the next one', async (t) => {
    const { store, database, insert, claimIds, failed, moveTime } = await setUp(t);
    const message = makeMessage();
    await insert(message);
    await claimIds();
    await moveTime(LEASE_MS);
    t.match(await store.claim('mail', 1, LEASE_MS), [{ attempts: 2 }]);
    await failed(message.id, { attempts: 1, delayMs: null });
    await failed(message.id, { attempts: 1, delayMs: 0 });
    t.same(await store.listDead(), []);
    t.same(await claimIds(), [], 'the second claim stands');
    t.match(await database.select().from(outbox), [{ attempts: 2, lastError: null }]);
  });

  t.test('a dead message is kept, listed without its payload, and claimed no more', async (t) => {
    const { store, insert, claimIds, failed, moveTime } = await setUp(t);
    const [first, second] = [makeMessage(), makeMessage()];
    await insert(first, second);
    await claimIds();
    await failed(first.id, { delayMs: null });
    await moveTime(SECOND_MS);
    await failed(second.id, { delayMs: null, error: 'EAUTH' });
    await moveTime(LEASE_MS);
    t.same(await claimIds(), []);
    const dead = await store.listDead();
    t.match(dead, [
      { id: second.id, kind: 'mail', attempts: 1, lastError: 'EAUTH' },
      { id: first.id, kind: 'mail', attempts: 1, lastError: 'ECONNREFUSED' },
    ]);
    for (const message of dead) {
      t.notOk('payload' in message);
      t.ok(message.createdAt instanceof Date && message.deadAt >= message.createdAt);
    }
  });

  t.test('several failures are written at once, each in its own way', async (t) => {
    const { store, insert, claimIds, moveTime } = await setUp(t);
    const [soon, late, dead] = [makeMessage(), makeMessage(), makeMessage()];
    await insert(soon, late, dead);
    await claimIds();
    const error = 'Error';
    await store.fail([
      { id: soon.id, attempts: 1, delayMs: 1.5 * SECOND_MS, error },
      { id: late.id, attempts: 1, delayMs: 60 * SECOND_MS, error },
      { id: dead.id, attempts: 1, delayMs: null, error },
    ]);
    await moveTime(2 * SECOND_MS);
    t.same(await claimIds(), [soon.id]);
    t.match(await store.listDead(), [{ id: dead.id }]);
  });

  t.test('a revived message is due with all its attempts before it; only dead ones are', async (t) => {
    const { store, insert, claimIds, failed, revive } = await setUp(t);
    const [one, two, alive] = [makeMessage(), makeMessage(), makeMessage()];
    await insert(one, two, alive);
    await claimIds();
    for (const { id } of [one, two]) await failed(id, { delayMs: null });
    t.same(await revive(alive.id), []);
    t.same(await revive(uuidv7()), []);
    t.same(await revive(one.id), [one.id]);
    t.match(await store.claim('mail', 10, LEASE_MS), [{ id: one.id, attempts: 1 }]);
    t.same(await revive(null), [two.id]);
    t.same(await claimIds(), [two.id]);
    t.same(await store.listDead(), []);
  });

  t.test('only a dead message can be dropped', async (t) => {
    const { database, insert, claimIds, failed, drop } = await setUp(t);
    const [dead, alive] = [makeMessage(), makeMessage()];
    await insert(dead, alive);
    await claimIds();
    await failed(dead.id, { delayMs: null });
    t.equal(await drop(alive.id), undefined);
    t.same(await drop(dead.id), { id: dead.id, kind: 'mail' });
    t.equal(await drop(dead.id), undefined);
    t.equal(await database.$count(outbox), 1);
  });

  t.test('deleting takes those that are named, however often, and no others', async (t) => {
    const { database, store, insert, claimIds } = await setUp(t);
    const [gone, kept] = [makeMessage(), makeMessage()];
    await insert(gone, kept);
    for (const _ of [1, 2]) await store.delete([gone.id, uuidv7()]);
    t.same(await claimIds(), [kept.id]);
    t.equal(await database.$count(outbox), 1);
  });

  t.test('what is taken back is of one kind, and has one value in one member', async (t) => {
    const { database, store, transact, insert, failed } = await setUp(t);
    const payload = { userId: 'ada' };
    const dead = makeMessage({ payload });
    const others = [
      makeMessage({ payload: { userId: 'bob' } }),
      makeMessage({ payload: { to: 'ada' } }),
      makeMessage({ payload: 'ada' }),
      makeMessage({ payload, kind: 'webhook' }),
    ];
    await insert(makeMessage({ payload }), dead, ...others);
    await store.claim('mail', 10, LEASE_MS);
    await failed(dead.id, { delayMs: null });
    const wish = { kind: 'mail', member: 'userId', value: 'ada' };
    const isPending = () => transact((transaction) => store.isPending(transaction, wish));
    t.equal(await isPending(), true);
    t.equal(await transact((transaction) => store.withdraw(transaction, wish)), 2);
    t.equal(await isPending(), false, 'those of others do not count');
    const left = await database.select({ id: outbox.id }).from(outbox);
    t.same(left.map(({ id }) => id).sort(), others.map(({ id }) => id).sort());
    t.equal(await transact((transaction) => store.withdraw(transaction, wish)), 0);
  });

  t.test('what has been dead for long goes, in parts, and nothing else', async (t) => {
    const { database, store, transact, insert, failed, moveTime } = await setUp(t);
    const [first, second, young, waiting] = [1, 2, 3, 4].map(() => makeMessage()) as [
      ...[NewMessage, NewMessage, NewMessage, NewMessage],
    ];
    const other = makeMessage({ kind: 'webhook' });
    await insert(first, second, young, other);
    await store.claim('mail', 10, LEASE_MS);
    await store.claim('webhook', 10, LEASE_MS);
    for (const { id } of [first, second, other]) await failed(id, { delayMs: null });
    await moveTime(3_600 * SECOND_MS);
    await failed(young.id, { delayMs: null });
    await insert(waiting);
    const sweep = (limit: number) =>
      transact((tx) => store.sweepDead(tx, { kind: 'mail', keptMs: 1_800 * SECOND_MS }, limit));
    t.equal(await sweep(1), 1);
    t.equal(await sweep(10), 1);
    t.equal(await sweep(10), 0);
    const left = await database.select({ id: outbox.id }).from(outbox);
    t.same(left.map(({ id }) => id).sort(), [young.id, other.id, waiting.id].sort());
  });

  t.test('what the release before writes is due at once', async (t) => {
    const { database, store } = await setUp(t);
    const message = makeMessage({ kind: 'sessions_ended' });
    await database.insert(outbox).values(message);
    t.match(await store.claim('sessions_ended', 1, LEASE_MS), [{ id: message.id, attempts: 1 }]);
  });
}

test('a claim does not wait for another one, and takes what that one has left', async (t) => {
  const { database, transact } = await openPostgres();
  const store = createOutboxStore(database);
  const messages = Array.from({ length: 4 }, () => makeMessage());
  for (const message of messages) await transact((tx) => store.insert(tx, message));
  const claimed: string[] = [];
  await transact(async (first) => {
    const mine = await createOutboxStore(first.database).claim('mail', 2, LEASE_MS);
    // The first claim is not committed yet: its rows are locked.
    const others = await store.claim('mail', 10, LEASE_MS);
    t.equal(mine.length, 2);
    t.equal(others.length, 2);
    claimed.push(...mine.map(({ id }) => id), ...others.map(({ id }) => id));
  });
  t.same(claimed.sort(), messages.map(({ id }) => id).sort());
  t.same(await store.claim('mail', 10, LEASE_MS), []);
});
