import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { createAccountStore, type NewUser } from '../../src/accounts/account-store.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import { users } from '../../src/db/schema.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

const HOUR_MS = 3_600_000;

for (const { name, open } of databases) test(name, (t) => suite(t, open));

function makeUser(changes: Partial<NewUser> = {}): NewUser {
  const id = randomUUID();
  const email = `${id}@example.com`;
  return { id, email, emailAsTyped: email.toUpperCase(), passwordHash: `hash of ${id}`, ...changes };
}

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const store = createAccountStore(opened.database);
    const insert = (user: NewUser) => opened.transact((transaction) => store.insert(transaction, user));
    return { ...opened, store, insert };
  }

  t.test('an account that was inserted is found by its address and by its id', async (t) => {
    const { store, insert } = await setUp(t);
    const values = makeUser();
    const user = await insert(values);
    const { passwordHash, ...rest } = values;
    t.match(user, { ...rest, emailVerifiedAt: null, status: 'active', createdAt: Date });
    t.strictSame(await store.findById(values.id), user);
    t.strictSame(await store.findByEmail(values.email), { ...user, passwordHash, credentialsVersion: 1 });
  });

  t.test('an account that is not there is null', async (t) => {
    const { store, insert } = await setUp(t);
    const user = makeUser();
    await insert(user);
    t.equal(await store.findById(randomUUID()), null);
    t.equal(await store.findByEmail(user.emailAsTyped), null);
  });

  t.test('a verified address and a ban are seen', async (t) => {
    const { database, store, insert } = await setUp(t);
    const user = makeUser();
    await insert(user);
    await database.update(users).set({ emailVerifiedAt: sql`now()`, status: 'banned' });
    t.match(await store.findById(user.id), { emailVerifiedAt: Date, status: 'banned' });
  });

  t.test('a taken address is null, and nothing is changed', async (t) => {
    const { store, insert } = await setUp(t);
    const first = makeUser();
    await insert(first);
    t.equal(await insert(makeUser({ email: first.email })), null);
    t.match(await store.findByEmail(first.email), first);
  });

  t.test('one of 50 parallel inserts of one address wins', async (t) => {
    const { database, store, insert } = await setUp(t);
    const email = 'ada@example.com';
    const racers = Array.from({ length: 50 }, () => makeUser({ email }));
    const winners = (await Promise.all(racers.map(insert))).filter((user) => user !== null);
    t.equal(winners.length, 1);
    t.equal(await database.$count(users), 1);
    t.match(await store.findByEmail(email), { id: winners[0]?.id });
  });

  t.test('an id that is taken is an error, not a taken address', async (t) => {
    const { insert } = await setUp(t);
    const first = makeUser();
    await insert(first);
    await t.rejects(insert(makeUser({ id: first.id })), { name: 'DatabaseError', sqlState: '23505' });
  });

  t.test('a status that does not exist is refused', async (t) => {
    const { database, insert } = await setUp(t);
    await insert(makeUser());
    await t.rejects(database.execute(sql`update users set status = 'asleep'`), {
      cause: { code: '23514' },
    });
  });

  t.test('a transaction that fails leaves no account, and its address free', async (t) => {
    const { store, insert, transact } = await setUp(t);
    const user = makeUser();
    const change = new Error('changed my mind');
    const failing = transact(async (transaction) => {
      t.match(await store.insert(transaction, user), { id: user.id });
      throw change;
    });
    await t.rejects(failing, change);
    t.equal(await store.findById(user.id), null);
    t.match(await insert(makeUser({ email: user.email })), { email: user.email });
  });

  t.test('a password hash is replaced only while it is the old one', async (t) => {
    const { store, insert } = await setUp(t);
    const [user, bystander] = [makeUser(), makeUser({ passwordHash: 'old' })];
    await insert(user);
    await insert(bystander);
    await store.replacePasswordHash(user.id, 'another', 'new');
    t.match(await store.findByEmail(user.email), { passwordHash: user.passwordHash });
    await store.replacePasswordHash(user.id, user.passwordHash, 'new');
    t.match(await store.findByEmail(user.email), { passwordHash: 'new' });
    t.match(await store.findByEmail(bystander.email), { passwordHash: 'old' });
  });

  t.test("times are the database's", async (t) => {
    const { database, store, insert, moveTime } = await setUp(t);
    const [early, late] = [makeUser(), makeUser()];
    const first = await insert(early);
    await moveTime(HOUR_MS);
    const second = await insert(late);
    const apartMs = Number(second?.createdAt) - Number(first?.createdAt);
    t.ok(apartMs >= HOUR_MS && apartMs < 2 * HOUR_MS, `${apartMs} ms apart`);
    await moveTime(HOUR_MS);
    await store.replacePasswordHash(late.id, late.passwordHash, 'new');
    const [row] = await database.select().from(users).where(eq(users.id, late.id));
    const laterMs = Number(row?.updatedAt) - Number(row?.createdAt);
    t.ok(laterMs >= HOUR_MS && laterMs < 2 * HOUR_MS, `${laterMs} ms later`);
  });
}
