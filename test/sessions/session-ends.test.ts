import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import type { Transaction } from '../../src/db/database.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import { hashOfId } from '../../src/db/revocation-log.ts';
import { auditEvents, revocations, sessions as rows, users } from '../../src/db/schema.ts';
import { openSessions } from '../support/services.ts';

const client = '192.0.2.1';
const device = { ip: client, userAgent: 'Lynx' };

async function setUp(t: Test) {
  const opened = await openSessions(t);
  const { createReplica, transact, database } = opened;
  const userId = await opened.addUser();
  const { sessions, audit } = createReplica();
  const start = (id = userId) => transact((transaction) => sessions.start(transaction, id, device));
  const eventsOf = async (id: string) => {
    const events = [];
    for await (const some of audit.listOf(id)) events.push(...some);
    return events;
  };
  const countOpen = () => database.$count(rows, sql`${rows.endedAt} is null`);
  const addMany = (count: number) =>
    database.execute(sql`insert into sessions (id, user_id, generate_token, expires_at, idle_expires_at)
      select gen_random_uuid(), ${userId}, sha256(n::text::bytea), now() + interval '1 day', now() + interval '1 day'
      from generate_series(1, ${count}::int) as n`);
  return { ...opened, userId, sessions, start, eventsOf, countOpen, addMany };
}

test('what changed of the user is in the session at once, on every replica', async (t) => {
  const { sessions, createReplica, start, transact, userId } = await setUp(t);
  const other = createReplica().sessions;
  const { generateToken } = await start();
  for (const replica of [sessions, other])
    t.match(await replica.find(generateToken, client), { claims: { email_verified: false } });
  await transact(async (transaction) => {
    await transaction.database.update(users).set({ emailVerifiedAt: sql`now()` }).where(eq(users.id, userId));
    await sessions.claimsChanged(transaction, userId);
  });
  for (const replica of [sessions, other])
    t.match(await replica.find(generateToken, client), { claims: { email_verified: true } });
});

test('changed claims reach no cache when the transaction fails', async (t) => {
  const { sessions, start, transact, userId, counted } = await setUp(t);
  const { generateToken } = await start();
  await sessions.find(generateToken, client);
  const { loads } = counted;
  const change = new Error('changed my mind');
  const failing = transact(async (transaction) => {
    await sessions.claimsChanged(transaction, userId);
    throw change;
  });
  await t.rejects(failing, change);
  await sessions.find(generateToken, client);
  t.equal(counted.loads, loads, 'the copy still serves');
});

test('changed claims of a user without a session are no error', async (t) => {
  const { sessions, transact, userId } = await setUp(t);
  await t.resolves(transact((transaction) => sessions.claimsChanged(transaction, userId)));
});

test('changed claims of an account that is gone are no error either, and nothing is noted', async (t) => {
  const { sessions, transact, database } = await setUp(t);
  await transact((transaction) => sessions.claimsChanged(transaction, randomUUID()));
  t.equal(await database.$count(revocations), 0);
});

test('what ends is noted with the ids of the sessions, in one statement and only if it is committed', async (t) => {
  const { sessions, start, transact, userId, database } = await setUp(t);
  const own = [await start(), await start()];
  const end = (transaction: Transaction) =>
    sessions.endAllIn(transaction, userId, null, 'password_reset', device);
  const change = new Error('changed my mind');
  const failing = transact(async (transaction) => {
    await end(transaction);
    throw change;
  });
  await t.rejects(failing, change);
  t.equal(await database.$count(revocations), 0);
  await transact(end);
  const notes = await database.select().from(revocations);
  const hex = (id: string) => hashOfId(id).toString('hex');
  t.strictSame(
    notes.map(({ kind, subject, value }) => `${kind} ${subject.toString('hex')} ${value}`).sort(),
    [...own.map(({ id }) => `session ${hex(id)} null`), `user ${hex(userId)} 2`].sort(),
  );
});

test('all sessions end with the change that makes it necessary, or not at all', async (t) => {
  const { sessions, start, transact, userId, addUser } = await setUp(t);
  const bystander = await start(await addUser());
  const own = [await start(), await start()];
  for (const { generateToken } of own) t.ok(await sessions.find(generateToken, client));
  const change = new Error('changed my mind');
  const failing = transact(async (transaction) => {
    t.equal(await sessions.endAllIn(transaction, userId, null, 'password_reset', device), 2);
    throw change;
  });
  await t.rejects(failing, change);
  for (const { generateToken } of own) t.ok(await sessions.find(generateToken, client));
  await transact((transaction) => sessions.endAllIn(transaction, userId, null, 'password_reset', device));
  for (const { generateToken } of own) t.equal(await sessions.find(generateToken, client), null);
  t.ok(await sessions.find(bystander.generateToken, client));
});

test('one session may be left when all end with a change', async (t) => {
  const { sessions, start, transact, userId } = await setUp(t);
  const [kept, other] = [await start(), await start()];
  await transact((transaction) => sessions.endAllIn(transaction, userId, kept.id, 'email_changed', device));
  t.ok(await sessions.find(kept.generateToken, client));
  t.equal(await sessions.find(other.generateToken, client), null);
});

test('the surplus ends first, and leaves as many sessions as one transaction can end', async (t) => {
  const { sessions, start, transact, userId, addMany, countOpen, database } = await setUp(t);
  const kept = await start();
  await addMany(2_400);
  await sessions.endSurplus(userId, kept.id, 'password_changed', device);
  t.equal(await countOpen(), 1_001);
  await sessions.endSurplus(userId, kept.id, 'password_changed', device);
  t.equal(await countOpen(), 1_001, 'there is nothing to do');
  await transact((transaction) => sessions.endAllIn(transaction, userId, null, 'password_changed', device));
  t.equal(await countOpen(), 0);
  t.equal(await database.$count(rows, sql`${rows.endReason} = 'password_changed'`), 2_401);
});

for (const mostPerUser of [0, 100]) {
  test(`a sign-in that began before all sessions end is among them, with a bound of ${mostPerUser}`, async (t) => {
    const { createReplica, transact, userId, countOpen } = await setUp(t);
    const { sessions } = createReplica({ mostPerUser });
    const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
    const { promise: hasStarted, resolve: started } = Promise.withResolvers<void>();
    const signIn = transact(async (transaction) => {
      await sessions.start(transaction, userId, device);
      started();
      await mayGoOn;
    });
    await hasStarted;
    const end = transact((transaction) => sessions.endAllIn(transaction, userId, null, 'password_reset'));
    goOn();
    await signIn;
    t.equal(await end, 1);
    t.equal(await countOpen(), 0);
  });
}

test('a change needs a session that is open when it is made', async (t) => {
  const { sessions, start, transact, userId, addUser } = await setUp(t);
  const [own, foreign] = [await start(), await start(await addUser())];
  const require = (sessionId: string) =>
    transact((transaction) => sessions.requireOpen(transaction, userId, sessionId));
  await t.resolves(require(own.id));
  await t.rejects(require(foreign.id), { code: 'not_signed_in' });
  await sessions.endOne(userId, own.id);
  await t.rejects(require(own.id), { code: 'not_signed_in' });
});

test('a change waits for one that ends its session, and is refused', async (t) => {
  const { sessions, start, transact, userId } = await setUp(t);
  const own = await start();
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
  const { promise: hasEnded, resolve: ended } = Promise.withResolvers<void>();
  const reset = transact(async (transaction) => {
    await sessions.endAllIn(transaction, userId, null, 'password_reset');
    ended();
    await mayGoOn;
  });
  await hasEnded;
  const change = transact((transaction) => sessions.requireOpen(transaction, userId, own.id));
  const outcomes = Promise.allSettled([reset, change]);
  goOn();
  t.match(await outcomes, [{ status: 'fulfilled' }, { reason: { code: 'not_signed_in' } }]);
});

test('each end is one event, whatever the number of sessions', async (t) => {
  const { sessions, start, transact, userId, eventsOf } = await setUp(t);
  const [one, two, three] = [await start(), await start(), await start()];
  for (let n = 0; n < 3; n += 1) await start();
  await sessions.signOut(one.generateToken, client, device);
  await sessions.endOne(userId, two.id, device);
  await sessions.endOthers(userId, three.id, 'ended_by_user', device);
  await transact((transaction) => sessions.endAllIn(transaction, userId, null, 'password_reset', device));
  const seen = { kind: 'session.ended', userId, ip: device.ip, userAgent: device.userAgent };
  const events = await eventsOf(userId);
  t.match(events, [
    { ...seen, actorId: userId, sessionId: one.id, details: { reason: 'signed_out', count: 1 } },
    { ...seen, actorId: userId, sessionId: two.id, details: { reason: 'ended_by_user', count: 1 } },
    { ...seen, actorId: userId, sessionId: null, details: { reason: 'ended_by_user', count: 3 } },
    { ...seen, actorId: null, sessionId: three.id, details: { reason: 'password_reset', count: 1 } },
  ]);
  t.equal(events.length, 4);
});

test('what ends no session is no event', async (t) => {
  const { sessions, transact, userId, eventsOf } = await setUp(t);
  await sessions.endOthers(userId, null, 'ended_by_user');
  await transact((transaction) => sessions.endAllIn(transaction, userId, null, 'password_reset'));
  t.same(await eventsOf(userId), []);
});

test("one session ends in a transaction of another feature, and only if it is the user's", async (t) => {
  const { sessions, start, transact, userId, addUser } = await setUp(t);
  const [doomed, kept] = [await start(), await start()];
  const stranger = await addUser();
  const endOneIn = (id: string) =>
    transact((transaction) => sessions.endOneIn(transaction, id, doomed.id, 'disowned', device));
  await endOneIn(stranger);
  t.ok(await sessions.find(doomed.generateToken, client));
  await endOneIn(userId);
  t.equal(await sessions.find(doomed.generateToken, client), null);
  t.ok(await sessions.find(kept.generateToken, client));
});

test('an operator ends one session of anyone, or all of one user, and stands in the record', async (t) => {
  const { sessions, start, userId, eventsOf } = await setUp(t);
  const [one] = [await start(), await start(), await start()];
  const actor = { kind: 'client', id: 'console', requestId: 'a-request', device } as const;
  await sessions.endAnyOne(one.id, actor);
  await t.rejects(sessions.endAnyOne(one.id, actor), { code: 'not_found' });
  t.equal(await sessions.find(one.generateToken, client), null);
  t.equal(await sessions.endOthers(userId, null, 'ended_by_operator', actor), 2);
  t.equal(await sessions.endOthers(userId, null, 'ended_by_operator', actor), 0);
  const seen = { userId, actorKind: 'client', actorId: 'console', requestId: 'a-request', ip: device.ip };
  t.match(await eventsOf(userId), [
    { ...seen, sessionId: null, details: { reason: 'ended_by_operator', count: 1, session_id: one.id } },
    { ...seen, sessionId: null, details: { reason: 'ended_by_operator', count: 2 } },
  ]);
});

test('an operator who ends all sessions is in the record, which names no user', async (t) => {
  const { sessions, start, database } = await setUp(t);
  await start();
  await start();
  t.equal(await sessions.endAll(), 2);
  t.match(await database.select().from(auditEvents), [
    {
      kind: 'session.ended',
      userId: null,
      actorId: null,
      actorKind: 'operator',
      sessionId: null,
      details: { reason: 'ended_by_operator', count: 2 },
    },
  ]);
});
