import { randomBytes, randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import { sessions, users } from '../../src/db/schema.ts';
import type { EndedSession, MakeRoom, SessionSelector } from '../../src/sessions/session-end-store.ts';
import { createSessionStore, type NewSession, type PageWish } from '../../src/sessions/session-store.ts';
import { databases, openPostgres, type TestDatabase } from '../support/adapters.ts';
import { findSession } from '../support/find-session.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const TTL_MS = 30 * 24 * HOUR_MS;
const IDLE_TTL_MS = 14 * 24 * HOUR_MS;

for (const { name, open } of databases) test(name, (t) => suite(t, open));

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const { database, transact } = opened;
    const store = createSessionStore(database);
    const accounts = createAccountStore(database);

    const addUser = async () => {
      const id = randomUUID();
      const email = `${id}@example.com`;
      const user = { id, email, emailAsTyped: email, passwordHash: 'hash' };
      await transact((transaction) => accounts.insert(transaction, user));
      return user;
    };
    const insert = (session: NewSession) => transact((transaction) => store.insert(transaction, session));
    const addSession = async (changes: Partial<NewSession> & { userId: string }) => {
      const session = makeSession(changes);
      await insert(session);
      return session;
    };
    const end = async (selector: SessionSelector) =>
      hashesOf(await transact((transaction) => store.end(transaction, selector, 'ended_by_user')));
    const getRecord = async ({ tokenHash }: NewSession) => {
      const found = await findSession(store, tokenHash);
      if (found === null) throw new Error('the session is not there');
      return found.record;
    };
    const list = (userId: string, wish: PageWish = { limit: 100 }) =>
      transact((transaction) => store.list(transaction, userId, wish));
    const idsOf = async (userId: string) => (await list(userId)).map(({ id }) => id);
    const listOthers = (userId: string, exceptSessionId: string | null, keep?: number) =>
      transact((transaction) =>
        store.listOthers(transaction, { userId, exceptSessionId, ...(keep && { keep }) }),
      );
    const makeRoom = async (wish: MakeRoom) =>
      hashesOf(await transact((transaction) => store.makeRoom(transaction, wish)));
    const changeClaims = (userId: string) =>
      transact((transaction) => store.changeClaims(transaction, userId));
    return {
      ...opened,
      store,
      addUser,
      insert,
      addSession,
      end,
      getRecord,
      idsOf,
      list,
      listOthers,
      makeRoom,
      changeClaims,
    };
  }

  t.test('a session is found by the hash of its token, with its user', async (t) => {
    const { store, addUser, insert } = await setUp(t);
    const user = await addUser();
    const session = makeSession({ userId: user.id });
    const { databaseNow } = await insert(session);
    const startedAt = databaseNow.getTime();
    t.strictSame((await findSession(store, session.tokenHash))?.record, {
      id: session.id,
      userId: user.id,
      claims: { email: user.email, email_verified: false, cv: 1 },
      userStatus: 'active',
      createdAt: startedAt,
      authenticatedAt: startedAt,
      amr: ['pwd'],
      acr: null,
      lastSeenAt: startedAt,
      expiresAt: startedAt + TTL_MS,
      idleExpiresAt: startedAt + IDLE_TTL_MS,
      ended: false,
      version: 2,
    });
  });

  t.test('a session of an earlier release was signed in when it began', async (t) => {
    const { database, store, addUser, addSession } = await setUp(t);
    const { id, tokenHash } = await addSession({ userId: (await addUser()).id });
    await database.update(sessions).set({ authenticatedAt: null }).where(eq(sessions.id, id));
    const record = (await findSession(store, tokenHash))?.record;
    t.equal(record?.authenticatedAt, record?.createdAt);
  });

  t.test('another hash finds nothing', async (t) => {
    const { store, addUser, addSession } = await setUp(t);
    const { tokenHash } = await addSession({ userId: (await addUser()).id });
    const oneBitOff = Buffer.from(tokenHash);
    oneBitOff[31] = (oneBitOff[31] ?? 0) ^ 1;
    for (const hash of [randomBytes(32), oneBitOff, tokenHash.subarray(1), Buffer.of()]) {
      t.equal(await findSession(store, hash), null);
    }
  });

  t.test('many are found at once, each in the place of its hash', async (t) => {
    const { store, addUser, addSession } = await setUp(t);
    const [one, two] = [
      await addSession({ userId: (await addUser()).id }),
      await addSession({ userId: (await addUser()).id }),
    ];
    const hashes = [two.tokenHash, randomBytes(32), one.tokenHash, two.tokenHash];
    t.same(
      (await store.findAll(hashes)).map((found) => found?.record.id ?? null),
      [two.id, null, one.id, two.id],
    );
    t.same(await store.findAll([]), []);
  });

  t.test('what changed of the user shows, and makes the version grow', async (t) => {
    const { database, addUser, addSession, getRecord } = await setUp(t);
    const session = await addSession({ userId: (await addUser()).id });
    const { version } = await getRecord(session);
    await database.update(users).set({
      emailVerifiedAt: sql`now()`,
      status: 'banned',
      claimsVersion: sql`${users.claimsVersion} + 1`,
    });
    t.match(await getRecord(session), {
      claims: { email_verified: true, cv: 2 },
      userStatus: 'banned',
      version: version + 1,
    });
  });

  t.test('the same look-up works time and again, also many at once', async (t) => {
    const { addUser, addSession, getRecord } = await setUp(t);
    const userId = (await addUser()).id;
    const added = await Promise.all(Array.from({ length: 20 }, () => addSession({ userId })));
    for (const _ of [1, 2, 3]) {
      const records = await Promise.all(added.map(getRecord));
      t.same(
        records.map(({ id }) => id),
        added.map(({ id }) => id),
      );
    }
  });

  t.test('a look-up tells the time of the database', async (t) => {
    const { store, addUser, addSession, moveTime } = await setUp(t);
    const { tokenHash } = await addSession({ userId: (await addUser()).id });
    const before = await findSession(store, tokenHash);
    await moveTime(HOUR_MS);
    const after = await findSession(store, tokenHash);
    const passedMs = Number(after?.databaseNow) - Number(before?.databaseNow);
    t.ok(passedMs >= HOUR_MS && passedMs < 2 * HOUR_MS, `${passedMs} ms`);
  });

  t.test('a session starts at the time of the database', async (t) => {
    const { store, addUser, insert, moveTime } = await setUp(t);
    await moveTime(-HOUR_MS);
    const session = makeSession({ userId: (await addUser()).id });
    const { databaseNow } = await insert(session);
    const found = await findSession(store, session.tokenHash);
    t.equal(found?.record.createdAt, databaseNow.getTime());
    const agoMs = Number(found?.databaseNow) - databaseNow.getTime();
    t.ok(agoMs >= 0 && agoMs < MINUTE_MS, `${agoMs} ms ago`);
  });

  t.test('what cannot be a session is refused', async (t) => {
    const { addUser, addSession, insert } = await setUp(t);
    const userId = (await addUser()).id;
    const { id, tokenHash } = await addSession({ userId });
    await t.rejects(insert(makeSession({ userId, tokenHash })), { name: 'DatabaseError', sqlState: '23505' });
    await t.rejects(insert(makeSession({ userId, id })), { name: 'DatabaseError', sqlState: '23505' });
    await t.rejects(insert(makeSession({ userId: randomUUID() })), {
      name: 'DatabaseError',
      sqlState: '23503',
    });
    await t.rejects(insert(makeSession({ userId, tokenHash: randomBytes(31) })), {
      name: 'DatabaseError',
      sqlState: '23514',
    });
    await t.rejects(insert(makeSession({ userId, tokenHash: randomBytes(33) })), {
      name: 'DatabaseError',
      sqlState: '23514',
    });
  });

  t.test('a session that the database swallows is not taken for started', async (t) => {
    const { store, transact, addUser } = await setUp(t);
    const session = makeSession({ userId: (await addUser()).id });
    const swallowed = transact(async (transaction) => {
      const { database } = transaction;
      // A trigger is undone with its transaction like anything else.
      await database.execute(sql`create function swallow() returns trigger language plpgsql
        as 'begin return null; end'`);
      await database.execute(sql`create trigger swallow before insert on sessions
        for each row execute function swallow()`);
      await store.insert(transaction, session);
    });
    await t.rejects(swallowed, { message: 'an insert returned no row' });
  });

  t.test('one of 20 parallel starts with one token hash wins', async (t) => {
    const { addUser, insert, idsOf } = await setUp(t);
    const userId = (await addUser()).id;
    const tokenHash = randomBytes(32);
    const started = await Promise.allSettled(
      Array.from({ length: 20 }, () => insert(makeSession({ userId, tokenHash }))),
    );
    t.equal(started.filter(({ status }) => status === 'fulfilled').length, 1);
    t.equal((await idsOf(userId)).length, 1);
  });

  t.test("a deleted user's sessions go as well", async (t) => {
    const { database, store, addUser, addSession } = await setUp(t);
    const userId = (await addUser()).id;
    const { tokenHash } = await addSession({ userId });
    await database.delete(users).where(eq(users.id, userId));
    t.equal(await findSession(store, tokenHash), null);
    t.equal(await database.$count(sessions), 0);
  });

  t.test('a transaction that fails leaves no session, and ends none', async (t) => {
    const { store, transact, addUser, addSession, getRecord } = await setUp(t);
    const userId = (await addUser()).id;
    const old = await addSession({ userId });
    const change = new Error('changed my mind');
    const fresh = makeSession({ userId });
    const failing = transact(async (transaction) => {
      t.equal((await store.end(transaction, old, 'replaced')).length, 1);
      await store.insert(transaction, fresh);
      throw change;
    });
    await t.rejects(failing, change);
    t.equal(await findSession(store, fresh.tokenHash), null);
    t.match(await getRecord(old), { ended: false });
  });

  t.test('an ended session is found as ended, with a higher version and the reason', async (t) => {
    const { database, addUser, addSession, end, getRecord } = await setUp(t);
    const session = await addSession({ userId: (await addUser()).id });
    const { version } = await getRecord(session);
    t.same(await end({ tokenHash: session.tokenHash }), [session.tokenHash]);
    t.match(await getRecord(session), { ended: true, version: version + 1 });
    t.match(await database.select().from(sessions), [{ endReason: 'ended_by_user', endedAt: Date }]);
  });

  t.test('ending returns the hashes of exactly those that it ended', async (t) => {
    const { addUser, addSession, end, idsOf } = await setUp(t);
    const [ada, bob] = [await addUser(), await addUser()];
    const [first, second, third] = [
      await addSession({ userId: ada.id }),
      await addSession({ userId: ada.id }),
      await addSession({ userId: ada.id }),
    ];
    const others = await addSession({ userId: bob.id });

    t.same(await end({ tokenHash: randomBytes(32) }), []);
    t.same(await end({ userId: ada.id, sessionId: others.id }), []);
    t.same(await end({ userId: ada.id, sessionId: randomUUID() }), []);
    t.same(await end({ userId: ada.id, sessionId: first.id }), [first.tokenHash]);
    t.same(await end({ userId: ada.id, sessionId: first.id }), []);
    const sessionIds = [third.id, first.id, others.id, randomUUID()];
    t.same(await end({ userId: ada.id, sessionIds }), [third.tokenHash]);
    t.same(await end({ userId: ada.id, sessionIds }), []);
    t.same(await idsOf(ada.id), [second.id]);
    t.same(await idsOf(bob.id), [others.id]);
    t.same(await end({ tokenHash: second.tokenHash }), [second.tokenHash]);
  });

  t.test('an ended session keeps its first reason and moment', async (t) => {
    const { database, transact, store, addUser, addSession, moveTime } = await setUp(t);
    const { tokenHash } = await addSession({ userId: (await addUser()).id });
    await transact((transaction) => store.end(transaction, { tokenHash }, 'signed_out'));
    const rows = await database.select().from(sessions);
    await moveTime(MINUTE_MS);
    await transact((transaction) => store.end(transaction, { tokenHash }, 'replaced'));
    t.same(await database.select().from(sessions), rows);
    t.match(rows, [{ endReason: 'signed_out' }]);
  });

  t.test('of 20 parallel ends of one session, one gets the hash', async (t) => {
    const { addUser, addSession, end, getRecord } = await setUp(t);
    const session = await addSession({ userId: (await addUser()).id });
    const { version } = await getRecord(session);
    const { tokenHash } = session;
    const ended = await Promise.all(Array.from({ length: 20 }, () => end({ tokenHash })));
    t.same(ended.flat(), [tokenHash]);
    t.match(await getRecord(session), { version: version + 1 });
  });

  t.test('an expired session is neither listed nor ended', async (t) => {
    const { addUser, addSession, end, idsOf, getRecord, moveTime } = await setUp(t);
    for (const ttls of [{ ttlMs: HOUR_MS, idleTtlMs: HOUR_MS }, { idleTtlMs: HOUR_MS }]) {
      const userId = (await addUser()).id;
      const session = await addSession({ userId, ...ttls });
      await moveTime(HOUR_MS - MINUTE_MS);
      t.same(await idsOf(userId), [session.id]);
      await moveTime(MINUTE_MS);
      t.same(await idsOf(userId), []);
      t.same(await end(session), []);
      t.match(await getRecord(session), { ended: false });
    }
  });

  t.test('a session is listed with what its owner, and an operator, can know it by', async (t) => {
    const { list, addUser, addSession, getRecord } = await setUp(t);
    const userId = (await addUser()).id;
    const known = await addSession({ userId, device: { ip: '2001:db8::1', userAgent: 'Lynx "ü"' } });
    const { createdAt, authenticatedAt, lastSeenAt, expiresAt } = await getRecord(known);
    const shown = (await list(userId)).map((session) => ({
      ...session,
      cursor: session.cursor.split('.')[1],
    }));
    t.strictSame(shown, [
      {
        id: known.id,
        userId,
        createdAt: new Date(createdAt),
        authenticatedAt: new Date(authenticatedAt),
        amr: ['pwd'],
        lastSeenAt: new Date(lastSeenAt),
        expiresAt: new Date(expiresAt),
        ip: '2001:db8::1',
        userAgent: 'Lynx "ü"',
        cursor: known.id,
      },
    ]);
    const unknown = await addSession({ userId, device: { ip: '192.0.2.1', userAgent: null } });
    const listed = (await list(userId)).find(({ id }) => id === unknown.id);
    t.strictSame(listed?.userAgent, null);
  });

  t.test('the latest used are listed first, a hundred at most', async (t) => {
    const { database, list, addUser, addSession, idsOf } = await setUp(t);
    const userId = (await addUser()).id;
    const added = await Promise.all(Array.from({ length: 105 }, () => addSession({ userId })));
    await addSession({ userId: (await addUser()).id });
    await database.update(sessions).set({ lastSeenAt: sql`now()` });
    const ids = added.map(({ id }) => id).sort();
    for (const [place, id] of ids.slice(0, 3).entries()) {
      const lastSeenAt = sql`now() + ${place + 1} * interval '1 second'`;
      await database.update(sessions).set({ lastSeenAt }).where(eq(sessions.id, id));
    }
    const [first, second, third, ...rest] = ids;
    t.same(await idsOf(userId), [third, second, first, ...rest.reverse().slice(0, 97)]);
    t.same(await list(randomUUID()), []);
  });

  t.test('a list in parts has each session once, also of those that were used in one instant', async (t) => {
    const { database, list, addUser, addSession, idsOf } = await setUp(t);
    const userId = (await addUser()).id;
    for (let n = 0; n < 20; n += 1) await addSession({ userId });
    // Groups a microsecond apart, which a Date cannot tell apart.
    await database.update(sessions).set({
      lastSeenAt: sql`date_trunc('second', now()) + get_byte(${sessions.generateToken}, 0) % 4 * interval '1 microsecond'`,
    });
    const whole = await idsOf(userId);
    for (const limit of [1, 3, 7, 20]) {
      const ids: string[] = [];
      let after: string | undefined;
      for (let parts = 0; parts < 21; parts += 1) {
        const part = await list(userId, { limit, after });
        ids.push(...part.map(({ id }) => id));
        after = part.at(-1)?.cursor ?? after;
      }
      t.strictSame(ids, whole, `${limit} at a time`);
    }
  });

  t.test("the others are all of the user's open sessions but one, the first 1,000 of them", async (t) => {
    const { database, listOthers, addUser, addSession, end } = await setUp(t);
    const userId = (await addUser()).id;
    const [kept, ended, other] = [
      await addSession({ userId }),
      await addSession({ userId }),
      await addSession({ userId }),
    ];
    await addSession({ userId: (await addUser()).id });
    await end({ userId, sessionId: ended.id });
    t.strictSame(await listOthers(userId, kept.id), [other.id]);
    await database.execute(sql`insert into sessions (id, user_id, generate_token, expires_at, idle_expires_at)
      select gen_random_uuid(), ${userId}, sha256(n::text::bytea), now() + interval '1 day', now() + interval '1 day'
      from generate_series(1, 1500) as n`);
    const many = await listOthers(userId, kept.id);
    t.equal(new Set(many).size, 1_000);
    t.equal((await end({ userId, sessionIds: many })).length, 1_000);
    t.equal((await listOthers(userId, kept.id)).length, 501);
    t.equal((await listOthers(userId, null)).length, 502);
    t.equal((await listOthers(userId, null, 500)).length, 2, 'the latest used ones may be left out');
  });

  t.test('all sessions of a user end at once, or all but one', async (t) => {
    const { addUser, addSession, end, idsOf } = await setUp(t);
    const [ada, bob] = [await addUser(), await addUser()];
    const [kept, other] = [await addSession({ userId: ada.id }), await addSession({ userId: ada.id })];
    const bystander = await addSession({ userId: bob.id });
    t.same(await end({ userId: ada.id, exceptSessionId: kept.id }), [other.tokenHash]);
    t.same(await idsOf(ada.id), [kept.id]);
    t.same(await end({ userId: ada.id, exceptSessionId: null }), [kept.tokenHash]);
    t.same(await idsOf(bob.id), [bystander.id]);
  });

  t.test('an end tells whose session it was', async (t) => {
    const { store, transact, addUser, addSession } = await setUp(t);
    const { id, userId, tokenHash } = await addSession({ userId: (await addUser()).id });
    const ended = await transact((transaction) => store.end(transaction, { tokenHash }, 'signed_out'));
    t.strictSame(ended, [{ id, userId, tokenHash }]);
  });

  t.test('changed claims raise the version of every open session, whose hashes are returned', async (t) => {
    const { addUser, addSession, end, changeClaims, getRecord } = await setUp(t);
    const userId = (await addUser()).id;
    const [ended, open] = [await addSession({ userId }), await addSession({ userId })];
    const bystander = await addSession({ userId: (await addUser()).id });
    await end(ended);
    const [before, theirs] = [await getRecord(open), await getRecord(bystander)];
    t.strictSame(await changeClaims(userId), { version: 2, openTokenHashes: [open.tokenHash] });
    t.equal((await getRecord(open)).version, before.version + 1);
    t.strictSame(await getRecord(bystander), theirs);
    t.equal(await changeClaims(randomUUID()), null, 'the account is gone');
  });

  t.test('the open sessions of all users are listed in parts, the last ones first', async (t) => {
    const { store, transact, addUser, addSession, end } = await setUp(t);
    const [one, other] = [await addUser(), await addUser()];
    const started = [];
    for (const { id } of [one, other, one, other]) started.push((await addSession({ userId: id })).id);
    const ids = started.toSorted().toReversed();
    const listOpen = (below: string) => transact((transaction) => store.listOpen(transaction, below));
    const LAST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    t.same(await listOpen(LAST), ids);
    t.same(await listOpen(ids[1] ?? ''), ids.slice(2));
    t.equal((await end({ sessionIds: ids.slice(0, 1) })).length, 1);
    t.same(await listOpen(LAST), ids.slice(1));
  });

  t.test('room is made by ending the replaced session and the oldest beyond the bound', async (t) => {
    const { database, addUser, addSession, idsOf, makeRoom } = await setUp(t);
    const userId = (await addUser()).id;
    const stranger = await addSession({ userId: (await addUser()).id });
    const own: NewSession[] = [];
    for (let n = 0; n < 6; n += 1) {
      own.push(await addSession({ userId }));
      const createdAt = sql`now() + ${n} * interval '1 millisecond'`;
      await database
        .update(sessions)
        .set({ createdAt })
        .where(eq(sessions.id, own[n]?.id ?? ''));
    }
    const [first, second, third, fourth, fifth, sixth] = own as [
      NewSession,
      NewSession,
      NewSession,
      NewSession,
      NewSession,
      NewSession,
    ];
    const sorted = async () => (await idsOf(userId)).sort();
    t.same(await makeRoom({ userId, replaced: null, mostOthers: null }), []);
    t.same(await makeRoom({ userId, replaced: null, mostOthers: 6 }), []);
    t.same(await makeRoom({ userId, replaced: fifth.tokenHash, mostOthers: 5 }), [fifth.tokenHash]);
    t.same(await sorted(), [first, second, third, fourth, sixth].map(({ id }) => id).sort());
    const ended = await makeRoom({ userId, replaced: stranger.tokenHash, mostOthers: 3 });
    t.same(
      ended.map(String).sort(),
      [stranger, first, second].map(({ tokenHash }) => String(tokenHash)).sort(),
      'a browser may have had the session of another user',
    );
    t.same(await makeRoom({ userId, replaced: null, mostOthers: 0 }).then(({ length }) => length), 3);
    t.same(await idsOf(userId), []);
    const reasons = await database.select({ id: sessions.id, reason: sessions.endReason }).from(sessions);
    const reasonOf = ({ id }: NewSession) => reasons.find((row) => row.id === id)?.reason;
    t.same([fifth, stranger, first, sixth].map(reasonOf), ['replaced', 'replaced', 'too_many', 'too_many']);
  });

  t.test('a use is noted at most once a minute, by the time of the database', async (t) => {
    const { store, addUser, addSession, getRecord, moveTime } = await setUp(t);
    const session = await addSession({ userId: (await addUser()).id });
    const touch = async () => {
      await Promise.all([1, 2, 3].map(() => store.touch([session.id, randomUUID()], IDLE_TTL_MS)));
      return getRecord(session);
    };
    const start = await getRecord(session);
    await moveTime(30 * SECOND_MS);
    t.same(await touch(), start);
    await moveTime(31 * SECOND_MS);
    const seen = await touch();
    t.ok(seen.lastSeenAt - start.lastSeenAt >= 61 * SECOND_MS);
    t.equal(seen.idleExpiresAt, seen.lastSeenAt + IDLE_TTL_MS);
    t.equal(seen.expiresAt, start.expiresAt);
    await moveTime(30 * SECOND_MS);
    t.same(await touch(), seen);
  });

  t.test('a use moves the idle end, but never past the absolute one', async (t) => {
    const { store, addUser, addSession, getRecord, moveTime } = await setUp(t);
    const session = await addSession({ userId: (await addUser()).id });
    await moveTime(IDLE_TTL_MS - HOUR_MS);
    await store.touch([session.id], IDLE_TTL_MS);
    await moveTime(IDLE_TTL_MS - HOUR_MS);
    await store.touch([session.id], IDLE_TTL_MS);
    const { idleExpiresAt, expiresAt } = await getRecord(session);
    t.equal(idleExpiresAt, expiresAt);
  });

  t.test('a use does not revive a session that was ended or has expired', async (t) => {
    const { store, addUser, addSession, end, getRecord, moveTime } = await setUp(t);
    const userId = (await addUser()).id;
    const ended = await addSession({ userId });
    const expired = await addSession({ userId, idleTtlMs: HOUR_MS });
    await end(ended);
    await moveTime(2 * HOUR_MS);
    const before = [await getRecord(ended), await getRecord(expired)];
    await store.touch([ended.id, expired.id], IDLE_TTL_MS);
    t.same([await getRecord(ended), await getRecord(expired)], before);
  });

  t.test('noting no use at all, or that of many, works', async (t) => {
    const { database, store, addUser, addSession, moveTime } = await setUp(t);
    const userId = (await addUser()).id;
    const added = await Promise.all(Array.from({ length: 10 }, () => addSession({ userId })));
    await moveTime(2 * MINUTE_MS);
    await store.touch([], IDLE_TTL_MS);
    const seen = sql`${sessions.lastSeenAt} > ${sessions.createdAt}`;
    t.equal(await database.$count(sessions, seen), 0);
    const unknown = Array.from({ length: 490 }, () => randomUUID());
    await store.touch([...unknown, ...added.map(({ id }) => id)], IDLE_TTL_MS);
    t.equal(await database.$count(sessions, seen), 10);
  });

  t.test(
    'sweeping takes those that have been over for a day, however they ended, and no others',
    async (t) => {
      const { database, store, transact, addUser, addSession, end, moveTime } = await setUp(t);
      const userId = (await addUser()).id;
      const sweep = () => transact((transaction) => store.sweep(transaction, 1_000));
      const idsLeft = async () =>
        (await database.select({ id: sessions.id }).from(sessions)).map(({ id }) => id);
      const live = await addSession({ userId });
      const ended = await addSession({ userId });
      const idle = await addSession({ userId, idleTtlMs: HOUR_MS });
      const expired = await addSession({ userId, ttlMs: HOUR_MS, idleTtlMs: HOUR_MS });
      await moveTime(2 * HOUR_MS);
      await end(ended);
      await moveTime(DAY_MS - HOUR_MS - MINUTE_MS);
      t.equal(await sweep(), 0);
      await moveTime(2 * MINUTE_MS);
      t.equal(await sweep(), 2);
      t.same((await idsLeft()).sort(), [live.id, ended.id].sort());
      await moveTime(2 * HOUR_MS);
      t.equal(await sweep(), 1);
      t.same(await idsLeft(), [live.id]);
      t.notOk([idle.id, expired.id].includes(live.id));
    },
  );

  t.test('sweeping takes no more at a time than it is told', async (t) => {
    const { store, transact, addUser, addSession, moveTime } = await setUp(t);
    const userId = (await addUser()).id;
    for (const _ of [1, 2, 3, 4, 5]) await addSession({ userId, idleTtlMs: HOUR_MS });
    await moveTime(2 * DAY_MS);
    const sweep = () => transact((transaction) => store.sweep(transaction, 2));
    t.same([await sweep(), await sweep(), await sweep(), await sweep()], [2, 2, 1, 0]);
  });
}

test('uses do not wait for a session that is being ended', async (t) => {
  const { database, transact, moveTime } = await openPostgres();
  const store = createSessionStore(database);
  const accounts = createAccountStore(database);
  const id = randomUUID();
  await transact((tx) => accounts.insert(tx, { id, email: id, emailAsTyped: id, passwordHash: 'hash' }));
  const [ending, other] = [makeSession({ userId: id }), makeSession({ userId: id })];
  for (const session of [ending, other]) await transact((tx) => store.insert(tx, session));
  await moveTime(2 * MINUTE_MS);
  const isSeen = async ({ tokenHash }: NewSession) => {
    const record = (await findSession(store, tokenHash))?.record;
    return record !== undefined && record.lastSeenAt > record.createdAt;
  };
  await transact(async (transaction) => {
    await store.end(transaction, { tokenHash: ending.tokenHash }, 'signed_out');
    await store.touch([ending.id, other.id], IDLE_TTL_MS);
    t.same([await isSeen(ending), await isSeen(other)], [false, true]);
  });
});

test('sweeping, on a real server', async (t) => {
  async function setUpSweep() {
    const { database, transact, moveTime } = await openPostgres();
    const store = createSessionStore(database);
    const accounts = createAccountStore(database);
    const id = randomUUID();
    const user = { id, email: id, emailAsTyped: id, passwordHash: 'hash' };
    await transact((transaction) => accounts.insert(transaction, user));
    const add = async (changes: Partial<NewSession> = {}) => {
      const session = makeSession({ userId: id, ...changes });
      await transact((transaction) => store.insert(transaction, session));
      return session;
    };
    const [live, over] = [await add(), await add({ idleTtlMs: HOUR_MS })];
    await moveTime(2 * DAY_MS);
    /** Sweeps, and keeps the transaction open until the test lets it end. */
    const beginSweep = async () => {
      const [swept, ending] = [Promise.withResolvers<number>(), Promise.withResolvers<void>()];
      const done = transact(async (transaction) => {
        swept.resolve(await store.sweep(transaction, 1_000));
        await ending.promise;
      });
      const count = await swept.promise;
      const finish = () => {
        ending.resolve();
        return done;
      };
      return { count, finish };
    };
    return { store, transact, add, live, over, beginSweep };
  }

  t.test('while one replica sweeps, no other one does, and afterwards one may again', async (t) => {
    const { store, transact, beginSweep } = await setUpSweep();
    const first = await beginSweep();
    t.equal(first.count, 1);
    t.equal(await transact((transaction) => store.sweep(transaction, 1_000)), 0);
    await first.finish();
    const next = await beginSweep();
    t.equal(next.count, 0);
    await next.finish();
  });

  t.test('nobody waits for a sweep: look-ups, sign-ins, sign-outs and uses go on', async (t) => {
    const { store, transact, add, live, over, beginSweep } = await setUpSweep();
    const sweep = await beginSweep();
    t.match(await findSession(store, live.tokenHash), { record: { id: live.id } });
    t.match(await findSession(store, over.tokenHash), { record: { id: over.id } }, 'until it is committed');
    await store.touch([live.id], IDLE_TTL_MS);
    const another = await add();
    t.match(await findSession(store, another.tokenHash), { record: { id: another.id } });
    const selector = { tokenHash: live.tokenHash };
    const ended = transact((transaction) => store.end(transaction, selector, 'signed_out'));
    t.equal((await ended).length, 1);
    await sweep.finish();
    t.equal(await findSession(store, over.tokenHash), null);
  });
});

const hashesOf = (ended: EndedSession[]) => ended.map(({ tokenHash }) => tokenHash);

function makeSession(changes: Partial<NewSession> & { userId: string }): NewSession {
  return {
    id: randomUUID(),
    tokenHash: randomBytes(32),
    ttlMs: TTL_MS,
    idleTtlMs: IDLE_TTL_MS,
    device: { ip: '192.0.2.1', userAgent: 'Lynx' },
    amr: ['pwd'],
    ...changes,
  };
}
