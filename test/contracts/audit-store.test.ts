import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import type { NewAuditEvent } from '../../src/audit/audit-event.ts';
import { createAuditStore } from '../../src/audit/audit-store.ts';
import { asc, eq, sql } from '../../src/db/drizzle.ts';
import { auditEvents, users } from '../../src/db/schema.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NIL = '00000000-0000-0000-0000-000000000000';

for (const { name, open } of databases) test(name, (t) => suite(t, open));

const makeEvent = (changes: Partial<NewAuditEvent> = {}): NewAuditEvent => {
  const userId = randomUUID();
  return {
    kind: 'password.changed',
    userId,
    actorId: userId,
    sessionId: randomUUID(),
    device: { ip: '192.0.2.1', userAgent: 'Lynx', requestId: 'request-1' },
    details: { reason: 'a', nested: { b: [1] } },
    ...changes,
  };
};

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const store = createAuditStore(opened.database);
    const insert = (event: NewAuditEvent) =>
      opened.transact((transaction) => store.insert(transaction, event));
    const sweep = (keptMs: number, limit: number) =>
      opened.transact((transaction) => store.sweep(transaction, keptMs, limit));
    const forget = (userId: string) => opened.transact((transaction) => store.forget(transaction, userId));
    const all = () => opened.database.select().from(auditEvents).orderBy(asc(auditEvents.id));
    return { ...opened, store, insert, forget, sweep, all };
  }

  t.test('an event is read as it was written', async (t) => {
    const { store, insert } = await setUp(t);
    const event = makeEvent();
    await insert(event);
    const { device, ...rest } = event;
    const [found, ...others] = await store.list(String(event.userId), 10, NIL);
    t.same(others, []);
    t.match(found, { ...rest, ...device, id: String, happenedAt: Date, actorKind: 'user' });
  });

  t.test('who did it is what the event says, and so is the request', async (t) => {
    const { insert, all } = await setUp(t);
    await insert(makeEvent({ actorKind: 'client', actorId: 'shop', requestId: 'request-2' }));
    t.match(await all(), [{ actorKind: 'client', actorId: 'shop', requestId: 'request-2' }]);
  });

  t.test('what operators and timers did has an index of its own', async (t) => {
    const { insert, store, database } = await setUp(t);
    for (const actorKind of ['operator', 'server', 'user', undefined] as const)
      await insert(makeEvent({ actorId: null, ...(actorKind && { actorKind }) }));
    await insert(makeEvent({ actorId: 'shop', actorKind: 'client' }));
    for (const actorKind of ['operator', 'server'] as const)
      t.match(await store.page({ actorKind, limit: 10, isNewestFirst: true }), [{ actorKind }]);
    await database.execute(sql`set enable_seqscan = off`);
    const plan = await database.execute(sql`explain select * from audit_events
      where actor_id is null and actor_kind = 'operator' order by id desc limit 50`);
    t.match(JSON.stringify(plan), /Index Scan Backward using audit_events_without_actor_idx/);
  });

  t.test('an event is found by its id', async (t) => {
    const { insert, all, store } = await setUp(t);
    await insert(makeEvent());
    const [event] = await all();
    t.same(await store.find(String(event?.id)), event);
    t.equal(await store.find(randomUUID()), null);
  });

  t.test('what is not known of an event is null', async (t) => {
    const { insert, all } = await setUp(t);
    await insert({ kind: 'session.ended', userId: null, actorId: null });
    const [{ id, happenedAt, ...rest } = {}] = await all();
    t.ok(id && happenedAt);
    t.strictSame(rest, {
      kind: 'session.ended',
      userId: null,
      actorId: null,
      actorKind: null,
      requestId: null,
      sessionId: null,
      ip: null,
      userAgent: null,
      details: null,
    });
  });

  t.test(
    "events of a user are listed in parts, the oldest first, without those of others; times are the database's",
    async (t) => {
      const { store, insert, moveTime } = await setUp(t);
      const userId = randomUUID();
      const kinds = ['account.created', 'session.started', 'session.ended'] as const;
      for (const kind of kinds) {
        await insert(makeEvent({ kind, userId }));
        await insert(makeEvent());
        await moveTime(HOUR_MS);
      }
      const first = await store.list(userId, 2, NIL);
      const rest = await store.list(userId, 2, String(first.at(-1)?.id));
      t.same(
        [...first, ...rest].map(({ kind }) => kind),
        kinds,
      );
      const apartMs = Number(first[1]?.happenedAt) - Number(first[0]?.happenedAt);
      t.ok(apartMs >= HOUR_MS && apartMs < 2 * HOUR_MS, `${apartMs} ms apart`);
    },
  );

  t.test('an event of a transaction that fails is not there', async (t) => {
    const { transact, store, all } = await setUp(t);
    const change = new Error('changed my mind');
    const failing = transact(async (transaction) => {
      await store.insert(transaction, makeEvent());
      throw change;
    });
    await t.rejects(failing, change);
    t.same(await all(), []);
  });

  t.test('an event outlives the account, and refers to no row', async (t) => {
    const { insert, all } = await setUp(t);
    await insert(makeEvent({ userId: randomUUID() }));
    t.equal((await all()).length, 1);
  });

  t.test('forgetting a user takes away what is personal in their events, and nothing else', async (t) => {
    const { insert, forget, all } = await setUp(t);
    const [event, bystander] = [makeEvent(), makeEvent()];
    await insert(event);
    await insert(event);
    await insert(bystander);
    const before = await all();
    await forget(String(event.userId));
    const after = await all();
    const bare = { ip: null, userAgent: null, details: null };
    t.same(
      after,
      before.map((row) => (row.userId === event.userId ? { ...row, ...bare } : row)),
    );
    await forget(String(event.userId));
    t.same(await all(), after, 'twice changes nothing more');
  });

  t.test('where a forgotten user did something to others goes, and what they did stays', async (t) => {
    const { insert, forget, all } = await setUp(t);
    const actorId = randomUUID();
    await insert(makeEvent({ kind: 'account.banned', actorId }));
    const [before] = await all();
    await forget(actorId);
    t.same(await all(), [{ ...before, ip: null, userAgent: null }]);
  });

  t.test('events of an account that exists are not forgotten', async (t) => {
    const { database, insert, forget, all } = await setUp(t);
    const event = makeEvent();
    await insert(event);
    const before = await all();
    const email = 'ada@example.com';
    await database.insert(users).values({ id: String(event.userId), email, emailAsTyped: email });
    await t.rejects(forget(String(event.userId)));
    t.same(await all(), before);
  });

  t.test(
    'events are swept when they are older than that, and than thirty days, some at a time',
    async (t) => {
      const { insert, sweep, all, moveTime } = await setUp(t);
      for (let count = 0; count < 3; count += 1) await insert(makeEvent());
      await moveTime(31 * DAY_MS);
      await insert(makeEvent());
      t.equal(await sweep(32 * DAY_MS, 10), 0);
      t.equal(await sweep(30 * DAY_MS, 2), 2);
      t.equal((await all()).length, 2);
      t.equal(await sweep(30 * DAY_MS, 10), 1);
      t.equal(await sweep(0, 10), 0, 'whatever the setting');
      t.equal((await all()).length, 1);
    },
  );

  t.test('no event is deleted or changed, by whatever statement', async (t) => {
    const { database, insert, all } = await setUp(t);
    await insert(makeEvent());
    const before = await all();
    const other = { id: uuidv7(), userId: randomUUID(), sessionId: randomUUID() };
    const refused = [
      database.delete(auditEvents),
      database.update(auditEvents).set({ id: other.id }),
      database.update(auditEvents).set({ kind: 'session.started' }),
      database.update(auditEvents).set({ happenedAt: sql`now() - interval '1 year'` }),
      database.update(auditEvents).set({ userId: other.userId }),
      database.update(auditEvents).set({ userId: null }),
      database.update(auditEvents).set({ actorId: 'eve' }),
      database.update(auditEvents).set({ sessionId: other.sessionId }),
      database.update(auditEvents).set({ ip: '198.51.100.1' }),
      database.update(auditEvents).set({ userAgent: 'another' }),
      database.update(auditEvents).set({ details: {} }),
      database.update(auditEvents).set({ ip: null, userAgent: null, details: null, kind: 'session.started' }),
    ];
    for (const statement of refused)
      await t.rejects(statement, { cause: { code: '23001', message: /must not be changed or deleted/ } });
    t.same(await all(), before);
  });

  t.test('taking away address, user agent and details passes', async (t) => {
    const { database, insert, all } = await setUp(t);
    const event = makeEvent();
    await insert(event);
    await database
      .update(auditEvents)
      .set({ ip: null, userAgent: null, details: null })
      .where(eq(auditEvents.userId, String(event.userId)));
    t.match(await all(), [
      { kind: event.kind, userId: event.userId, ip: null, userAgent: null, details: null },
    ]);
  });
}
