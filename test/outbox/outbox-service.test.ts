import { mock } from 'node:test';
import { type Test, test } from 'tap';
import { outbox as rows } from '../../src/db/schema.ts';
import { createOutboxService } from '../../src/outbox/outbox-service.ts';
import { createOutboxStore, type OutboxStore } from '../../src/outbox/outbox-store.ts';
import { openPostgres } from '../support/adapters.ts';

const SECOND_MS = 1_000;

/** Replicas on one outbox, and another side that can go away. */
async function setUp() {
  const opened = await openPostgres();
  const { database, transact, moveTime } = opened;
  const otherSide = { away: false, got: [] as unknown[], tried: 0 };
  const errors: unknown[] = [];
  const failure = new Error('the other side is away');
  const store = createOutboxStore(database);
  const deliver = async (payload: unknown) => {
    otherSide.tried += 1;
    if (otherSide.away) throw failure;
    otherSide.got.push(payload);
  };
  const createReplica = (changes: Partial<OutboxStore> = {}) =>
    createOutboxService({
      store: { ...store, ...changes },
      deliver: { sessions_ended: deliver },
      onError: (error) => void errors.push(error),
    });
  const replica = createReplica();
  const send = (payload: unknown, by = replica) =>
    transact((transaction) => by.send(transaction, 'sessions_ended', payload));
  const waiting = () => database.$count(rows);
  const ripen = () => moveTime(3 * SECOND_MS);
  return { ...opened, otherSide, errors, failure, createReplica, replica, send, waiting, ripen };
}

test('a message is delivered once its transaction has been committed, and then gone', async (t) => {
  const { transact, replica, otherSide, waiting, errors } = await setUp();
  await transact(async (transaction) => {
    await replica.send(transaction, 'sessions_ended', { n: 1 });
    t.equal(await transaction.database.$count(rows), 1, 'written in the transaction');
    t.equal(await waiting(), 0, 'nobody else sees it yet');
    t.equal(otherSide.tried, 0);
  });
  t.same(otherSide.got, [{ n: 1 }]);
  t.equal(await waiting(), 0);
  t.same(errors, []);
});

test('a message of a transaction that is rolled back is neither kept nor delivered', async (t) => {
  const { transact, replica, otherSide, waiting, ripen } = await setUp();
  const change = new Error('changed my mind');
  const failing = transact(async (transaction) => {
    await replica.send(transaction, 'sessions_ended', {});
    throw change;
  });
  await t.rejects(failing, change);
  await ripen();
  await replica.retry();
  t.equal(otherSide.tried, 0);
  t.equal(await waiting(), 0);
});

test('what cannot be delivered is told, stays, and is tried until the other side is back', async (t) => {
  const { send, replica, otherSide, errors, failure, waiting, ripen } = await setUp();
  otherSide.away = true;
  await t.resolves(send({ n: 1 }), 'the transaction stands');
  t.same(errors, [failure]);
  await ripen();
  for (const _ of [1, 2]) await t.rejects(replica.retry(), failure);
  t.equal(await waiting(), 1);
  otherSide.away = false;
  await replica.retry();
  t.same(otherSide.got, [{ n: 1 }]);
  t.equal(await waiting(), 0);
});

test('a message of a process that died after its commit is delivered by another replica', async (t) => {
  const { transact, createReplica, otherSide, waiting, ripen } = await setUp();
  const dying = createReplica();
  await transact((transaction) =>
    dying.send({ ...transaction, database: transaction.database, afterCommit: () => {} }, 'sessions_ended', {
      n: 1,
    }),
  );
  t.equal(await waiting(), 1);
  const other = createReplica();
  await other.retry();
  t.equal(otherSide.tried, 0, 'as long as it is young, its own replica may be at it');
  await ripen();
  await other.retry();
  t.same(otherSide.got, [{ n: 1 }]);
  t.equal(await waiting(), 0);
});

test('a retry stops at the first failure, and keeps what it could not deliver', async (t) => {
  const { send, otherSide, errors, failure, createReplica, waiting, ripen } = await setUp();
  otherSide.away = true;
  for (const n of [1, 2, 3]) await send({ n });
  await ripen();
  otherSide.tried = 0;
  await t.rejects(createReplica().retry(), failure);
  t.equal(otherSide.tried, 1);
  t.equal(errors.length, 3);
  t.equal(await waiting(), 3);
});

test('what was delivered before a failure does not stay', async (t) => {
  const { transact, replica, otherSide, waiting, ripen, createReplica, database } = await setUp();
  otherSide.away = true;
  for (const n of [1, 2, 3]) {
    await transact((transaction) => replica.send(transaction, 'sessions_ended', { n }));
  }
  await ripen();
  const store = createOutboxStore(database);
  otherSide.away = false;
  // The other side goes away again after the first.
  const list = async (minAgeMs: number, limit: number) => {
    const messages = await store.list(minAgeMs, limit);
    return messages.map((message, index) => ({
      ...message,
      get payload() {
        otherSide.away = index > 0;
        return message.payload;
      },
    }));
  };
  await t.rejects(createReplica({ list }).retry());
  t.same(otherSide.got, [{ n: 1 }]);
  t.equal(await waiting(), 2);
});

test('a backlog of more than one batch is delivered whole, in order', async (t) => {
  const { send, replica, otherSide, waiting, ripen } = await setUp();
  otherSide.away = true;
  for (let n = 0; n < 101; n += 1) await send({ n });
  otherSide.away = false;
  await ripen();
  await replica.retry();
  t.same(
    otherSide.got,
    Array.from({ length: 101 }, (_, n) => ({ n })),
  );
  t.equal(await waiting(), 0);
});

test('a row that could not be deleted is told, and the message delivered again', async (t) => {
  const { send, createReplica, otherSide, errors, ripen } = await setUp();
  const failure = new Error('no database');
  const failing = createReplica({
    delete: async () => {
      throw failure;
    },
  });
  await send({ n: 1 }, failing);
  t.same(errors, [failure]);
  await ripen();
  await createReplica().retry();
  t.same(otherSide.got, [{ n: 1 }, { n: 1 }]);
});

/** Lets everything happen that waits for nothing but a promise. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function enableTimers(t: Test): void {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
}

test('once started it retries every second, tells failures, and stops when it is closed', async (t) => {
  const { createReplica, errors } = await setUp();
  let looks = 0;
  const failure = new Error('no database');
  const list = async () => {
    looks += 1;
    if (looks === 1) throw failure;
    return [];
  };
  enableTimers(t);
  const retries = createReplica({ list }).start();
  for (const round of [1, 2, 3]) {
    mock.timers.tick(SECOND_MS);
    await settle();
    t.equal(looks, round);
  }
  t.same(errors, [failure]);
  await retries.close();
  mock.timers.tick(9 * SECOND_MS);
  await settle();
  t.equal(looks, 3);
});
