import { randomBytes } from 'node:crypto';
import { type Test, test } from 'tap';
import Type, { type TSchema } from 'typebox';
import { outbox as rows } from '../../src/db/schema.ts';
import { createOutboxService } from '../../src/outbox/outbox-service.ts';
import { createOutboxStore } from '../../src/outbox/outbox-store.ts';
import { openSealedLane } from '../../src/outbox/sealed-lane.ts';
import { openPostgres } from '../support/adapters.ts';

const Payload = Type.Object({ secret: Type.String() });

type Keys = Parameters<typeof openSealedLane>[2];

/** Replicas with other keys, or another form of the payload, and what they have delivered. */
async function setUp(t: Test) {
  const { database, transact } = await openPostgres();
  const delivered: unknown[] = [];

  function openReplica(keys: Keys, { kind = 'letters', payload = Payload as TSchema } = {}) {
    const outbox = createOutboxService({
      store: createOutboxStore(database),
      log: { debug: () => {}, warn: () => {}, error: () => {} },
      databaseDeadlineMs: 30_000,
    });
    t.teardown(outbox.close);
    const retry = { firstDelayMs: 60_000, maxDelayMs: 60_000, maxAttempts: 3 };
    const deliver = async (content: unknown) => void delivered.push(content);
    const settings = { kind, payload, deliver, isAwaited: true, atOnce: 1, deadlineMs: 10_000, retry };
    return { outbox, lane: openSealedLane(outbox, settings, keys) };
  }
  const lastError = async () => (await database.select().from(rows))[0]?.lastError;
  return { database, transact, delivered, openReplica, lastError };
}

test('a payload is delivered as it was sent, and cannot be read in the outbox', async (t) => {
  const { database, transact, delivered, openReplica } = await setUp(t);
  const { lane } = openReplica({ current: randomBytes(32) });
  const secret = randomBytes(16).toString('hex');
  const stored: unknown[] = [];
  await transact(async (transaction) => {
    await lane.send(transaction, { secret }, { secret: 'ü' });
    stored.push(...(await transaction.database.select({ payload: rows.payload }).from(rows)));
  });
  t.equal(stored.length, 2);
  t.notMatch(JSON.stringify(stored), secret);
  t.same(delivered, [{ secret }, { secret: 'ü' }]);
  t.equal(await database.$count(rows), 0);
});

type Opened = Awaited<ReturnType<typeof setUp>>;

/** Leaves a message that a replica with these keys has written, and that did not go out yet. */
async function addRow({ database, transact, openReplica }: Opened, keys: Keys) {
  const { lane } = openReplica(keys);
  const written: (typeof rows.$inferSelect)[] = [];
  const undone = new Error('undone');
  await transact(async (transaction) => {
    await lane.send(transaction, { secret: 'x' });
    written.push(...(await transaction.database.select().from(rows)));
    throw undone;
  }).catch((error: unknown) => {
    if (error !== undone) throw error;
  });
  const [row] = written;
  if (row === undefined) throw new Error('nothing was written');
  await database.insert(rows).values({ ...row, attempts: 0, notBefore: new Date(0) });
}

test('what was sealed with the key before is delivered after its replacement', async (t) => {
  const opened = await setUp(t);
  const { delivered, openReplica } = opened;
  const [previous, current] = [randomBytes(32), randomBytes(32)];
  await addRow(opened, { current: previous });
  await openReplica({ current, previous }).outbox.deliverDue();
  t.same(delivered, [{ secret: 'x' }]);
});

test('what no key opens waits for a replica that has the key', async (t) => {
  const opened = await setUp(t);
  const { database, delivered, openReplica, lastError } = opened;
  const newer = { current: randomBytes(32) };
  await addRow(opened, newer);
  await openReplica({ current: randomBytes(32), previous: randomBytes(32) }).outbox.deliverDue();
  t.same(delivered, []);
  t.equal(await lastError(), 'SealedPayloadError');
  await database.update(rows).set({ notBefore: new Date(0) });
  await openReplica(newer).outbox.deliverDue();
  t.same(delivered, [{ secret: 'x' }]);
});

test('a payload of another kind, or of another form, is not delivered', async (t) => {
  const opened = await setUp(t);
  const { database, delivered, openReplica, lastError } = opened;
  const keys = { current: randomBytes(32) };
  await addRow(opened, keys);
  await database.update(rows).set({ kind: 'parcels' });
  await openReplica(keys, { kind: 'parcels' }).outbox.deliverDue();
  t.equal(await lastError(), 'SealedPayloadError');
  await database.update(rows).set({ kind: 'letters', notBefore: new Date(0) });
  const changed = openReplica(keys, { payload: Type.Object({ other: Type.String() }) });
  await changed.outbox.deliverDue();
  t.equal(await lastError(), 'SealedPayloadError');
  t.same(delivered, []);
});
