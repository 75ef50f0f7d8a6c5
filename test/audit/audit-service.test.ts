import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import type { AuditKind } from '../../src/audit/audit-event.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { tryLock } from '../../src/db/locks.ts';
import { auditEvents } from '../../src/db/schema.ts';
import { openPostgres } from '../support/adapters.ts';
import { createPlatform } from '../support/platform.ts';

async function setUp(t: Test) {
  const { database, transact } = await openPostgres();
  const { service: audit, close } = openAudit(createPlatform(database));
  t.teardown(close);
  const record = (userId: string, kind: AuditKind = 'session.started') =>
    transact((transaction) => audit.record(transaction, { kind, userId, actorId: userId }));
  return { database, transact, audit, record };
}

async function partsOf<Item>(parts: AsyncIterable<Item[]>): Promise<Item[][]> {
  const all: Item[][] = [];
  for await (const part of parts) all.push(part);
  return all;
}

test('all events of a user are listed, a thousand at a time', async (t) => {
  const { database, audit, record } = await setUp(t);
  const userId = randomUUID();
  await record(randomUUID());
  t.same(await partsOf(audit.listOf(userId)), [[]]);
  await database
    .insert(auditEvents)
    .values(Array.from({ length: 1_000 }, () => ({ id: randomUUID(), kind: 'session.started', userId })));
  t.same(
    (await partsOf(audit.listOf(userId))).map(({ length }) => length),
    [1_000, 0],
  );
  await record(userId, 'account.deleted');
  const parts = await partsOf(audit.listOf(userId));
  t.same(
    parts.map(({ length }) => length),
    [1_000, 1],
  );
  t.equal(new Set(parts.flat().map(({ id }) => id)).size, 1_001);
});

test('events of one moment keep their order', async (t) => {
  const { transact, audit } = await setUp(t);
  const userId = randomUUID();
  const kinds: AuditKind[] = ['password.reset', 'session.ended', 'email.verified', 'session.started'];
  await transact(async (transaction) => {
    for (const kind of kinds) await audit.record(transaction, { kind, userId, actorId: null });
  });
  const [events = []] = await partsOf(audit.listOf(userId));
  t.same(
    events.map(({ kind }) => kind),
    kinds,
  );
});

test('forgetting a user and recording the deletion is one transaction', async (t) => {
  const { transact, audit, record } = await setUp(t);
  const userId = randomUUID();
  await transact((transaction) =>
    audit.record(transaction, {
      kind: 'session.started',
      userId,
      actorId: userId,
      device: { ip: '192.0.2.1', userAgent: null },
    }),
  );
  const failure = new Error('no');
  const failing = transact(async (transaction) => {
    await audit.forget(transaction, userId);
    throw failure;
  });
  await t.rejects(failing, failure);
  t.match(await partsOf(audit.listOf(userId)), [[{ ip: '192.0.2.1' }]]);
  await transact((transaction) => audit.forget(transaction, userId));
  await record(userId, 'account.deleted');
  t.match(await partsOf(audit.listOf(userId)), [[{ ip: null }, { kind: 'account.deleted' }]]);
});

test('events in the background that cannot be written are logged, and end nothing', async (t) => {
  const { database } = await openPostgres();
  const logged: unknown[] = [];
  const down = new Error('down');
  const { service, close } = openAudit(
    createPlatform(database, {
      log: { debug: () => {}, error: () => {}, warn: (...line) => void logged.push(line) },
      transact: () => Promise.reject(down),
    }),
  );
  service.note({ kind: 'sign_in.failed', userId: null, actorId: null });
  await close();
  t.match(logged, [[{ err: down, count: 1 }, /not written to the audit/]]);
});

test('one replica sweeps at a time', async (t) => {
  const { database, transact } = await openPostgres();
  const { sweeps, close } = openAudit(createPlatform(database));
  t.teardown(close);
  const [sweep] = sweeps;
  const old = { id: uuidv7({ msecs: 0 }), kind: 'key.rotated', happenedAt: new Date(0) };
  await database.insert(auditEvents).values(old);
  await transact(async (transaction) => {
    await tryLock(transaction, 'sweepAuditEvents');
    t.equal(await transact((other) => sweep?.(other, 10) ?? Promise.reject()), 0);
  });
  t.equal(await transact((transaction) => sweep?.(transaction, 10) ?? Promise.reject()), 1);
});
