import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'tap';
import { createPasswordCheck } from '../../src/accounts/password-check.ts';
import { AppError, unavailable } from '../../src/core/errors.ts';
import { createGuessLimit } from '../../src/passwords/guess-limit.ts';
import { createGuessStore } from '../../src/passwords/guess-store.ts';
import type { PasswordHasher } from '../../src/passwords/password-hash.ts';
import { openPostgres } from '../support/adapters.ts';

const right = randomBytes(12).toString('base64url');
const wrong = randomBytes(12).toString('base64url');
const hash = 'of the right password';
const known = { email: 'ada@example.com', hash, knownAs: null };

/** @param verify in place of a hasher that is quick and always right */
async function setUp(verify?: PasswordHasher['verify']) {
  const { database, moveTime } = await openPostgres();
  const looked = { count: 0, atOnce: 0, mostAtOnce: 0 };
  const hasher = {
    verify: async (phc: string | null, password: string) => {
      looked.count += 1;
      looked.atOnce += 1;
      looked.mostAtOnce = Math.max(looked.mostAtOnce, looked.atOnce);
      await turn();
      looked.atOnce -= 1;
      return verify ? verify(phc, password) : phc !== null && password === right;
    },
  } as PasswordHasher;
  const guesses = createGuessLimit(createGuessStore(database));
  const createReplica = () => createPasswordCheck({ passwords: hasher, guesses });
  return { check: createReplica(), createReplica, looked, moveTime };
}

async function outcomesOf(attempts: Promise<boolean>[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const outcome of await Promise.allSettled(attempts)) {
    const name = outcome.status === 'fulfilled' ? String(outcome.value) : (outcome.reason as AppError).code;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

test('a right password is never refused because others come at the same time, at any number of replicas', async (t) => {
  const { createReplica, looked } = await setUp();
  const replicas = Array.from({ length: 6 }, createReplica);
  const attempts = Array.from({ length: 120 }, (_, at) =>
    replicas[at % 6]?.matches({ ...known, password: right }),
  );
  t.same(await outcomesOf(attempts as Promise<boolean>[]), { true: 120 });
  t.equal(looked.count, 120);
  t.ok(looked.mostAtOnce <= 10, 'no more at once than the budget has');
});

test('ten wrong ones are looked at, whoever comes after them, and the right one neither', async (t) => {
  const { check, looked, moveTime } = await setUp();
  const attempts = Array.from({ length: 60 }, () => check.matches({ ...known, password: wrong }));
  t.same(await outcomesOf(attempts), { false: 10, rate_limited: 50 });
  await t.rejects(check.matches({ ...known, password: right }), { code: 'rate_limited' });
  t.equal(looked.count, 10);
  await moveTime(15 * 60_000);
  t.equal(await check.matches({ ...known, password: right }), true);
});

test('a right one gives back its own guess, not the wrong ones before it', async (t) => {
  const { check } = await setUp();
  for (let at = 0; at < 9; at += 1) {
    t.equal(await check.matches({ ...known, password: wrong }), false);
    t.equal(await check.matches({ ...known, password: right }), true);
  }
  t.equal(await check.matches({ ...known, password: wrong }), false);
  await t.rejects(check.matches({ ...known, password: right }), { code: 'rate_limited' });
});

test('an address without an account has the same budget', async (t) => {
  const { check } = await setUp();
  const nobody = { email: 'nobody@example.com', hash: null, knownAs: null };
  const attempts = Array.from({ length: 12 }, () => check.matches({ ...nobody, password: right }));
  t.same(await outcomesOf(attempts), { false: 10, rate_limited: 2 });
});

test('strangers do not lock out a device that the owner has signed in on, which has a budget of its own', async (t) => {
  const { check } = await setUp();
  const strangers = Array.from({ length: 12 }, () => check.matches({ ...known, password: wrong }));
  t.same(await outcomesOf(strangers), { false: 10, rate_limited: 2 });
  const own = { ...known, knownAs: 'a device' };
  t.equal(await check.matches({ ...own, password: right }), true);
  const guesses = Array.from({ length: 12 }, () => check.matches({ ...own, password: wrong }));
  t.same(await outcomesOf(guesses), { false: 10, rate_limited: 2 });
  await t.rejects(check.matches({ ...own, password: right }), { code: 'rate_limited' });
  t.equal(await check.matches({ ...own, knownAs: 'another device', password: right }), true);
});

test('a hundred wait for one account, and more are refused before anything is counted', async (t) => {
  const held = Promise.withResolvers<boolean>();
  const { check, looked } = await setUp(() => held.promise);
  const attempts = Array.from({ length: 103 }, () => check.matches({ ...known, password: right }));
  const beyond = Array.from({ length: 40 }, () => check.matches({ ...known, password: right }));
  t.same(await outcomesOf(beyond), { rate_limited: 40 });
  await t.rejects(check.matches({ ...known, password: right }), {
    code: 'rate_limited',
    retryAfterSeconds: 1,
  });
  const other = check.matches({ ...known, email: 'bob@example.com', password: right });
  held.resolve(true);
  t.equal(await other, true);
  t.same(await outcomesOf(attempts), { true: 103 });
  t.equal(looked.count, 104);
});

test('a password that could not be checked was no guess', async (t) => {
  let failure: Error | null = unavailable(undefined);
  const { check } = await setUp(async () => {
    if (failure) throw failure;
    return true;
  });
  for (const cause of [unavailable(undefined), new AppError('overloaded')]) {
    failure = cause;
    const attempts = Array.from({ length: 20 }, () => check.matches({ ...known, password: right }));
    t.same(await outcomesOf(attempts), { [cause.code]: 20 });
  }
  failure = null;
  t.equal(await check.matches({ ...known, password: right }), true);
});
