import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { createPasswordStore } from '../../src/accounts/password-store.ts';
import type { Transaction } from '../../src/db/database.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import { users } from '../../src/db/schema.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

for (const { name, open } of databases) test(name, (t) => suite(t, open));

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const { database, transact } = opened;
    const store = createPasswordStore();
    const add = async (changes: Partial<typeof users.$inferInsert> = {}) => {
      const id = randomUUID();
      const email = `${id}@example.com`;
      await database
        .insert(users)
        .values({ id, email, emailAsTyped: email, passwordHash: 'old', ...changes });
      return { id, email };
    };
    const rowOf = async (id: string) => {
      const [row] = await database.select().from(users).where(eq(users.id, id));
      return row;
    };
    const run = <T>(work: (transaction: Transaction) => Promise<T>) => transact(work);
    return { ...opened, store, add, rowOf, run };
  }

  t.test('an account is found by its address, and by its id under a lock', async (t) => {
    const { store, add, run } = await setUp(t);
    const { id, email } = await add({ locale: 'de' });
    const expected = { id, email, isVerified: false, isActive: true, locale: 'de' };
    t.strictSame(await run((transaction) => store.findByEmail(transaction, email)), expected);
    t.strictSame(await run((transaction) => store.findLocked(transaction, id)), expected);
    t.equal(await run((transaction) => store.findByEmail(transaction, 'nobody@example.com')), null);
    t.equal(await run((transaction) => store.findLocked(transaction, randomUUID())), null);
  });

  t.test('a ban and a verified address are seen', async (t) => {
    const { store, add, run } = await setUp(t);
    const { id } = await add({ status: 'banned', emailVerifiedAt: new Date() });
    const found = await run((transaction) => store.findLocked(transaction, id));
    t.match(found, { isVerified: true, isActive: false });
  });

  t.test('a new password raises the version of the credentials, and is not known as leaked', async (t) => {
    const { store, add, run, rowOf } = await setUp(t);
    const { id } = await add({ passwordBreachedAt: new Date(), credentialsVersion: 4 });
    const bystander = await add();
    const before = await rowOf(bystander.id);
    t.equal(await run((transaction) => store.setPassword(transaction, id, 'new')), 5);
    t.match(await rowOf(id), { passwordHash: 'new', passwordBreachedAt: null, credentialsVersion: 5 });
    t.strictSame(await rowOf(bystander.id), before);
    await t.rejects(
      run((transaction) => store.setPassword(transaction, randomUUID(), 'new')),
      /no row/,
    );
  });

  t.test("an address is verified by the time of the database, and nothing of other users' is", async (t) => {
    const { store, add, run, rowOf, moveTime } = await setUp(t);
    const [one, other] = [await add(), await add()];
    await moveTime(24 * 3_600_000);
    await run((transaction) => store.setVerified(transaction, one.id));
    const { emailVerifiedAt, createdAt } = (await rowOf(one.id)) ?? {};
    t.ok(Number(emailVerifiedAt) - Number(createdAt) >= 24 * 3_600_000);
    t.match(await rowOf(other.id), { emailVerifiedAt: null });
  });

  t.test('what somebody has put into an account can be taken away, and the account stays', async (t) => {
    const { store, add, run, rowOf } = await setUp(t);
    const profile = { displayName: 'M', locale: 'de', metadata: { a: 1 }, deletionDueAt: new Date() };
    const [one, other] = [await add(profile), await add(profile)];
    await run((transaction) => store.clear(transaction, one.id));
    t.match(await rowOf(one.id), {
      ...{ email: one.email, passwordHash: 'old' },
      ...{ displayName: null, locale: null, metadata: {}, deletionDueAt: null },
    });
    t.match(await rowOf(other.id), { displayName: 'M', metadata: { a: 1 } });
  });
}

test('on PostgreSQL a locked account waits for its lock, and is what it was left as', async (t) => {
  const [, postgres] = databases;
  if (postgres === undefined) throw new Error('no PostgreSQL');
  const { database, transact } = await postgres.open(t);
  const store = createPasswordStore();
  const id = randomUUID();
  await database.insert(users).values({ id, email: 'a@example.com', emailAsTyped: 'a@example.com' });
  const { promise: hasLocked, resolve: locked } = Promise.withResolvers<void>();
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
  const first = transact(async (transaction) => {
    await store.findLocked(transaction, id);
    locked();
    await mayGoOn;
    await transaction.database.update(users).set({ emailVerifiedAt: sql`now()` });
  });
  await hasLocked;
  const second = transact((transaction) => store.findLocked(transaction, id));
  goOn();
  await first;
  t.match(await second, { isVerified: true });
});
