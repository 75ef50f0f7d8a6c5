import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import type { AuditKind } from '../../src/audit/audit-event.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import type { Config } from '../../src/config/config.ts';
import { createDatabaseClock } from '../../src/core/clock.ts';
import type { Log } from '../../src/core/log.ts';
import { eq } from '../../src/db/drizzle.ts';
import { tryLock } from '../../src/db/locks.ts';
import { auditEvents, outbox as rows, users } from '../../src/db/schema.ts';
import { sweepAll } from '../../src/db/sweep.ts';
import { createOutboxService } from '../../src/outbox/outbox-service.ts';
import { createOutboxStore, type OutboxStore } from '../../src/outbox/outbox-store.ts';
import { openWebhooks } from '../../src/webhooks/open-webhooks.ts';
import { openPostgres } from '../support/adapters.ts';
import { createPlatform } from '../support/platform.ts';
import { catchWebhooks } from '../support/webhook-catcher.ts';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600 * SECOND_MS;
const DAY_MS = 24 * HOUR_MS;

type Options = { config?: Partial<Config>; store?: Partial<OutboxStore>; random?: () => number };

/** A service that catches webhooks, and replicas that send them. The test can move the time. */
async function setUp(t: Test) {
  const { database, transact, moveTime } = await openPostgres();
  const catcher = await catchWebhooks(t);
  const time = { passedMs: 0 };
  const lines: string[] = [];
  const keep = (context: object, message: string) =>
    void lines.push(JSON.stringify({ ...context, message, err: 'err' in context && String(context.err) }));
  const log: Log = { debug: keep, warn: keep, error: keep };
  const on = {
    EVENTS_WEBHOOK_URL: catcher.url,
    EVENTS_WEBHOOK_SECRET: [Buffer.from(catcher.secret.slice(6), 'base64')],
  };

  function openReplica({ config, store, random = () => 0.5 }: Options = {}) {
    const platform = createPlatform(database, {
      log,
      config: { ...on, ...config },
      clock: createDatabaseClock(() => Date.now() + time.passedMs),
    });
    const outbox = createOutboxService({
      store: { ...createOutboxStore(database), ...store },
      log,
      databaseDeadlineMs: 30_000,
      random,
    });
    const { service: audit } = openAudit(platform);
    const webhooks = openWebhooks(platform, { outbox, audit });
    const close = async () => {
      await webhooks.close();
      await outbox.close();
    };
    t.teardown(close);
    /** Does something to a user, as far as the audit is concerned. */
    const act = (kind: AuditKind, userId: string | null, details?: Record<string, unknown>) =>
      transact((transaction) =>
        audit.record(transaction, { kind, userId, actorId: userId, ...(details && { details }) }),
      );
    return { ...webhooks, outbox, audit, act, close };
  }

  return {
    ...{ database, transact, moveTime, catcher, lines, openReplica },
    waiting: () => database.select().from(rows),
    passTime: async (ms: number) => {
      time.passedMs += ms;
      await moveTime(ms);
    },
    addUser: async (changes: Partial<typeof users.$inferInsert> = {}) => {
      const id = randomUUID();
      const email = `${id}@example.com`;
      await database.insert(users).values({ id, email, emailAsTyped: email, ...changes });
      return id;
    },
  };
}

test('tells of a user what the account is when the message is sent', async (t) => {
  const { openReplica, catcher, addUser, database } = await setUp(t);
  const { act, outbox } = openReplica();
  const until = new Date('2040-01-01T00:00:00Z');
  const id = await addUser({ emailVerifiedAt: new Date(), externalId: 'auth0|7', roles: ['editor'] });
  await act('account.created', id);
  await outbox.deliverDue();
  await database.update(users).set({ status: 'banned', bannedUntil: until }).where(eq(users.id, id));
  await act('account.banned', id, { reason: 'spam' });
  await outbox.deliverDue();

  const user = {
    ...{ id, email: `${id}@example.com`, email_verified: true },
    ...{ status: 'active', banned_until: null, roles: ['editor'], external_id: 'auth0|7' },
  };
  const [created, banned, ...others] = catcher.events;
  t.same(others, []);
  t.match(created, { type: 'user.created', timestamp: /^\d{4}-.+Z$/, data: { as_of: /^\d{4}-.+Z$/ } });
  t.strictSame(created?.data.user, user);
  t.equal(banned?.type, 'user.banned');
  t.strictSame(banned?.data.user, { ...user, status: 'banned', banned_until: until.toISOString() });
  t.notMatch(JSON.stringify(banned), 'spam', 'the reason is for operators');
  t.not(created?.id, banned?.id);
});

test('of a deleted account only the id goes out, and nothing that had waited', async (t) => {
  const { openReplica, catcher, addUser, database, waiting, passTime } = await setUp(t);
  const { act, outbox } = openReplica();
  catcher.answerStatus(500);
  const id = await addUser();
  await act('account.created', id);
  await act('email.changed', id, { from: 'old@example.com', to: 'new@example.com' });
  await outbox.deliverDue();
  t.notMatch(JSON.stringify(await waiting()), '@', 'nothing personal waits');
  await database.delete(users).where(eq(users.id, id));
  await act('account.deleted', id);
  catcher.take();
  catcher.events.length = 0;
  await passTime(HOUR_MS);
  await outbox.deliverDue();
  t.match(catcher.events, [{ type: 'user.deleted', data: { user: { id } } }]);
  t.strictSame(catcher.events[0]?.data, { user: { id } });
  t.same(await waiting(), []);
});

test('tells the audit to those who ask for it, and users only what they ask for', async (t) => {
  const { openReplica, catcher, addUser, database } = await setUp(t);
  const id = await addUser();
  const siem = openReplica({ config: { EVENTS_WEBHOOK_TYPES: ['audit.*'] } });
  await siem.act('account.deleted', id, { some: 'details' });
  await siem.act('key.rotated', null);
  await siem.outbox.deliverDue();
  const [event] = await database.select().from(auditEvents).where(eq(auditEvents.kind, 'account.deleted'));
  const told = catcher.events.find(({ type }) => type === 'audit.account.deleted');
  t.equal(told?.timestamp.slice(0, 10), event?.happenedAt.toISOString().slice(0, 10));
  t.strictSame(told?.data, {
    id: event?.id,
    kind: 'account.deleted',
    happened_at: event?.happenedAt.toISOString(),
    user_id: id,
    actor: { kind: 'user', id },
    session_id: null,
    ip: null,
    user_agent: null,
    request_id: null,
    details: { some: 'details' },
  });
  t.match(
    catcher.events.map(({ type }) => type).sort(),
    ['audit.account.deleted', 'audit.key.rotated'],
    'and nothing about users',
  );
  catcher.events.length = 0;
  const shop = openReplica({ config: { EVENTS_WEBHOOK_TYPES: ['user.deleted'] } });
  await shop.act('account.banned', id);
  await shop.act('session.started', id);
  await shop.act('account.deleted', id);
  await shop.outbox.deliverDue();
  t.match(catcher.events, [{ type: 'user.deleted' }]);
});

test('a sign-in that failed is told to the audit as well, unless the account is gone', async (t) => {
  const { openReplica, catcher, addUser, transact, database } = await setUp(t);
  const { audit, outbox } = openReplica({ config: { EVENTS_WEBHOOK_TYPES: ['*'] } });
  const userId = await addUser();
  const gone = randomUUID();
  const failed = [userId, gone].map((id) => ({ kind: 'sign_in.failed', userId: id, actorId: null }) as const);
  await transact((transaction) => audit.recordNoted(transaction, [...failed]));
  await outbox.deliverDue();
  const [event] = await database.select().from(auditEvents);
  t.match(catcher.events, [{ type: 'audit.sign_in.failed', data: { id: event?.id, user_id: userId } }]);
  t.equal(catcher.events.length, 1);
});

test('an event of the audit that has been swept meanwhile is not told', async (t) => {
  const { openReplica, catcher, database, waiting } = await setUp(t);
  const payload = {
    ...{ type: 'audit.key.rotated', happenedAt: new Date().toISOString() },
    ...{ eventId: randomUUID(), userId: null },
  };
  await database.insert(rows).values({ id: randomUUID(), kind: 'webhook', payload });
  await openReplica().outbox.deliverDue();
  t.same(await waiting(), []);
  t.same(catcher.requests, []);
});

test('writes nothing without a URL, and lets what was written before wait for one', async (t) => {
  const { openReplica, catcher, addUser, waiting, passTime } = await setUp(t);
  catcher.answerStatus(500);
  const id = await addUser();
  const on = openReplica();
  await on.act('account.created', id);
  await on.outbox.deliverDue();
  await on.close();
  const off = openReplica({ config: { EVENTS_WEBHOOK_URL: undefined, EVENTS_WEBHOOK_SECRET: undefined } });
  await off.act('account.banned', id);
  await passTime(10 * SECOND_MS);
  await off.outbox.deliverDue();
  t.match(await waiting(), [{ payload: { type: 'user.created' }, attempts: 2, deadAt: null }]);
});

test('a message whose process ends after the commit goes out later, under one id', async (t) => {
  const { openReplica, catcher, addUser, waiting, passTime } = await setUp(t);
  // It has delivered, and does not get to write that down.
  const dying = openReplica({ store: { delete: () => Promise.reject(new Error('it is gone')) } });
  await dying.act('account.created', await addUser());
  await dying.outbox.deliverDue();
  const [row] = await waiting();
  const other = openReplica();
  await other.outbox.deliverDue();
  t.equal(catcher.events.length, 1, 'as long as the claim lasts, the first one may be at it');
  await passTime(2 * 60 * SECOND_MS);
  await other.outbox.deliverDue();
  t.same(
    catcher.events.map(({ id }) => id),
    [row?.id, row?.id],
  );
  t.same(await waiting(), []);
});

test('an act that is undone is not told', async (t) => {
  const { openReplica, catcher, addUser, transact, waiting } = await setUp(t);
  const { audit, outbox } = openReplica();
  const userId = await addUser();
  const undone = new Error('undone');
  await t.rejects(
    transact(async (transaction) => {
      await audit.record(transaction, { kind: 'account.banned', userId, actorId: null });
      throw undone;
    }),
    undone,
  );
  await outbox.deliverDue();
  t.same(await waiting(), []);
  t.same(catcher.requests, []);
});

test('a receiver that is away gets a message for about three days, in the end every hour', async (t) => {
  const { openReplica, catcher, waiting, passTime } = await setUp(t);
  const { act, outbox } = openReplica();
  catcher.close();
  await act('account.deleted', randomUUID());
  let [passedMs, longestMs] = [0, 0];
  for (;;) {
    await outbox.deliverDue();
    const [row] = await waiting();
    t.equal(row?.lastError, 'ECONNREFUSED');
    if (row?.deadAt !== null || passedMs > 10 * DAY_MS) break;
    const now = Date.now() + passedMs;
    const waitMs = Math.max(1, row.notBefore.getTime() - now);
    longestMs = Math.max(longestMs, waitMs);
    passedMs += waitMs;
    await passTime(waitMs);
  }
  t.ok(passedMs > 2.5 * DAY_MS && passedMs < 3.5 * DAY_MS, `${(passedMs / DAY_MS).toFixed(2)} days`);
  t.ok(longestMs <= HOUR_MS, `${longestMs} ms`);
});

test('neither URL nor answer is in the log or in the database', async (t) => {
  const { openReplica, catcher, waiting, lines } = await setUp(t);
  const { act, outbox } = openReplica();
  catcher.answerWith((response) => response.writeHead(500).end('an answer that is not kept'));
  await act('account.deleted', randomUUID());
  await outbox.deliverDue();
  const [row] = await waiting();
  t.equal(row?.lastError, 'HTTP_500');
  t.match(lines.join('\n'), /could not deliver a message/);
  t.notMatch(lines.join('\n') + JSON.stringify(row), /in-the-url|not kept|whsec/);
});

test('a message that a receiver does not want is dead at once, and kept for a month', async (t) => {
  const { openReplica, catcher, waiting, passTime, transact } = await setUp(t);
  const { act, outbox, sweeps } = openReplica();
  catcher.answerStatus(410);
  await act('account.deleted', randomUUID());
  await outbox.deliverDue();
  t.match(await waiting(), [{ lastError: 'HTTP_410', attempts: 1, deadAt: Date }]);
  await passTime(29 * DAY_MS);
  await sweepAll(sweeps, transact);
  t.equal((await waiting()).length, 1);
  await passTime(2 * DAY_MS);
  await transact(async (transaction) => {
    await tryLock(transaction, 'sweepDeadWebhooks');
    await sweepAll(sweeps, transact);
    t.equal((await waiting()).length, 1, 'another replica sweeps');
  });
  await sweepAll(sweeps, transact);
  t.same(await waiting(), []);
});

test('a receiver that asks for time gets the next message after it', async (t) => {
  const { openReplica, catcher, waiting, passTime } = await setUp(t);
  const { act, outbox } = openReplica();
  catcher.answerStatus(429, { 'retry-after': '600' });
  await act('account.deleted', randomUUID());
  await outbox.deliverDue();
  catcher.take();
  await act('account.deleted', randomUUID());
  await passTime(300 * SECOND_MS);
  await outbox.deliverDue();
  t.equal(catcher.requests.length, 1);
  t.match((await waiting()).map(({ lastError }) => lastError).sort(), ['AskedForTime', 'HTTP_429']);
  await passTime(600 * SECOND_MS);
  await outbox.deliverDue();
  t.equal(catcher.requests.length, 3);
  t.same(await waiting(), []);
});

test('a receiver that hangs does not hold up the end of the server', async (t) => {
  const { openReplica, catcher, waiting, passTime } = await setUp(t);
  const { act, outbox, close } = openReplica();
  const hanging = Promise.withResolvers<void>();
  catcher.answerWith(() => hanging.resolve());
  await act('account.deleted', randomUUID());
  void outbox.deliverDue();
  await hanging.promise;
  await close();
  const [row] = await waiting();
  t.match(row, { attempts: 1, deadAt: null }, 'it has failed');
  catcher.take();
  await passTime(10 * SECOND_MS);
  await openReplica().outbox.deliverDue();
  t.same(
    catcher.events.map(({ id }) => id),
    [row?.id, row?.id],
    'and goes out at the next start',
  );
});
