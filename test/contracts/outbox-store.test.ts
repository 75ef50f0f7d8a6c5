import { type Test, test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import { outbox } from '../../src/db/schema.ts';
import { createOutboxStore, type OutboxMessage } from '../../src/outbox/outbox-store.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

const SECOND_MS = 1_000;

for (const { name, open } of databases) test(name, (t) => suite(t, open));

function makeMessage(payload: unknown = { tokenHashes: ['ab'] }): OutboxMessage {
  return { id: uuidv7(), kind: 'sessions_ended', payload };
}

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const store = createOutboxStore(opened.database);
    const insert = (message: OutboxMessage) =>
      opened.transact((transaction) => store.insert(transaction, message));
    return { ...opened, store, insert };
  }

  t.test('a message is listed as it was written', async (t) => {
    const { store, insert, moveTime } = await setUp(t);
    const payloads = [{ tokenHashes: ['ab', 'cd'] }, ['ü', '"', 1], 'text', { deep: { er: null } }];
    const messages = payloads.map(makeMessage);
    for (const message of messages) await insert(message);
    await moveTime(SECOND_MS);
    t.strictSame(await store.list(0, 100), messages);
  });

  t.test('a message is written in the transaction of its caller', async (t) => {
    const { database, store, transact } = await setUp(t);
    const change = new Error('changed my mind');
    const failing = transact(async (transaction) => {
      await store.insert(transaction, makeMessage());
      throw change;
    });
    await t.rejects(failing, change);
    t.equal(await database.$count(outbox), 0);
  });

  t.test('only what has waited long enough is listed, by the time of the database', async (t) => {
    const { store, insert, moveTime } = await setUp(t);
    const [old, young] = [makeMessage(), makeMessage()];
    await insert(old);
    await moveTime(20 * SECOND_MS);
    await insert(young);
    t.same(await store.list(15 * SECOND_MS, 100), [old]);
    await moveTime(15 * SECOND_MS);
    t.same(await store.list(15 * SECOND_MS, 100), [old, young]);
  });

  t.test('the oldest are listed first, and no more than asked for', async (t) => {
    const { store, insert, moveTime } = await setUp(t);
    const messages = Array.from({ length: 5 }, () => makeMessage());
    for (const message of messages.toReversed()) await insert(message);
    await moveTime(SECOND_MS);
    t.same(await store.list(0, 3), messages.slice(0, 3));
  });

  t.test('deleting takes those that are named, however often, and no others', async (t) => {
    const { database, store, insert, moveTime } = await setUp(t);
    const [gone, kept] = [makeMessage(), makeMessage()];
    await insert(gone);
    await insert(kept);
    for (const _ of [1, 2]) await store.delete([gone.id, uuidv7()]);
    await moveTime(SECOND_MS);
    t.same(await store.list(0, 100), [kept]);
    t.equal(await database.$count(outbox), 1);
  });
}
