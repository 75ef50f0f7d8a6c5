import { randomBytes, randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { NIL, v7 as uuidv7 } from 'uuid';
import { createCodeStore, type NewCode, type OpenCode } from '../../src/codes/code-store.ts';
import { sql } from '../../src/db/drizzle.ts';
import { oneTimeCodes, users } from '../../src/db/schema.ts';
import { databases, openPostgres, type TestDatabase } from '../support/adapters.ts';

const MINUTE_MS = 60_000;

for (const { name, open } of databases) test(name, (t) => suite(t, open));

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const { database, transact } = opened;
    const store = createCodeStore(database);
    const addUser = async () => {
      const id = randomUUID();
      const email = `${id}@example.com`;
      await database.insert(users).values({ id, email, emailAsTyped: email });
      return { userId: id, email };
    };
    const owner = await addUser();
    const add = async (changes: Partial<NewCode> = {}) => {
      const code = makeCode({ ...owner, ...changes });
      await transact((transaction) => store.insert(transaction, code));
      return code;
    };
    const find = ({ linkHash, purpose }: NewCode) => store.findByLink(linkHash ?? Buffer.of(), [purpose]);
    const spend = (code: OpenCode, others?: 'all' | 'later') =>
      transact((transaction) => store.spend(transaction, code, others));
    const takeTry = ({ email, purpose }: NewCode) =>
      transact((transaction) =>
        store.takeTry(transaction, { email, purposes: [purpose], userId: undefined }),
      );
    const sweep = (limit: number) => transact((transaction) => store.sweep(transaction, limit));
    return { ...opened, store, owner, addUser, add, find, spend, takeTry, sweep };
  }

  t.test('a code is found by its link, with what it is for', async (t) => {
    const { add, find } = await setUp(t);
    const browserHash = randomBytes(32);
    const code = await add({ browserHash, context: { to: 'x@example.com' } });
    const { linkHash, typedHash, lifeMs, ...found } = code;
    t.strictSame(await find(code), found);
  });

  t.test('a code is found for its purpose alone, or for one of several', async (t) => {
    const { add, store } = await setUp(t);
    const { id, linkHash } = await add({ purpose: 'not_me' });
    const hash = linkHash ?? Buffer.of();
    t.equal(await store.findByLink(hash, ['reset_password', 'verify_email']), null);
    t.match(await store.findByLink(hash, ['reset_password', 'not_me']), { id, purpose: 'not_me' });
    t.equal(await store.findByLink(randomBytes(32), ['not_me']), null);
  });

  t.test(
    'the browser is that of the newest open code of the user and the purpose that has one',
    async (t) => {
      const { add, addUser, owner, find, spend, store, transact, moveTime } = await setUp(t);
      const browserOf = () =>
        transact((transaction) => store.findBrowserHash(transaction, owner.userId, 'verify_email'));
      const purpose = 'verify_email';
      t.equal(await browserOf(), null);
      await add({ purpose: 'not_me', browserHash: randomBytes(32) });
      await add({ ...(await addUser()), purpose, browserHash: randomBytes(32) });
      await add({ purpose, browserHash: null });
      t.equal(await browserOf(), null);
      const [first, second] = [randomBytes(32), randomBytes(32)];
      const code = await add({ id: uuidv7(), purpose, browserHash: first, lifeMs: MINUTE_MS });
      await add({ purpose, browserHash: null });
      t.same(await browserOf(), first);
      await add({ id: uuidv7(), purpose, browserHash: second, lifeMs: 2 * MINUTE_MS });
      t.same(await browserOf(), second);
      await moveTime(2 * MINUTE_MS);
      t.equal(await browserOf(), null, 'none is open');
      t.equal(await find(code), null);
      const open = await add({ purpose, browserHash: first });
      t.same(await browserOf(), first);
      await spend((await find(open)) as OpenCode);
      t.equal(await browserOf(), null);
    },
  );

  t.test('a code is good until it expires, by the time of the database', async (t) => {
    const { add, find, takeTry, spend, moveTime } = await setUp(t);
    const code = await add({ lifeMs: 10 * MINUTE_MS });
    await moveTime(10 * MINUTE_MS - 5_000);
    t.ok(await find(code));
    await moveTime(5_000);
    t.equal(await find(code), null);
    t.same(await takeTry(code), []);
    t.equal(await spend(code), false);
  });

  t.test('one of 50 who spend a code at the same time wins', async (t) => {
    const { add, spend, find } = await setUp(t);
    const code = await add();
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => spend(code)));
    t.equal(outcomes.filter((won) => won).length, 1);
    t.equal(await find(code), null);
  });

  t.test('of 50 who spend two codes of one purpose at the same time, one wins', async (t) => {
    const { add, spend } = await setUp(t);
    const codes = [await add(), await add()];
    const tries = Array.from({ length: 50 }, (_, at) => spend(codes[at % 2] as NewCode));
    t.equal((await Promise.all(tries)).filter((won) => won).length, 1);
  });

  t.test('spending a code spends the others of its purpose and user, and no more', async (t) => {
    const { add, addUser, spend, find } = await setUp(t);
    const [used, other] = [await add(), await add()];
    const kept = [await add({ purpose: 'verify_email' }), await add(await addUser())];
    t.equal(await spend(used), true);
    for (const code of [used, other]) t.equal(await find(code), null);
    for (const code of kept) t.ok(await find(code));
    t.equal(await spend(other), false);
  });

  t.test('a spend may leave the earlier ones of its purpose', async (t) => {
    const { add, spend, find, moveTime } = await setUp(t);
    const earlier = await add();
    await moveTime(MINUTE_MS);
    const used = await add();
    await moveTime(MINUTE_MS);
    const later = await add();
    t.equal(await spend(used, 'later'), true);
    t.ok(await find(earlier));
    for (const code of [used, later]) t.equal(await find(code), null);
  });

  t.test('a spend that is rolled back leaves the code good', async (t) => {
    const { add, find, store, transact } = await setUp(t);
    const code = await add();
    const change = new Error('changed my mind');
    const failing = transact(async (transaction) => {
      t.equal(await store.spend(transaction, code), true);
      throw change;
    });
    await t.rejects(failing, change);
    t.ok(await find(code));
  });

  t.test("a change spends all of a user's codes but those that undo it", async (t) => {
    const { add, addUser, find, store, transact, owner } = await setUp(t);
    const spent = [await add(), await add({ purpose: 'verify_email' })];
    const kept = [await add({ purpose: 'not_me' }), await add(await addUser())];
    await transact((transaction) => store.spendAll(transaction, owner.userId, ['not_me']));
    for (const code of spent) t.equal(await find(code), null);
    for (const code of kept) t.ok(await find(code));
  });

  t.test('five tries of a code for typing are taken, exactly, also at the same time', async (t) => {
    const { add, takeTry } = await setUp(t);
    const [one, parallel] = [await add(), await add({ purpose: 'verify_email' })];
    for (let n = 0; n < 5; n += 1) t.equal((await takeTry(one)).length, 1);
    t.same(await takeTry(one), []);
    const tries = await Promise.all(Array.from({ length: 50 }, () => takeTry(parallel)));
    t.equal(tries.flat().length, 5);
  });

  t.test('a try tells the hash, and counts for every code that it may be', async (t) => {
    const { add, addUser, takeTry } = await setUp(t);
    const [one, other] = [await add(), await add()];
    await add(await addUser());
    await add({ purpose: 'not_me' });
    await add({ typedHash: null });
    const tried = await takeTry(one);
    t.same(tried.map(({ id }) => id).sort(), [one.id, other.id].sort());
    const { linkHash, lifeMs, ...expected } = one;
    t.strictSame(
      tried.find(({ id }) => id === one.id),
      expected,
    );
  });

  t.test('a try may be for the codes of one user, with the address or without it', async (t) => {
    const { add, addUser, store, owner, transact } = await setUp(t);
    const stranger = await addUser();
    const own = await add({ email: 'new@example.com', purpose: 'change_email' });
    await add({ userId: stranger.userId, email: 'new@example.com', purpose: 'change_email' });
    const purposes: NewCode['purpose'][] = ['change_email'];
    const { userId } = owner;
    const take = async (email: string | undefined) =>
      (await transact((transaction) => store.takeTry(transaction, { email, purposes, userId }))).map(
        ({ id }) => id,
      );
    t.same(await take('new@example.com'), [own.id]);
    t.same(await take(undefined), [own.id]);
    t.same(await take('other@example.com'), []);
  });

  t.test('a try that was right is given back', async (t) => {
    const { add, takeTry, store } = await setUp(t);
    const codes = [await add(), await add()];
    for (let n = 0; n < 20; n += 1) {
      t.equal((await takeTry(codes[0] as NewCode)).length, 2);
      await store.giveBackTry(codes.map(({ id }) => id));
    }
    await t.resolves(store.giveBackTry([]));
  });

  t.test('wrong tries do not use up the link of the same mail', async (t) => {
    const { add, takeTry, find } = await setUp(t);
    const code = await add();
    for (let n = 0; n < 6; n += 1) await takeTry(code);
    t.ok(await find(code));
  });

  t.test('the browser is that of the newest open code of the purpose', async (t) => {
    const { add, spend, store, transact, owner, moveTime } = await setUp(t);
    const find = () =>
      transact((transaction) => store.findBrowserHash(transaction, owner.userId, 'reset_password'));
    t.equal(await find(), null);
    const [first, second] = [randomBytes(32), randomBytes(32)];
    await add({ id: '00000000-0000-7000-8000-000000000001', browserHash: first });
    const newest = await add({ id: '00000000-0000-7000-8000-000000000002', browserHash: second });
    await add({ purpose: 'verify_email', browserHash: randomBytes(32) });
    await add();
    t.same(await find(), second);
    await spend(newest);
    t.equal(await find(), null);
    await add({ browserHash: first });
    t.same(await find(), first);
    await moveTime(10 * MINUTE_MS);
    t.equal(await find(), null);
  });

  t.test("a user's codes are listed in parts, without their hashes", async (t) => {
    const { add, addUser, store, owner } = await setUp(t);
    const own = [await add(), await add(), await add()].map(({ id }) => id).sort();
    await add(await addUser());
    const [first] = await store.list(owner.userId, 1, NIL);
    t.equal(first?.id, own[0]);
    t.match(first, { purpose: 'reset_password', email: owner.email, spentAt: null });
    t.notOk(Object.keys(first ?? {}).some((name) => name.endsWith('Hash')));
    const rest = await store.list(owner.userId, 10, String(own[0]));
    t.same(
      rest.map(({ id }) => id),
      own.slice(1),
    );
  });

  t.test('codes end with their user', async (t) => {
    const { add, find, spend, database } = await setUp(t);
    const code = await add();
    await database.delete(users);
    t.equal(await find(code), null);
    t.equal(await spend(code), false);
  });

  t.test('codes that have expired are swept, so many at a time', async (t) => {
    const { add, find, sweep, database, moveTime } = await setUp(t);
    for (let n = 0; n < 3; n += 1) await add({ lifeMs: MINUTE_MS });
    const open = await add({ lifeMs: 60 * MINUTE_MS });
    await moveTime(MINUTE_MS + 1_000);
    t.equal(await sweep(2), 2);
    t.equal(await sweep(2), 1);
    t.equal(await sweep(2), 0);
    t.ok(await find(open));
    t.equal(await database.$count(oneTimeCodes), 1);
  });

  t.test('the table holds neither code, only hashes of them', async (t) => {
    const { add, database } = await setUp(t);
    const code = await add();
    const [row] = await database.select().from(oneTimeCodes);
    t.same([row?.linkHash, row?.typedHash], [code.linkHash, code.typedHash]);
    await t.rejects(database.execute(sql`insert into one_time_codes select * from one_time_codes`));
  });
}

test('while a replica sweeps, no other one does', async (t) => {
  const { transact, database } = await openPostgres();
  const store = createCodeStore(database);
  const [userId, email] = [randomUUID(), 'ada@example.com'];
  await transact(async (first) => {
    t.equal(await store.sweep(first, 1), 0);
    await database.insert(users).values({ id: userId, email, emailAsTyped: email });
    await transact((second) => store.insert(second, makeCode({ userId, email, lifeMs: 0 })));
    t.equal(await transact((second) => store.sweep(second, 1)), 0);
  });
  t.equal(await transact((again) => store.sweep(again, 1)), 1);
});

function makeCode(changes: Partial<NewCode> & { userId: string; email: string }): NewCode {
  return {
    id: randomUUID(),
    purpose: 'reset_password',
    linkHash: randomBytes(32),
    typedHash: randomBytes(32),
    browserHash: null,
    context: {},
    lifeMs: 10 * MINUTE_MS,
    ...changes,
  };
}
