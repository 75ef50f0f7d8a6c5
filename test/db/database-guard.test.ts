import { randomBytes, randomUUID } from 'node:crypto';
import { mock } from 'node:test';
import { inspect } from 'node:util';
import { DrizzleQueryError, sql } from 'drizzle-orm';
import fc from 'fast-check';
import postgres from 'postgres';
import { type Test, test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { AppError, unavailable } from '../../src/core/errors.ts';
import type { Database } from '../../src/db/database.ts';
import {
  breakingGuard,
  cleanError,
  createTransact,
  DatabaseError,
  deadlineGuard,
  guardStore,
  withDeadline,
} from '../../src/db/database-guard.ts';
import { loadPostgresDriver } from '../../src/db/drizzle.ts';
import * as schema from '../../src/db/schema.ts';
import { eventually } from '../support/adapters.ts';
import { createTestDatabase } from '../support/database.ts';
import { freePort } from '../support/free-port.ts';

const { drizzle } = loadPostgresDriver();

const SHORT_MS = 50;
const never = new Promise<never>(() => {});

/** A database with one user in it, over as many connections as are asked for. */
async function setUp(t: Test) {
  const { url } = await createTestDatabase(t);
  const connect = (max: number) => {
    const client = postgres(url, { max, onnotice: () => {} });
    t.teardown(() => client.end());
    return client;
  };
  const database = drizzle(connect(1), { schema });
  const other = connect(1);
  const store = createAccountStore(database);
  const makeUser = () => {
    const id = randomUUID();
    return { id, email: id, emailAsTyped: id, passwordHash: randomBytes(16).toString('hex') };
  };
  const user = makeUser();
  await createTransact(database)((transaction) => store.insert(transaction, user));
  return { database, other, store, user, makeUser };
}

test('an answer in time is passed on', async (t) => {
  t.equal(await withDeadline(Promise.resolve('answer'), SHORT_MS), 'answer');
});

test('what gives no answer is unavailable', async (t) => {
  await t.rejects(withDeadline(never, SHORT_MS), {
    code: 'unavailable',
    cause: { message: /in 50 ms/ },
  });
});

test('an answer that comes too late disturbs nobody', async (t) => {
  const { promise, reject } = Promise.withResolvers<void>();
  await t.rejects(withDeadline(promise, 1), { code: 'unavailable' });
  reject(new Error('too late'));
  // An unhandled rejection would fail the test here.
  await new Promise((resolve) => setImmediate(resolve));
});

test('a deadline that was met keeps the process waiting for nothing', async (t) => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  await withDeadline(Promise.resolve(), 1_000_000);
  t.equal(timers(), before);
});

test('"not now" and "wrong" are told apart by SQLSTATE', async (t) => {
  const notNow = [
    '08006',
    '08P01',
    '25006',
    '25P03',
    '25P04',
    '40001',
    '40P01',
    '53300',
    '55P03',
    '57014',
    '57P01',
    '58030',
  ];
  const wrong = [
    '22021',
    '22P02',
    '23503',
    '23505',
    '23514',
    '25001',
    '28P01',
    '3D000',
    '42501',
    '42P01',
    'XX000',
  ];
  const isUnavailable = (error: unknown) => error instanceof AppError && error.code === 'unavailable';
  for (const code of notNow) t.ok(isUnavailable(cleanError(Object.assign(new Error(), { code }))), code);
  for (const code of wrong) {
    t.match(cleanError(Object.assign(new Error(), { code })), { name: 'DatabaseError', sqlState: code });
  }
});

test('a lost connection is unavailable, however the driver calls it', async (t) => {
  const codes = [
    ...['CONNECTION_CLOSED', 'CONNECTION_ENDED', 'CONNECTION_DESTROYED', 'CONNECT_TIMEOUT'],
    ...[
      'ECONNREFUSED',
      'ECONNRESET',
      'ENOTFOUND',
      'EAI_AGAIN',
      'EPIPE',
      'ETIMEDOUT',
      'EHOSTUNREACH',
      'ENETUNREACH',
    ],
    ...['CERT_HAS_EXPIRED', 'ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_SSL_WRONG_VERSION_NUMBER', 'EPROTO'],
    ...['SELF_SIGNED_CERT_IN_CHAIN', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ];
  for (const code of codes) {
    const error = cleanError(new DrizzleQueryError('select', [], Object.assign(new Error(), { code })));
    t.match(error, { code: 'unavailable', cause: { sqlState: code } });
  }
});

test("errors of our own, and those that are no driver's, stay what they are", async (t) => {
  const errors = [
    new AppError('email_taken'),
    unavailable(undefined),
    new DatabaseError('23505', undefined),
    new TypeError('a bug', { cause: new Error('its cause') }),
    Object.assign(new Error('a number for a code'), { code: 23 }),
    'a string',
    null,
    undefined,
  ];
  for (const error of errors) t.equal(cleanError(error), error);
});

test('nothing that a driver quotes is in the error that is left of it', async (t) => {
  const secret = randomBytes(16).toString('hex');
  const quotesNothing = (code: string) => {
    const driver = Object.assign(new Error(`duplicate key ${secret}`), {
      code,
      detail: secret,
      parameters: [secret],
    });
    const clean = cleanError(new DrizzleQueryError(`insert '${secret}'`, [secret], driver));
    return !inspect(clean, { depth: 9, showHidden: true }).includes(secret);
  };
  t.doesNotThrow(() => fc.assert(fc.property(fc.stringMatching(/^[0-9A-Z]{5}$/), quotesNothing)));
});

test('an error that Drizzle wrapped never comes out as it is, whatever lies below', (t) => {
  const secret = randomBytes(16).toString('hex');
  const wrap = (cause?: Error) => cleanError(new DrizzleQueryError(`insert '${secret}'`, [secret], cause));
  const closed = new Error('PGlite is closed');
  const oddCode = Object.assign(new Error('an odd one'), { code: 'UNDEFINED_VALUE' });
  const noCode = Object.assign(new Error('a number for a code'), { code: 23 });
  for (const cause of [closed, oddCode, noCode]) t.equal(wrap(cause), cause);
  t.match(wrap(), { name: 'DatabaseError', sqlState: 'none' });
  const expired = Object.assign(new Error(), { code: 'CERT_HAS_EXPIRED' });
  for (const error of [wrap(closed), wrap(oddCode), wrap(noCode), wrap(), wrap(expired)]) {
    t.notOk(inspect(error, { depth: 9, showHidden: true }).includes(secret));
    t.notOk('params' in (error as Error));
  }
  t.end();
});

test('a real server that refuses a statement does not get its parameters quoted', async (t) => {
  const { database, store, user, makeUser } = await setUp(t);
  const transact = createTransact(database);
  const twin = { ...makeUser(), id: user.id };
  const error: unknown = await transact((transaction) => store.insert(transaction, twin)).catch((e) => e);
  t.type(error, DatabaseError);
  t.match(error, { name: 'DatabaseError', sqlState: '23505', message: /23505 \(users_pkey\)/ });
  const told = inspect(error, { depth: 9, showHidden: true });
  for (const parameter of Object.values(twin)) t.notOk(told.includes(parameter));
});

test('a server that is not there is unavailable at once', async (t) => {
  const client = postgres(`postgres://127.0.0.1:${await freePort()}/none`, { max: 1 });
  t.teardown(() => client.end({ timeout: 0 }));
  const database = drizzle(client, { schema });
  const refused = { code: 'unavailable', cause: { name: 'DatabaseError', sqlState: 'ECONNREFUSED' } };
  const patientMs = 60_000;
  await t.rejects(
    guardStore('accounts', createAccountStore(database), deadlineGuard(patientMs)).findById(randomUUID()),
    refused,
  );
  await t.rejects(
    createTransact(database, deadlineGuard(patientMs))(async () => {}),
    refused,
  );
});

test('every call of a guarded store has the deadline, and its answer', async (t) => {
  const store = { echo: async (...all: number[]) => all, hang: () => never };
  const guarded = guardStore('accounts', store, deadlineGuard(SHORT_MS));
  t.same(await guarded.echo(1, 2), [1, 2]);
  await t.rejects(guarded.hang(), { code: 'unavailable' });
});

test('a transaction returns what its work returns', async (t) => {
  const { database, store, makeUser } = await setUp(t);
  const user = makeUser();
  const inserted = await createTransact(database)((transaction) => store.insert(transaction, user));
  t.match(inserted, { id: user.id });
  t.match(await store.findById(user.id), { id: user.id });
});

test('after-commit actions run in order, once the rows can be seen by others', async (t) => {
  const { database, other, store, makeUser } = await setUp(t);
  const user = makeUser();
  const seen: [string, number][] = [];
  const look = async (name: string) => {
    const rows = await other`select 1 from users where id = ${user.id}`;
    seen.push([name, rows.length]);
  };
  await createTransact(database)(async (transaction) => {
    transaction.afterCommit(() => look('first'));
    await store.insert(transaction, user);
    transaction.afterCommit(() => look('second'));
    await look('within');
  });
  t.same(seen, [
    ['within', 0],
    ['first', 1],
    ['second', 1],
  ]);
});

test('after-commit actions never run when the work fails, nor when the commit does', async (t) => {
  const { database, other } = await setUp(t);
  const transact = createTransact(database);
  const ran: string[] = [];
  const failure = new AppError('email_taken');
  const failing = transact(async (transaction) => {
    transaction.afterCommit(async () => void ran.push('work'));
    throw failure;
  });
  await t.rejects(failing, failure);

  await other.unsafe(`
    create table deferred (id int primary key deferrable initially deferred);
    insert into deferred values (1)`);
  const failingAtCommit = transact(async (transaction) => {
    transaction.afterCommit(async () => void ran.push('commit'));
    await transaction.database.execute(sql`insert into deferred values (1)`);
  });
  await t.rejects(failingAtCommit, { name: 'DatabaseError', sqlState: '23505' });
  t.same(ran, []);
});

test('a transaction that overran its deadline is rolled back, though the database goes on', async (t) => {
  const { database, other, store, user, makeUser } = await setUp(t);
  const late = makeUser();
  let ran = false;
  const locked = await other.reserve();
  await locked`begin`;
  await locked`select 1 from users where id = ${user.id} for update`;
  const overrun = createTransact(
    database,
    deadlineGuard(SHORT_MS),
  )(async (transaction) => {
    transaction.afterCommit(async () => {
      ran = true;
    });
    await store.insert(transaction, late);
    await transaction.database.execute(sql`update users set status = 'banned' where id = ${user.id}`);
  });
  await t.rejects(overrun, { code: 'unavailable' });
  await locked`commit`;
  locked.release();

  // The one connection that the transaction had is free again once it is over.
  t.match(await store.findById(user.id), { status: 'active' });
  t.equal(await store.findById(late.id), null);
  t.equal(ran, false);
});

/** A database whose every commit waits for the test to answer it. */
function slowToCommit() {
  const commit = Promise.withResolvers<void>();
  const transaction = async (work: (tx: Database) => Promise<unknown>) => {
    const result = await work({} as Database);
    await commit.promise;
    return result;
  };
  return { database: { transaction } as unknown as Database, commit };
}

test('a commit answered after the deadline: the caller was told 503, and what must follow still follows', async (t) => {
  const { database, commit } = slowToCommit();
  const ran: string[] = [];
  const late = createTransact(
    database,
    deadlineGuard(SHORT_MS),
  )(async ({ afterCommit }) => {
    afterCommit(async () => void ran.push('first'));
    afterCommit(async () => void ran.push('second'));
  });
  await t.rejects(late, { code: 'unavailable', cause: { message: /in 50 ms/ } });
  t.same(ran, [], 'nobody knows yet whether it was committed');
  commit.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  t.same(ran, ['first', 'second']);
});

test('a commit that fails after the deadline is followed by nothing', async (t) => {
  const { database, commit } = slowToCommit();
  let ran = false;
  const late = createTransact(
    database,
    deadlineGuard(SHORT_MS),
  )(async ({ afterCommit }) => {
    afterCommit(async () => {
      ran = true;
    });
  });
  await t.rejects(late, { code: 'unavailable' });
  commit.reject(new Error('not committed'));
  // An unhandled rejection would fail the test here.
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(ran, false);
});

test('a connection lost amid a statement is unavailable, leaves nothing, and does not end the process', async (t) => {
  const { database, other, store, makeUser } = await setUp(t);
  for (let round = 0; round < 10; round += 1) {
    const user = makeUser();
    const lost = createTransact(database)(async (transaction) => {
      await store.insert(transaction, user);
      const backend = await backendOf(transaction.database);
      const killed = other`select pg_terminate_backend(${backend})`;
      await Promise.all([killed, transaction.database.execute(sql`select pg_sleep(1)`)]);
    });
    await t.rejects(lost, { code: 'unavailable' });
    t.equal(await eventually(() => store.findByEmail(user.email)), null);
  }
});

for (const [size, value] of [
  ['small', ''],
  // From 1,024 bytes on, the driver writes at once.
  ['large', 'x'.repeat(2_000)],
] as const) {
  test(`a connection lost before a ${size} statement is not quietly replaced by another one`, async (t) => {
    const { database, other, store, makeUser } = await setUp(t);
    for (let round = 0; round < 10; round += 1) {
      const [before, after] = [makeUser(), makeUser()];
      const lost = createTransact(database)(async (transaction) => {
        await store.insert(transaction, before);
        const backend = await backendOf(transaction.database);
        await other`select pg_terminate_backend(${backend})`;
        // The same pool: its next query opens a connection, and the transaction must not slip onto that one.
        await eventually(() => database.execute(sql`select 1`));
        await transaction.database.execute(sql`select ${value}::text`);
        await store.insert(transaction, after);
      });
      await t.rejects(lost, { code: 'unavailable' });
      t.equal(await eventually(() => store.findByEmail(before.email)), null);
      t.equal(await store.findByEmail(after.email), null);
    }
  });
}

test('a transaction that the server gave up while this process was frozen is unavailable', async (t) => {
  const { database, store, makeUser } = await setUp(t);
  for (let round = 0; round < 10; round += 1) {
    const user = makeUser();
    const late = createTransact(database)(async (transaction) => {
      await store.insert(transaction, user);
      await transaction.database.execute(
        sql`select set_config('idle_in_transaction_session_timeout', '20ms', true)`,
      );
      // The next statement is sent before the server's last message is read.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      await transaction.database.execute(sql`select 1`);
    });
    await t.rejects(late, { code: 'unavailable' });
    t.equal(await eventually(() => store.findByEmail(user.email)), null);
  }
});

async function backendOf(database: Database): Promise<number> {
  const rows = await database.execute(sql`select pg_backend_pid() as pid`);
  return (rows as unknown as { pid: number }[])[0]?.pid ?? 0;
}

/** A guard whose pings the test answers by hand. */
function setUpBreaking(t: Test, deadlineMs = SHORT_MS) {
  const pings: PromiseWithResolvers<void>[] = [];
  const heard: (boolean | 'probe lost')[] = [];
  const guard = breakingGuard({
    ping: () => {
      const ping = Promise.withResolvers<void>();
      pings.push(ping);
      return ping.promise;
    },
    deadlineMs,
    onProbeLost: () => void heard.push('probe lost'),
    onBreak: (isOpen) => void heard.push(isOpen),
  });
  t.teardown(guard.close);
  return { guard, pings, heard };
}

const refused = Object.assign(new Error('no server'), { code: 'ECONNREFUSED' });

test('after one missed deadline the next calls are refused at once, until a ping is answered', async (t) => {
  const { guard, pings, heard } = setUpBreaking(t);
  t.equal(guard.deadlineMs, SHORT_MS);
  await t.rejects(
    guard.run(() => never),
    { code: 'unavailable', cause: { message: /in 50 ms/ } },
  );
  let asked = false;
  const call = async () => {
    asked = true;
  };
  await t.rejects(guard.run(call), { code: 'unavailable', cause: { name: 'CircuitOpenError' } });
  t.equal(asked, false);
  t.equal(pings.length, 1, 'the first ping goes out right away');
  pings[0]?.resolve();
  await eventually(() => guard.run(call));
  t.equal(asked, true);
  t.same(heard, [true, false]);
});

test('a single lost connection costs the others nothing', async (t) => {
  const { guard, pings, heard } = setUpBreaking(t);
  const lost = guard.run(() => Promise.reject(refused));
  await t.rejects(lost, { code: 'unavailable', cause: { sqlState: 'ECONNREFUSED' } });
  pings[0]?.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(await guard.run(async () => 'answer'), 'answer');
  t.same(heard, [true, false]);
});

test('a refused statement, or an error of ours, does not open it', async (t) => {
  const { guard, pings } = setUpBreaking(t);
  const twin = Object.assign(new Error('twin'), { code: '23505' });
  for (const error of [twin, new AppError('email_taken'), new TypeError('a bug')]) {
    await t.rejects(guard.run(() => Promise.reject(error)));
  }
  t.equal(await guard.run(async () => 'answer'), 'answer');
  t.same(pings, []);
});

test('connections are renewed when a ping misses its deadline, not when a server refuses it', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const { guard, pings, heard } = setUpBreaking(t);
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  await t.rejects(guard.run(() => Promise.reject(refused)));
  pings[0]?.reject(refused);
  await settled();
  t.same(heard, [true]);
  mock.timers.tick(250);
  t.equal(pings.length, 2);
  mock.timers.tick(1_000);
  await settled();
  t.same(heard, [true, 'probe lost']);
  mock.timers.tick(250);
  pings[2]?.resolve();
  await settled();
  t.same(heard, [true, 'probe lost', false]);
});

test('a closed guard asks no more', async (t) => {
  const { guard, pings } = setUpBreaking(t);
  await t.rejects(guard.run(() => Promise.reject(refused)));
  guard.close();
  pings[0]?.reject(refused);
  t.equal(await guard.run(async () => 'answer'), 'answer');
  t.equal(pings.length, 1);
});
