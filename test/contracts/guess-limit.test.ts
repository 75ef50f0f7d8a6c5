import { randomBytes } from 'node:crypto';
import postgres from 'postgres';
import { type Test, test } from 'tap';
import { channels, listenTo } from '../../src/core/channels.ts';
import { AppError } from '../../src/core/errors.ts';
import { loadPostgresDriver, sql } from '../../src/db/drizzle.ts';
import * as schema from '../../src/db/schema.ts';
import { createGuessLimit, type Guess, type GuessTarget } from '../../src/passwords/guess-limit.ts';
import { createGuessStore, type GuessBudget } from '../../src/passwords/guess-store.ts';
import { databases, type TestDatabase } from '../support/adapters.ts';
import { createTestDatabase } from '../support/database.ts';

const { drizzle } = loadPostgresDriver();
const MINUTE_MS = 60_000;
const BUDGET: GuessBudget = { most: 10, windowMs: 15 * MINUTE_MS };

const newTarget = (): GuessTarget => ({ kind: 'password', id: randomBytes(6).toString('hex') });

for (const { name, open } of databases) test(name, (t) => suite(t, open));

async function suite(t: Test, open: (t: Test) => Promise<TestDatabase>): Promise<void> {
  async function setUp(t: Test) {
    const opened = await open(t);
    const store = createGuessStore(opened.database);
    const guesses = createGuessLimit(store);
    const target = newTarget();
    const take = (budget = BUDGET) => guesses.take(target, budget);
    const takeMany = async (count: number) => {
      const taken: Guess[] = [];
      for (let at = 0; at < count; at += 1) taken.push(await take());
      return taken;
    };
    return { ...opened, store, guesses, target, take, takeMany };
  }

  t.test(
    'as many guesses as the budget has are counted, and the next is told how long to wait',
    async (t) => {
      const { take, takeMany, moveTime } = await setUp(t);
      const told: unknown[] = [];
      t.teardown(listenTo(channels.limitReached, (fact) => told.push(fact)));
      await takeMany(10);
      t.same(told, []);
      await moveTime(5 * MINUTE_MS);
      const refusal = await take().catch((error: unknown) => error);
      t.ok(refusal instanceof AppError && refusal.code === 'rate_limited');
      const { retryAfterSeconds = 0 } = refusal as AppError;
      t.ok(retryAfterSeconds > 590 && retryAfterSeconds <= 600, `${retryAfterSeconds}`);
      t.same(told, [{ limit: 'guesses' }]);
    },
  );

  t.test('the window slides: each guess counts for its own quarter of an hour', async (t) => {
    const { take, takeMany, moveTime } = await setUp(t);
    await takeMany(4);
    await moveTime(10 * MINUTE_MS);
    await takeMany(6);
    await t.rejects(take(), { code: 'rate_limited' });
    await moveTime(5 * MINUTE_MS);
    await takeMany(4);
    await t.rejects(take(), { code: 'rate_limited' });
    await moveTime(10 * MINUTE_MS);
    await takeMany(6);
    await t.rejects(take(), { code: 'rate_limited' });
  });

  t.test('the wait is told rightly: before its end there is no room, at its end there is', async (t) => {
    const { take, takeMany, moveTime } = await setUp(t);
    await takeMany(10);
    const { retryAfterSeconds = 0 } = (await take().catch((error: unknown) => error)) as AppError;
    await moveTime((retryAfterSeconds - 30) * 1000);
    await t.rejects(take(), { code: 'rate_limited' });
    await moveTime(30 * 1000);
    await t.resolves(take());
  });

  t.test('a guess that is given back leaves room for just one more', async (t) => {
    const { take, takeMany } = await setUp(t);
    const [first, , third] = await takeMany(10);
    await first?.giveBack();
    await take();
    await t.rejects(take(), { code: 'rate_limited' });
    await third?.giveBack();
    await third?.giveBack();
    await take();
    await t.rejects(take(), { code: 'rate_limited' }, 'given back twice is given back once');
  });

  t.test('what is given back after its row was swept changes nothing', async (t) => {
    const { store, take, takeMany, transact, moveTime } = await setUp(t);
    const [guess] = await takeMany(1);
    await moveTime(15 * MINUTE_MS + 1);
    t.equal(await transact((tx) => store.sweep(tx, 100)), 1);
    await guess?.giveBack();
    await takeMany(10);
    await guess?.giveBack();
    await t.rejects(take(), { code: 'rate_limited' });
  });

  t.test('each kind and each id has a budget of its own', async (t) => {
    const { guesses, target, take, takeMany } = await setUp(t);
    await takeMany(10);
    await t.rejects(take(), { code: 'rate_limited' });
    await t.resolves(guesses.take({ ...target, kind: 'mail' }, BUDGET));
    await t.resolves(guesses.take(newTarget(), BUDGET));
  });

  t.test('while others are looked at, a guess waits for what becomes of them', async (t) => {
    const { take, takeMany } = await setUp(t);
    const [first] = await takeMany(10);
    const waiting = take({ ...BUDGET, underWayMs: 20_000 });
    await first?.giveBack();
    await t.resolves(waiting);
    await t.rejects(take(), { code: 'rate_limited' });
  });

  t.test('of guesses that are not given back in time, it is sure that they were wrong', async (t) => {
    const { take, takeMany, moveTime } = await setUp(t);
    await takeMany(10);
    const refused = t.rejects(take({ ...BUDGET, underWayMs: MINUTE_MS }), { code: 'rate_limited' });
    await moveTime(MINUTE_MS);
    await refused;
  });

  t.test('a row is swept when nothing in it counts any more, some at a time', async (t) => {
    const { store, guesses, transact, moveTime, database } = await setUp(t);
    for (let at = 0; at < 3; at += 1) await guesses.take(newTarget(), BUDGET);
    await moveTime(14 * MINUTE_MS);
    await guesses.take(newTarget(), BUDGET);
    const sweep = (limit: number) => transact((tx) => store.sweep(tx, limit));
    t.equal(await sweep(100), 0);
    await moveTime(MINUTE_MS + 1);
    t.same([await sweep(2), await sweep(2), await sweep(2)], [2, 1, 0]);
    t.equal(await database.$count(schema.loginThrottle), 1);
  });

  t.test('a budget that was never used, or was given back whole, has room at once', async (t) => {
    const { store, takeMany } = await setUp(t);
    const key = randomBytes(32);
    t.same(await store.look(key, BUDGET), { waitMs: 0, isSettled: false });
    for (const guess of await takeMany(3)) await guess.giveBack();
    t.same(await takeMany(10).then((taken) => taken.length), 10);
  });

  t.test('what is written again is written, and stays what it was', async (t) => {
    const { take, database, transact } = await setUp(t);
    const guess = await take();
    const { key, attempts, expiresAt } = schema.loginThrottle;
    const read = () =>
      database.select({ key, attempts, expiresAt, by: sql`xmin::text` }).from(schema.loginThrottle);
    const [before] = await read();
    await transact((transaction) => guess.rewrite(transaction));
    const [after] = await read();
    t.not(after?.by, before?.by);
    t.same({ ...after, by: null }, { ...before, by: null });
  });
}

test('while a replica sweeps, no other one does', async (t) => {
  const { transact, database } = await (databases[1] as (typeof databases)[number]).open(t);
  const store = createGuessStore(database);
  await transact(async (first) => {
    t.equal(await store.sweep(first, 1), 0);
    await store.take(randomBytes(32), { most: 1, windowMs: 0 });
    t.equal(await transact((second) => store.sweep(second, 1)), 0);
  });
  t.equal(await transact((again) => store.sweep(again, 1)), 1);
});

test('of 200 guesses at the same time over three replicas exactly ten are counted', async (t) => {
  const { url } = await createTestDatabase(t);
  const replicas = Array.from({ length: 3 }, () => {
    const client = postgres(url, { max: 10, onnotice: () => {} });
    t.teardown(() => client.end());
    return createGuessLimit(createGuessStore(drizzle(client, { schema })));
  });
  const race = async (target: GuessTarget) => {
    const guesses = Array.from({ length: 200 }, (_, at) => replicas[at % 3]?.take(target, BUDGET));
    const outcomes = await Promise.allSettled(guesses);
    const taken = outcomes.filter((one) => one.status === 'fulfilled').map(({ value }) => value);
    const refusals = outcomes.filter((one) => one.status === 'rejected').map(({ reason }) => reason);
    t.ok(refusals.every(({ code }) => code === 'rate_limited'));
    return taken;
  };
  for (let round = 0; round < 3; round += 1) {
    const target = newTarget();
    const taken = await race(target);
    t.equal(taken.length, 10);
    await Promise.all(taken.slice(0, 4).map((guess) => guess?.giveBack()));
    t.equal((await race(target)).length, 4, 'and as many more as were given back at the same time');
  }
});

test('a guess does not wait for ever while others come and go', async (t) => {
  let looks = 0;
  const busy = createGuessLimit({
    take: async () => null,
    look: async () => {
      looks += 1;
      return { waitMs: 0, isSettled: false };
    },
    giveBack: async () => {},
    rewrite: async () => {},
    sweep: async () => 0,
  });
  await t.rejects(busy.take(newTarget(), BUDGET), { code: 'rate_limited', retryAfterSeconds: 1 });
  t.equal(looks, 50);
});
