import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import postgres from 'postgres';
import { type Test, test } from 'tap';
import { AppError, unavailable } from '../../src/core/errors.ts';
import type { Transaction } from '../../src/db/database.ts';
import { breakingGuard, createTransact, DatabaseError, deadlineGuard } from '../../src/db/database-guard.ts';
import { loadPostgresDriver, sql } from '../../src/db/drizzle.ts';
import { createRenewableClient } from '../../src/db/postgres.ts';
import * as schema from '../../src/db/schema.ts';
import { databases } from '../support/adapters.ts';
import { createTestDatabase } from '../support/database.ts';

const { drizzle } = loadPostgresDriver();

const GENEROUS_MS = 30_000;

/** Opened as the server opens it. */
function open(t: Test, url: string, notices: unknown[] = []) {
  const client = createRenewableClient(() =>
    postgres(url, { max: 4, fetch_types: false, onnotice: (notice) => void notices.push(notice) }),
  );
  t.teardown(() => client.current().end({ timeout: 0 }));
  return drizzle(client.sql, { schema });
}

/** A message of the server (PostgreSQL's protocol, version 3): its type, and what it says. */
function message(type: string, ...parts: (string | number[])[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`) : Buffer.from(part))),
  );
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
}

const ready = message('Z', [0x49]);
const tag = (text: string) => message('C', text);
const refusal = message('E', 'SERROR', 'VERROR', 'C26000', 'Mno such statement', [0]);

type Answers = {
  /** The tag after the commit of the server under test. */
  commit: string;
  /** What is answered to the driver's own. */
  driversCommit: Buffer;
};

/** A server that knows transactions and nothing else, and says what it is asked to. */
async function startServer(t: Test, answers: Answers): Promise<string> {
  const server = createServer((socket) => {
    let isStarted = false;
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      if (!isStarted) socket.write(Buffer.concat([message('R', [0, 0, 0, 0]), ready]));
      else answer(socket, text, answers);
      isStarted = true;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return `postgres://user@127.0.0.1:${(server.address() as AddressInfo).port}/name`;
}

function answer(socket: Socket, text: string, { commit, driversCommit }: Answers): void {
  if (/begin/.test(text)) socket.write(Buffer.concat([tag('BEGIN'), ready]));
  if (/rollback/.test(text))
    socket.write(Buffer.concat([message('1'), message('2'), message('n'), tag('ROLLBACK'), ready]));
  if (/commit and chain/.test(text)) socket.write(Buffer.concat([tag(commit), ready]));
  if (/commit\0/.test(text)) socket.write(Buffer.concat([driversCommit, ready]));
}

const agreed = Buffer.concat([message('1'), message('2'), message('n'), tag('COMMIT')]);

test('a commit that the database answers with ROLLBACK is a failure', async (t) => {
  const url = await startServer(t, { commit: 'ROLLBACK', driversCommit: agreed });
  const transact = createTransact(open(t, url), deadlineGuard(GENEROUS_MS));
  const done = { works: 0, followed: 0 };
  const follow = async () => {
    done.followed += 1;
  };
  const work = async ({ afterCommit }: Transaction) => {
    done.works += 1;
    afterCommit(follow);
    return 'acknowledged';
  };
  await t.rejects(transact(work), { code: 'unavailable', cause: { sqlState: '40000' } });
  t.same(done, { works: 4, followed: 0 });
});

test('after a commit it does not matter what the driver is answered', async (t) => {
  for (const driversCommit of [agreed, refusal]) {
    const url = await startServer(t, { commit: 'COMMIT', driversCommit });
    const transact = createTransact(open(t, url), deadlineGuard(GENEROUS_MS));
    const followed: string[] = [];
    const work = async ({ afterCommit }: Transaction) => {
      afterCommit(async () => void followed.push('after'));
      return 'acknowledged';
    };
    t.equal(await transact(work), 'acknowledged');
    t.same(followed, ['after']);
  }
});

for (const { name, open } of databases)
  test(`${name} commits, or the transaction fails, even if an error in it was ignored`, async (t) => {
    const { database, transact } = await open(t);
    const swallow = transact(async ({ database: tx }) => {
      await tx.execute(sql`create table lost ()`);
      await tx.execute(sql`select 1 / 0`).catch(() => {});
      return 'acknowledged';
    });
    await t.rejects(swallow);
    await t.rejects(database.execute(sql`select * from lost`));
  });

test('a transaction gives the server nothing to warn about', async (t) => {
  const { url } = await createTestDatabase(t);
  const notices: unknown[] = [];
  const transact = createTransact(open(t, url, notices));
  await transact(async ({ database }) => database.execute(sql`create table things (id int)`));
  t.same(await transact(async ({ database }) => database.execute(sql`select * from things`)), []);
  t.same(notices, []);
});

/** The guard of a server, and what its breaker did: true for opening, false for closing. */
function watchedGuard(t: Test) {
  const seen: boolean[] = [];
  const guard = breakingGuard({
    ping: async () => {},
    onProbeLost: () => {},
    onBreak: (isOpen) => void seen.push(isOpen),
    deadlineMs: GENEROUS_MS,
  });
  t.teardown(guard.close);
  return { guard, seen };
}

/** Two transactions that lock two rows in opposite order, so that PostgreSQL must end one of them. */
test('transactions that end in a deadlock are done again, and the breaker stays closed', async (t) => {
  const { url } = await createTestDatabase(t);
  const database = open(t, url);
  await database.execute(sql`create table counters (id int primary key, value int)`);
  await database.execute(sql`insert into counters values (1, 0), (2, 0)`);
  const { guard, seen } = watchedGuard(t);
  const transact = createTransact(database, guard);
  const both = Promise.withResolvers<void>();
  let locked = 0;
  let works = 0;
  const count = (first: number, second: number) =>
    transact(async ({ database: tx }) => {
      works += 1;
      await tx.execute(sql`update counters set value = value + 1 where id = ${first}`);
      if (++locked === 2) both.resolve();
      await both.promise;
      await tx.execute(sql`update counters set value = value + 1 where id = ${second}`);
    });
  await Promise.all([count(1, 2), count(2, 1)]);
  t.equal(works, 3);
  t.same([...(await database.execute(sql`select value from counters`))], [{ value: 2 }, { value: 2 }]);
  t.same(seen, []);
});

for (const { sqlState, attempts, breaks } of [
  { sqlState: '40001', attempts: 4, breaks: [] },
  { sqlState: '40P01', attempts: 4, breaks: [] },
  { sqlState: '40003', attempts: 1, breaks: [true, false] },
  { sqlState: '55P03', attempts: 1, breaks: [true, false] },
]) {
  const what = attempts > 1 ? 'contention: it is tried again and opens no breaker' : 'no contention';
  test(`SQLSTATE ${sqlState} is ${what}`, async (t) => {
    const { url } = await createTestDatabase(t);
    const { guard, seen } = watchedGuard(t);
    let works = 0;
    const refused = createTransact(
      open(t, url),
      guard,
    )(async () => {
      works += 1;
      throw unavailable(new DatabaseError(sqlState, undefined));
    });
    await t.rejects(refused, { code: 'unavailable', cause: { sqlState } });
    await new Promise((resolve) => setImmediate(resolve));
    t.equal(works, attempts);
    t.same(seen, breaks);
  });
}

test('a deadline ends the attempts', async (t) => {
  const { url } = await createTestDatabase(t);
  const transact = createTransact(open(t, url), deadlineGuard(1));
  await t.rejects(
    transact(async () => {
      throw new AppError('unavailable', { cause: new DatabaseError('40001', undefined) });
    }),
    { code: 'unavailable' },
  );
});
