import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { createUserListStore, type UserFilter, type UserPlace } from '../../src/admin/user-list-store.ts';
import { createUsersStore } from '../../src/admin/users-store.ts';
import type { Database } from '../../src/db/database.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import { tryLock } from '../../src/db/locks.ts';
import { oneTimeCodes, users } from '../../src/db/schema.ts';
import { databases, openPostgres, type TestDatabase } from '../support/adapters.ts';

const HOUR_MS = 3_600_000;

for (const { name, open } of databases) test(name, (t) => suite(t, open));

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const { database, transact } = opened;
    const store = createUsersStore();
    const list = createUserListStore(database);
    let made = 0;
    /** Each is made a second after the one before. */
    const add = async (values: Partial<typeof users.$inferInsert> = {}) => {
      const id = values.id ?? randomUUID();
      const email = values.email ?? `${id}@example.com`;
      const createdAt = new Date(Date.UTC(2026, 0, 1, 0, 0, made));
      made += 1;
      await database.insert(users).values({ id, email, emailAsTyped: email, createdAt, ...values });
      return id;
    };
    const idsOf = async (filter: UserFilter, limit = 100, after: UserPlace | null = null) =>
      (await list.list(filter, limit, after)).users.map(({ id }) => id);
    const rowOf = async (id: string) =>
      (await database.select().from(users).where(eq(users.id, id)))[0] as typeof users.$inferSelect;
    return { ...opened, store, list, add, idsOf, rowOf, database, transact };
  }

  const isoAt = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();

  t.test('users are listed the newest first, in parts, those of one instant too', async (t) => {
    const { list, add } = await setUp(t);
    const at = sql`'2026-03-01T00:00:00.000123Z'::timestamptz`;
    const ids = [];
    for (let i = 0; i < 5; i += 1) ids.push(await add({ createdAt: at as never }));
    const oldest = await add();
    ids.sort().reverse();
    const listed: string[] = [];
    let after: UserPlace | null = null;
    do {
      const part = await list.list({}, 2, after);
      listed.push(...part.users.map(({ id }) => id));
      after = part.next;
    } while (after !== null);
    t.same(listed, [...ids, oldest]);
  });

  t.test('a search finds the beginning of the address or of the name, in any case', async (t) => {
    const { add, idsOf } = await setUp(t);
    const ada = await add({ email: 'ada@example.com', displayName: 'Countess' });
    const adele = await add({ email: 'adele@example.com' });
    const bob = await add({ email: 'bob@example.com', displayName: 'Ada-Bob' });
    await add({ email: 'b_da@example.com', displayName: 'a%' });
    t.same(await idsOf({ search: 'ADA' }), [bob, ada]);
    t.same(await idsOf({ search: 'ad' }), [bob, adele, ada]);
    t.same(await idsOf({ search: 'cOUNT' }), [ada]);
    t.same(await idsOf({ search: 'b%' }), [], 'what is special in a pattern is a letter like any other');
    t.same((await idsOf({ search: 'b_' })).length, 1);
    t.same(await idsOf({ search: '\\' }), []);
  });

  t.test('each filter keeps those that fit, and they work together', async (t) => {
    const { add, idsOf } = await setUp(t);
    const plain = await add();
    const verified = await add({ emailVerifiedAt: new Date() });
    const banned = await add({ status: 'banned', bannedAt: new Date() });
    const over = await add({ status: 'banned', bannedUntil: new Date(Date.now() - HOUR_MS) });
    const later = await add({ status: 'banned', bannedUntil: new Date(Date.now() + HOUR_MS) });
    const editor = await add({ roles: ['editor', 'reader'] });
    t.same(await idsOf({ status: 'active' }), [editor, over, verified, plain]);
    t.same(await idsOf({ status: 'banned' }), [later, banned]);
    t.same(await idsOf({ role: 'reader' }), [editor]);
    t.same(await idsOf({ role: 'edit' }), []);
    t.same(await idsOf({ verified: true }), [verified]);
    t.same(await idsOf({ verified: false, status: 'active' }), [editor, over, plain]);
    t.same(await idsOf({ createdAfter: isoAt(4) }), [editor, later]);
    t.same(await idsOf({ createdBefore: isoAt(1) }), [plain]);
    t.same(await idsOf({ createdAfter: isoAt(1), createdBefore: isoAt(3), status: 'banned' }), [banned]);
  });

  t.test(
    'a filter without an index looks at 10,000 users for a part, and says where it goes on',
    async (t) => {
      const { database, list, add } = await setUp(t);
      const rare = await add({ emailVerifiedAt: new Date() });
      await database.execute(sql`insert into users (id, email, email_as_typed, created_at)
      select gen_random_uuid(), n || '@example.com', '', '2026-02-01'::timestamptz + n * interval '1 second'
      from generate_series(1, 10000) as n`);
      const first = await list.list({ verified: true }, 10, null);
      t.same(first.users, []);
      t.ok(first.next);
      const second = await list.list({ verified: true }, 10, first.next);
      t.same([second.users.map(({ id }) => id), second.next], [[rare], null]);
    },
  );

  t.test('a user is found by id and by address, and shown without the password', async (t) => {
    const { list, add } = await setUp(t);
    const id = await add({ email: 'ada@example.com', passwordHash: 'hash' });
    const found = await list.find(id);
    t.match(found, { id, hasPassword: true });
    t.notMatch(JSON.stringify(found), /hash"/);
    t.same(await list.findByEmail('ada@example.com'), found);
    t.same([await list.find(randomUUID()), await list.findByEmail('bob@example.com')], [null, null]);
  });

  t.test('an account is made unless its address is taken or reserved', async (t) => {
    const { store, transact, database, add, rowOf } = await setUp(t);
    const make = (email: string, changes = {}) => {
      const id = randomUUID();
      const made = {
        ...{ id, email, emailAsTyped: email, isVerified: false, passwordHash: null },
        ...{ displayName: null, locale: null, metadata: {}, ...changes },
      };
      return transact(async (transaction) => ((await store.insert(transaction, made)) ? id : null));
    };
    const id = await make('ada@example.com', { isVerified: true, metadata: { a: 1 } });
    t.match(await rowOf(String(id)), { emailVerifiedAt: Date, metadata: { a: 1 }, passwordHash: null });
    t.equal(await make('ada@example.com'), null);
    const owner = await add();
    await database.insert(oneTimeCodes).values({
      ...{ id: randomUUID(), userId: owner, purpose: 'undo_email_change', email: 'old@example.com' },
      expiresAt: new Date(Date.now() + HOUR_MS),
    });
    t.equal(await make('old@example.com'), null);
  });

  t.test('bans that are over end, one replica at a time, the longest over first', async (t) => {
    const { store, transact, add, rowOf, moveTime } = await setUp(t);
    const [later, first, other] = [await add(), await add(), await add()];
    const until = (ms: number) => ({ reason: 'spam', until: new Date(Date.now() + ms) });
    await transact(async (transaction) => {
      await store.ban(transaction, later, until(2 * HOUR_MS));
      await store.ban(transaction, first, until(HOUR_MS));
      await store.ban(transaction, other, { reason: null, until: null });
    });
    const { bannedAt } = await rowOf(later);
    t.match(await rowOf(later), { status: 'banned', banReason: 'spam' });
    const over = (limit: number) => transact((transaction) => store.lockOverBans(transaction, limit));
    t.same(await over(10), []);
    await moveTime(3 * HOUR_MS);
    t.same(await over(1), [first]);
    t.same(await over(10), [first, later]);
    await transact((transaction) => store.ban(transaction, later, { reason: null, until: null }));
    t.not((await rowOf(later)).bannedAt?.getTime(), bannedAt?.getTime(), 'after the end, it is a new ban');
    await transact((transaction) => store.unban(transaction, [first]));
    t.match(await rowOf(first), { status: 'active', bannedAt: null, bannedUntil: null, banReason: null });
  });
}

test('only one replica ends bans at a time', async (t) => {
  const { transact } = await openPostgres();
  const store = createUsersStore();
  await transact(async (one) => {
    t.ok(await tryLock(one, 'endBans'));
    t.same(await transact((other) => store.lockOverBans(other, 10)), []);
  });
});

type Read = { scans: number; rows: number };

/** By this connection. */
async function readSoFar(database: Database): Promise<Read> {
  const [read] = (await database.execute(sql`
    select seq_scan::int as scans, coalesce(idx_tup_fetch, 0)::int as rows
    from pg_stat_xact_user_tables where relname = 'users'`)) as unknown as Read[];
  return read as Read;
}

test('no filter reads the whole table for a part of the list, with 100,000 users', async (t) => {
  const { database, transact } = await openPostgres();
  await database.execute(sql`insert into users
    (id, email, email_as_typed, display_name, created_at, email_verified_at, status, banned_at, roles)
    select gen_random_uuid(), md5(n::text) || '@example.com', '', md5((n + 1)::text),
      '2026-01-01'::timestamptz + n * interval '1 second', case when n % 1000 = 0 then null else now() end,
      case when n % 500 = 0 then 'banned' else 'active' end, case when n % 500 = 0 then now() end,
      case when n % 10000 = 0 then '{admin}'::text[] else '{}' end
    from generate_series(1, 100000) as n`);
  await database.execute(sql`vacuum analyze users`);
  /** What PostgreSQL reads of the table for the first part. */
  const readFor = (filter: UserFilter) =>
    transact(async ({ database }) => {
      const before = await readSoFar(database);
      const { users } = await createUserListStore(database).list(filter, 50, null);
      const after = await readSoFar(database);
      return { scans: after.scans - before.scans, rows: after.rows - before.rows, found: users.length };
    });
  const filters: UserFilter[] = [
    {},
    { search: 'abc' },
    { search: 'zz' },
    { search: 'a' },
    { status: 'active' },
    { status: 'banned' },
    { role: 'admin' },
    { role: 'nobody' },
    { verified: true },
    { verified: false },
    { createdAfter: '2026-01-01T10:00:00Z', createdBefore: '2026-01-01T11:00:00Z' },
    { search: 'ab', status: 'active', verified: false },
  ];
  for (const filter of filters) {
    const { scans, rows, found } = await readFor(filter);
    const name = JSON.stringify(filter);
    t.equal(scans, 0, name);
    t.ok(rows <= 30_000, `${name}: read ${rows} rows, and found ${found}`);
  }
});
