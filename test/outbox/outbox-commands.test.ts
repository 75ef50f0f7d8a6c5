import { test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import { outbox as rows } from '../../src/db/schema.ts';
import { createOutboxCommands, type NoteAct } from '../../src/outbox/outbox-commands.ts';
import { DEAD_PLACE } from '../../src/outbox/outbox-rules.ts';
import { createOutboxStore } from '../../src/outbox/outbox-store.ts';
import { openPostgres } from '../support/adapters.ts';

async function setUp() {
  const { database, transact } = await openPostgres();
  const store = createOutboxStore(database);
  const noted: object[] = [];
  const note: NoteAct = async (_transaction, act) => void noted.push(act);
  const acts = createOutboxCommands({ store, transact });
  const commands = {
    ...acts,
    retry: (wish: { id?: string }) => acts.retry(wish, note),
    drop: (wish: { id: string }) => acts.drop(wish, note),
  };
  const addDead = async () => {
    const id = uuidv7();
    await database.insert(rows).values({ id, kind: 'mail', payload: { code: 'a secret' } });
    await store.claim('mail', 1, 60_000);
    await store.fail([{ id, attempts: 1, delayMs: null, error: 'EAUTH' }]);
    return id;
  };
  return { database, store, addDead, commands, noted };
}

test('the list has what waits and what is dead, and no payload', async (t) => {
  const { database, commands, addDead } = await setUp();
  t.same(await commands.list(), { lanes: [], dead: [] });
  const id = await addDead();
  await database.insert(rows).values({ id: uuidv7(), kind: 'mail', payload: { code: 'a secret' } });
  const listing = await commands.list();
  const instant = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;
  t.match(listing, {
    lanes: [{ kind: 'mail', waiting: 1, oldest_at: instant, dead: 1 }],
    dead: [{ id, kind: 'mail', attempts: 1, created_at: instant, dead_at: instant, last_error: 'EAUTH' }],
  });
  t.notMatch(JSON.stringify(listing), 'secret');
});

test('a kind that has only dead messages has no oldest that waits', async (t) => {
  const { commands, addDead } = await setUp();
  await addDead();
  t.match(await commands.list(), { lanes: [{ kind: 'mail', waiting: 0, oldest_at: null, dead: 1 }] });
});

test('one dead message is tried again, or all of them', async (t) => {
  const { commands, addDead, store, noted } = await setUp();
  const [one] = [await addDead(), await addDead(), await addDead()];
  t.same(await commands.retry({ id: one }), { retried: 1 });
  await t.rejects(commands.retry({ id: one }), {
    code: 'not_found',
    detail: `There is no dead message ${one}.`,
  });
  t.same(await commands.retry({}), { retried: 2 });
  t.same(await commands.retry({}), { retried: 0 });
  t.same(noted, [
    { kind: 'outbox.retried', details: { id: one, lane: 'mail' } },
    { kind: 'outbox.retried', details: { count: 2 } },
  ]);
  t.equal((await store.claim('mail', 10, 60_000)).length, 3);
});

test('dead messages are listed in parts, of one lane or of all, the latest first', async (t) => {
  const { commands, addDead } = await setUp();
  const ids = [await addDead(), await addDead(), await addDead()].reverse();
  const [first, ...rest] = await commands.listDead({ limit: 2 });
  t.match([first, ...rest], [{ id: ids[0] }, { id: ids[1] }]);
  t.match(await commands.listDead({ kind: 'mail', after: rest[0]?.place }), [{ id: ids[2] }]);
  t.same(await commands.listDead({ kind: 'webhook' }), []);
  t.match(String(first?.place), DEAD_PLACE);
});

test('a dead message is deleted once', async (t) => {
  const { commands, addDead, database, noted } = await setUp();
  const id = await addDead();
  t.same(await commands.drop({ id }), { dropped: id });
  await t.rejects(commands.drop({ id }), { code: 'not_found' });
  t.same(noted, [{ kind: 'outbox.dropped', details: { id, lane: 'mail' } }]);
  t.equal(await database.$count(rows), 0);
});

test('what is no id of a message is refused', async (t) => {
  const { commands } = await setUp();
  const refusal = { code: 'validation_failed', errors: [{ path: '/id' }] };
  await t.rejects(commands.retry({ id: 'x' }), refusal);
  await t.rejects(commands.drop({ id: 'x' }), refusal);
});

test('thousands of dead messages are tried again by one command', async (t) => {
  const { commands, database } = await setUp();
  const dead = Array.from({ length: 2_001 }, () => ({
    id: uuidv7(),
    kind: 'mail',
    payload: {},
    deadAt: new Date(),
  }));
  await database.insert(rows).values(dead);
  t.equal((await commands.list()).dead.length, 1_000, 'those that died last');
  t.same(await commands.retry({}), { retried: 2_001 });
  t.match(await commands.list(), { lanes: [{ waiting: 2_001, dead: 0 }] });
});
