import { randomBytes } from 'node:crypto';
import { type Test, test } from 'tap';
import { validate, version } from 'uuid';
import { sql } from '../../src/db/drizzle.ts';
import { sessions as rows, users } from '../../src/db/schema.ts';
import { createGenerateToken, hashGenerateToken } from '../../src/sessions/generate-token.ts';
import { findSession } from '../support/find-session.ts';
import { openSessions } from '../support/services.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const client = '192.0.2.1';
const device = { ip: client, userAgent: 'Lynx' };

async function setUp(t: Test) {
  const opened = await openSessions(t);
  const { createReplica, transact } = opened;
  const userId = await opened.addUser();
  const { sessions, flush } = createReplica();
  const start = (id = userId, replica = sessions) =>
    transact((transaction) => replica.start(transaction, id, device));
  return { ...opened, userId, sessions, flush, start };
}

test('a started session is found by its token, on every replica', async (t) => {
  const { start, sessions, createReplica, userId } = await setUp(t);
  const { id, generateToken, maxAgeSeconds } = await start();
  t.equal(validate(id) && version(id), 7);
  t.equal(maxAgeSeconds, 7200);
  t.match(await sessions.find(generateToken, client), { id, userId });
  t.match(await createReplica().sessions.find(generateToken, client), { id, userId });
});

test('the database has the hash of the token, and the token nowhere', async (t) => {
  const { start, database } = await setUp(t);
  const { generateToken } = await start();
  const [row] = await database.select().from(rows);
  t.same(row?.generateToken, hashGenerateToken(generateToken));
  const [dump] = (await database.execute(sql`select sessions::text as text from sessions`)) as unknown as {
    text: string;
  }[];
  t.match(dump?.text, /192\.0\.2\.1/);
  t.notOk(dump?.text.includes(generateToken));
  t.notOk(dump?.text.includes(Buffer.from(generateToken, 'base64url').toString('hex')));
});

test('what cannot be a token costs no look-up', async (t) => {
  const { start, sessions, counted } = await setUp(t);
  const { generateToken } = await start();
  for (const text of [
    '',
    'x',
    `${generateToken} `,
    generateToken.slice(1),
    `${generateToken.slice(0, 42)}!`,
  ]) {
    t.equal(await sessions.find(text, client), null);
  }
  t.equal(counted.loads, 0);
  t.equal(await sessions.find(createGenerateToken(), client), null);
  t.equal(counted.loads, 1);
});

test('a session that is not used ends after its idle time', async (t) => {
  const { start, sessions, passTime } = await setUp(t);
  const [used, unused] = [await start(), await start()];
  await passTime(HOUR_MS - MINUTE_MS);
  t.match(await sessions.find(used.generateToken, client), { id: used.id });
  await passTime(MINUTE_MS);
  t.equal(await sessions.find(unused.generateToken, client), null);
});

test('use keeps a session alive, until its absolute end', async (t) => {
  const { start, sessions, flush, passTime } = await setUp(t);
  const { generateToken } = await start();
  for (const _ of [1, 2, 3, 4]) {
    await passTime(29 * MINUTE_MS);
    t.match(await sessions.find(generateToken, client), { ended: false });
    await flush();
  }
  await passTime(4 * MINUTE_MS);
  t.equal(await sessions.find(generateToken, client), null);
});

test('a use in the last minute of the idle time counts, though a copy in the cache says otherwise', async (t) => {
  const { start, sessions, flush, passTime } = await setUp(t);
  const { generateToken } = await start();
  await passTime(HOUR_MS - MINUTE_MS / 2);
  t.match(await sessions.find(generateToken, client), { ended: false });
  await flush();
  await passTime(MINUTE_MS / 2 + 1);
  t.match(await sessions.find(generateToken, client), { ended: false });
});

test('a replica whose clock is wrong judges by the time of the database', async (t) => {
  const { start, createReplica, passTime } = await setUp(t);
  const { generateToken } = await start();
  for (const skewMs of [-10 * HOUR_MS, 10 * HOUR_MS]) {
    const { sessions } = createReplica({ skewMs, cache: { get: async () => null } });
    t.match(await sessions.find(generateToken, client), { ended: false });
  }
  await passTime(HOUR_MS);
  for (const skewMs of [-10 * HOUR_MS, 10 * HOUR_MS]) {
    const { sessions } = createReplica({ skewMs, cache: { get: async () => null } });
    t.equal(await sessions.find(generateToken, client), null);
  }
});

test('a replica learns the time of the database from a session that it starts', async (t) => {
  const { start, createReplica, counted } = await setUp(t);
  const { generateToken } = await start();
  const [late, good] = [createReplica({ skewMs: 10 * HOUR_MS }), createReplica()];
  await start(undefined, late.sessions);
  await good.sessions.find(generateToken, client);
  t.equal(counted.loads, 1);
  // By its own clock the entry would no longer be fresh.
  t.match(await late.sessions.find(generateToken, client), { ended: false });
  t.equal(counted.loads, 1);
});

test("a banned user's session is not found", async (t) => {
  const { start, sessions, database } = await setUp(t);
  const { generateToken } = await start();
  await database.update(users).set({ status: 'banned' });
  t.equal(await sessions.find(generateToken, client), null);
});

test('uses are noted once a minute, in the row', async (t) => {
  const { start, sessions, flush, passTime, userId, counted } = await setUp(t);
  const { generateToken } = await start();
  const seenAfter = async (ms: number) => {
    await passTime(ms);
    for (const _ of [1, 2, 3]) await sessions.find(generateToken, client);
    await flush();
    const [listed] = (await sessions.list(userId, { limit: 1 })).sessions;
    return listed?.lastSeenAt.getTime() ?? 0;
  };
  const firstSeen = await seenAfter(0);
  t.equal(await seenAfter(MINUTE_MS / 2), firstSeen);
  t.equal(counted.noted, 0);
  t.ok((await seenAfter(MINUTE_MS)) >= firstSeen + MINUTE_MS);
  t.equal(counted.noted, 1);
});

test('a session that was signed out is found nowhere, and cannot be signed out again', async (t) => {
  const { start, sessions, createReplica } = await setUp(t);
  const { generateToken } = await start();
  const { sessions: elsewhere } = createReplica();
  t.ok(await sessions.find(generateToken, client));
  t.ok(await elsewhere.find(generateToken, client));
  t.equal(await sessions.signOut(generateToken, client), true);
  t.equal(await sessions.find(generateToken, client), null);
  t.equal(await elsewhere.find(generateToken, client), null);
  t.equal(await sessions.signOut(generateToken, client), false);
  t.equal(await elsewhere.signOut(generateToken, client), false);
});

test('nobody is signed out with what is no token, or none of ours', async (t) => {
  const { sessions } = await setUp(t);
  t.equal(await sessions.signOut('', client), false);
  t.equal(await sessions.signOut(createGenerateToken(), client), false);
});

test('an expired session cannot be signed out', async (t) => {
  const { start, sessions, passTime } = await setUp(t);
  const { generateToken } = await start();
  await passTime(HOUR_MS);
  t.equal(await sessions.signOut(generateToken, client), false);
});

test('of 20 parallel sign-outs, over two replicas, one is told that it did it', async (t) => {
  const { start, sessions, createReplica } = await setUp(t);
  const { generateToken } = await start();
  const replicas = [sessions, createReplica().sessions];
  const attempts = Array.from({ length: 10 }, () =>
    replicas.map((replica) => replica.signOut(generateToken, client)),
  );
  const outcomes = await Promise.all(attempts.flat());
  t.equal(outcomes.filter((wasSignedIn) => wasSignedIn).length, 1);
  for (const replica of replicas) t.equal(await replica.find(generateToken, client), null);
});

test('the cache hears of an ended session when everybody can see that it is', async (t) => {
  const { start, createReplica, memory, store } = await setUp(t);
  const { generateToken } = await start();
  const seen: unknown[] = [];
  const { sessions } = createReplica({
    cache: {
      put: async (...all) => {
        seen.push((await findSession(store, hashGenerateToken(generateToken)))?.record.ended);
        await memory.put(...all);
      },
    },
  });
  await sessions.signOut(generateToken, client);
  t.same(seen, [true]);
});

test('a cache that cannot be told is reported, and the sign-out stands', async (t) => {
  const { start, createReplica, store, cacheErrors, userId } = await setUp(t);
  const [kept, ...ended] = [await start(), await start(), await start()];
  const failure = new Error('no cache');
  const tried: string[] = [];
  const put = async (key: string) => {
    tried.push(key);
    throw failure;
  };
  const { sessions } = createReplica({ cache: { put, remove: put } });
  await sessions.endOthers(userId, kept.id, 'ended_by_user');
  t.equal(tried.length, 4);
  t.same(cacheErrors, [failure]);
  for (const { generateToken } of ended) {
    t.match(await findSession(store, hashGenerateToken(generateToken)), { record: { ended: true } });
  }
});

test('a replaced session ends with the transaction that replaces it, or not at all', async (t) => {
  const { start, sessions, transact, database, userId } = await setUp(t);
  const old = await start();
  t.ok(await sessions.find(old.generateToken, client));
  const change = new Error('changed my mind');
  const failing = transact(async (transaction) => {
    await sessions.start(transaction, userId, device, { replaces: old.generateToken });
    throw change;
  });
  await t.rejects(failing, change);
  t.match(await sessions.find(old.generateToken, client), { id: old.id });
  await transact((transaction) =>
    sessions.start(transaction, userId, device, { replaces: old.generateToken }),
  );
  t.equal(await sessions.find(old.generateToken, client), null);
  t.match(await database.select().from(rows).orderBy(rows.createdAt), [
    { endReason: 'replaced' },
    { endReason: null },
  ]);
});

test('replacing what is no session is no error', async (t) => {
  const { sessions, transact, userId } = await setUp(t);
  for (const token of ['', 'x', createGenerateToken(), randomBytes(99).toString('base64url')]) {
    await t.resolves(
      transact((transaction) => sessions.start(transaction, userId, device, { replaces: token })),
    );
  }
});

test('a user can end one of their own sessions, once, and no one else can', async (t) => {
  const { start, sessions, userId, addUser } = await setUp(t);
  const [doomed, kept] = [await start(), await start()];
  await t.rejects(sessions.endOne(await addUser(), doomed.id), { code: 'not_found' });
  t.match(await sessions.find(doomed.generateToken, client), { id: doomed.id });
  await sessions.endOne(userId, doomed.id);
  t.equal(await sessions.find(doomed.generateToken, client), null);
  await t.rejects(sessions.endOne(userId, doomed.id), { code: 'not_found' });
  t.match(await sessions.find(kept.generateToken, client), { id: kept.id });
});

test("ending all others keeps the one, and other users' sessions", async (t) => {
  const { start, sessions, userId, addUser } = await setUp(t);
  const bystander = await start(await addUser());
  const [kept, ...others] = [await start(), await start(), await start()];
  for (const { generateToken } of others) t.ok(await sessions.find(generateToken, client));
  await sessions.endOthers(userId, kept.id, 'ended_by_user');
  for (const { generateToken } of others) t.equal(await sessions.find(generateToken, client), null);
  t.match(await sessions.find(kept.generateToken, client), { id: kept.id });
  t.match(await sessions.find(bystander.generateToken, client), { id: bystander.id });
  t.match((await sessions.list(userId, { limit: 9 })).sessions, [
    { id: kept.id, ip: device.ip, userAgent: device.userAgent },
  ]);
  await t.resolves(sessions.endOthers(userId, kept.id, 'ended_by_user'));
});

test('nobody makes the database look for unknown tokens without end, and their own session goes on', async (t) => {
  const { start, sessions, counted, passTime } = await setUp(t);
  const { id, generateToken } = await start();
  t.match(await sessions.find(generateToken, client), { id });
  const limit = 300;
  for (let guess = 0; guess < limit; guess += 1) {
    t.equal(await sessions.find(createGenerateToken(), client), null);
  }
  t.equal(counted.loads, limit + 1);
  await t.rejects(sessions.find(createGenerateToken(), client), { code: 'rate_limited' });
  t.equal(counted.loads, limit + 1);
  t.match(await sessions.find(generateToken, client), { id }, 'the cache has it');
  t.equal(await sessions.find(createGenerateToken(), '2001:db8::1'), null, 'others are not held up');
  await passTime(MINUTE_MS);
  t.equal(await sessions.find(createGenerateToken(), client), null);
});

test('a burst of unknown tokens gets no more look-ups than the same tokens one by one', async (t) => {
  const { sessions, counted } = await setUp(t);
  const burst = await Promise.allSettled(
    Array.from({ length: 2_000 }, () => sessions.find(createGenerateToken(), client)),
  );
  t.equal(counted.loads, 300);
  const refused = burst.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  t.equal(refused.length, 1_700);
  for (const { reason } of refused) t.match(reason, { code: 'rate_limited' });
});

test('a thousand users behind one address, none of them in the cache, all come in at once', async (t) => {
  const { start, sessions, memory, addUser } = await setUp(t);
  const started = await Promise.all(Array.from({ length: 1_000 }, async () => start(await addUser())));
  for (const { generateToken } of started)
    await memory.put(`session:${hashGenerateToken(generateToken).toString('hex')}`, '', 0);
  const found = await Promise.all(started.map(({ generateToken }) => sessions.find(generateToken, client)));
  t.same(
    found.map((session) => session?.id),
    started.map(({ id }) => id),
  );
});

test('sign-out with unknown tokens is limited like a look-up, and a known session always gets out', async (t) => {
  const { start, createReplica, transact } = await setUp(t);
  let transactions = 0;
  const { sessions } = createReplica({
    transact: (work) => {
      transactions += 1;
      return transact(work);
    },
  });
  const own = await start();
  t.ok(await sessions.find(own.generateToken, client));
  const burst = await Promise.allSettled(
    Array.from({ length: 600 }, () => sessions.signOut(createGenerateToken(), client)),
  );
  t.equal(transactions, 300);
  t.equal(burst.filter(({ status }) => status === 'rejected').length, 300);
  await t.rejects(sessions.signOut(createGenerateToken(), client), { code: 'rate_limited' });
  await t.rejects(sessions.find(createGenerateToken(), client), { code: 'rate_limited' });
  t.equal(await sessions.signOut(createGenerateToken(), '2001:db8::1'), false, 'others are not held up');
  t.equal(await sessions.signOut(own.generateToken, client), true, 'the cache knows it');
});

test('sign-outs with good tokens count for nothing', async (t) => {
  const { start, sessions } = await setUp(t);
  for (let round = 0; round < 301; round += 1) {
    const { generateToken } = await start();
    t.equal(await sessions.signOut(generateToken, client), true);
  }
});

test('asking for the same unknown token again and again costs one look-up in ten seconds', async (t) => {
  const { sessions, counted, passTime } = await setUp(t);
  const unknown = createGenerateToken();
  for (let time = 0; time < 20; time += 1) t.equal(await sessions.find(unknown, client), null);
  t.equal(counted.loads, 1);
  await passTime(10_000);
  t.equal(await sessions.find(unknown, client), null);
  t.equal(counted.loads, 2);
});

test('an end that the cache did not hear of reaches it when it is back', async (t) => {
  const { start, createReplica, memory, passTime, cacheErrors } = await setUp(t);
  const { generateToken } = await start();
  let away = true;
  const put: typeof memory.put = async (...all) => {
    if (away) throw new Error('no cache');
    await memory.put(...all);
  };
  const remove = async () => {
    throw new Error('no cache');
  };
  const [one, other] = [createReplica({ cache: { put, remove } }), createReplica()];
  t.ok(await other.sessions.find(generateToken, client));
  await one.sessions.signOut(generateToken, client);
  t.equal(cacheErrors.length, 1);
  t.ok(await other.sessions.find(generateToken, client), 'an entry that nobody could revoke');
  await passTime(3_000);
  away = false;
  await one.outbox.deliverDue();
  t.equal(await other.sessions.find(generateToken, client), null);
});

test('ending more sessions than there is time for is refused, never acknowledged, and goes on where it stopped', async (t) => {
  const { start, createReplica, database, userId, memory, passTime } = await setUp(t);
  const kept = await start();
  await database.execute(sql`insert into sessions (id, user_id, generate_token, expires_at, idle_expires_at)
    select gen_random_uuid(), ${userId}, sha256(n::text::bytea), now() + interval '1 hour', now() + interval '1 hour'
    from generate_series(1, 1001) as n`);
  const open = () => database.$count(rows, sql`${rows.endedAt} is null`);
  let isSlow = true;
  const put: typeof memory.put = async (...all) => {
    await memory.put(...all);
    if (!isSlow) return;
    isSlow = false;
    await passTime(5_000);
  };
  const { sessions } = createReplica({ cache: { put } });
  const outcomes = await Promise.allSettled(
    [1, 2].map(() => sessions.endOthers(userId, kept.id, 'ended_by_user')),
  );
  t.match(
    outcomes,
    Array(2).fill({ reason: { code: 'unavailable', retryAfterSeconds: 1, detail: /again/ } }),
  );
  t.equal(await open(), 2, 'the second one did not begin, as its time had passed with waiting');
  await sessions.endOthers(userId, kept.id, 'ended_by_user');
  t.equal(await open(), 1);
  t.match(await sessions.find(kept.generateToken, client), { id: kept.id });
});

test('all sessions of all users end, however many, at every replica; those that start meanwhile go on', async (t) => {
  const { start, sessions, createReplica, database, transact, userId, addUser } = await setUp(t);
  const tokens = [await start(), await start(await addUser())].map(({ generateToken }) => generateToken);
  for (const token of tokens) t.ok(await sessions.find(token, client));
  await database.execute(sql`
    insert into sessions (id, user_id, generate_token, expires_at, idle_expires_at)
    select overlay(gen_random_uuid()::text placing '00' from 1)::uuid, ${userId}, sha256(n::text::bytea),
      now() + interval '1 day', now() + interval '1 day' from generate_series(1, 2500) as n`);
  const late: string[] = [];
  const ending = createReplica({
    transact: async (work) => {
      const result = await transact(work);
      // After the first look, and before anything has ended.
      if (late.length === 0) late.push((await start(await addUser())).generateToken);
      return result;
    },
  });
  t.equal(await ending.sessions.endAll(), 2502);
  for (const replica of [sessions, createReplica().sessions]) {
    for (const token of tokens) t.equal(await replica.find(token, client), null);
    for (const token of late) t.ok(await replica.find(token, client));
  }
  t.equal(late.length, 1);
});
