import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { createEmailChangeStore } from '../../src/accounts/email-change-store.ts';
import { createCodeStore } from '../../src/codes/code-store.ts';
import { eq } from '../../src/db/drizzle.ts';
import { users } from '../../src/db/schema.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';

const DAY_MS = 86_400_000;

for (const { name, open } of databases) test(name, (t) => suite(t, open));

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const { database, transact } = opened;
    const [store, accounts, codes] = [
      createEmailChangeStore(),
      createAccountStore(database),
      createCodeStore(database),
    ];
    const insert = (email = `${randomUUID()}@example.com`, id: string = randomUUID()) =>
      transact((transaction) =>
        accounts.insert(transaction, {
          id,
          email,
          emailAsTyped: email.toUpperCase(),
          passwordHash: 'a hash',
        }),
      );
    const add = async () => {
      const user = await insert();
      if (user === null) throw new Error('the address is taken');
      return user;
    };
    const findAsker = (userId: string, email: string) =>
      transact((transaction) => store.findAsker(transaction, { userId, email }));
    const change = (userId: string, email: string) =>
      transact((transaction) =>
        store.change(transaction, { userId, email, asTyped: email.toUpperCase() }, 'email_taken'),
      );
    const reserve = (userId: string, email: string, lifeMs = DAY_MS) =>
      transact((transaction) =>
        codes.insert(transaction, {
          ...{ id: randomUUID(), userId, purpose: 'undo_email_change', email, context: {}, lifeMs },
          ...{ linkHash: null, typedHash: null, browserHash: null },
        }),
      );
    return { ...opened, store, accounts, insert, add, findAsker, change, reserve };
  }

  t.test('an account gets another address, which is verified, and its former one is told', async (t) => {
    const { add, change, accounts } = await setUp(t);
    const { id, email } = await add();
    const changed = await change(id, 'new@example.com');
    t.match(changed.user, { id, email: 'new@example.com', emailAsTyped: 'NEW@EXAMPLE.COM' });
    t.strictSame(changed.former, { email, asTyped: email.toUpperCase() });
    t.strictSame(await accounts.findById(id), changed.user);
    t.ok(changed.user.emailVerifiedAt);
  });

  t.test('what is not about a taken address is told as what it is', async (t) => {
    const { add, change } = await setUp(t);
    const { id } = await add();
    await t.rejects(change(id, 'nul\0@example.com'), { name: 'DatabaseError' });
  });

  t.test('a taken address is refused, and so is an account that is gone', async (t) => {
    const { add, change, accounts } = await setUp(t);
    const [ada, bob] = [await add(), await add()];
    await t.rejects(change(ada.id, bob.email), { code: 'email_taken' });
    await t.rejects(change(randomUUID(), 'new@example.com'), { code: 'not_signed_in' });
    t.match(await accounts.findById(ada.id), { email: ada.email });
  });

  t.test('a statement that fails for another reason is no taken address', async (t) => {
    const { change } = await setUp(t);
    await t.rejects(change('no id', 'new@example.com'), { name: 'DatabaseError', sqlState: '22P02' });
  });

  t.test(
    'an address is reserved for its former account, and for no other, until the code is over',
    async (t) => {
      const { add, insert, change, findAsker, reserve, moveTime } = await setUp(t);
      const [ada, eve] = [await add(), await add()];
      const former = 'former@example.com';
      await reserve(ada.id, former);
      t.equal(await insert(former), null);
      await t.rejects(change(eve.id, former), { code: 'email_taken' });
      t.equal(await findAsker(eve.id, former), null);
      t.ok(await findAsker(ada.id, former));
      await moveTime(DAY_MS + 1);
      t.ok(await findAsker(eve.id, former));
      t.match((await change(eve.id, former)).user, { email: former });
    },
  );

  t.test('only an active account may ask, and only for a free address or its own', async (t) => {
    const { add, findAsker, database } = await setUp(t);
    const [ada, bob] = [await add(), await add()];
    await database.update(users).set({ locale: 'de' }).where(eq(users.id, ada.id));
    t.strictSame(await findAsker(ada.id, 'new@example.com'), { locale: 'de' });
    t.ok(await findAsker(ada.id, ada.email));
    t.equal(await findAsker(ada.id, bob.email), null);
    t.equal(await findAsker(randomUUID(), 'new@example.com'), null);
    await database.update(users).set({ status: 'banned' }).where(eq(users.id, ada.id));
    t.equal(await findAsker(ada.id, 'new@example.com'), null);
  });

  t.test('a dropped password is gone, and what was proved with it no longer holds', async (t) => {
    const { add, store, accounts, transact } = await setUp(t);
    const { id, email } = await add();
    const before = await accounts.findByEmail(email);
    await transact((transaction) => store.dropPassword(transaction, id));
    const after = await accounts.findByEmail(email);
    t.equal(after?.passwordHash, null);
    t.equal(after?.credentialsVersion, Number(before?.credentialsVersion) + 1);
  });
}
