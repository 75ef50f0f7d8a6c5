import { mock } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import { type Test, test } from 'tap';
import type { KeyRotator } from '../../src/keys/key-rotator.ts';
import { createKeySchedule } from '../../src/keys/key-schedule.ts';
import type { KeyService, SignerKey } from '../../src/keys/key-service.ts';
import type { KeyRing } from '../../src/keys/key-store.ts';
import { eventually } from '../support/adapters.ts';
import { kidOf, openKeys, openSeparateKeys } from '../support/keys.ts';

const NO_KEYS: KeyRing = { keys: [], databaseNow: 0 };

/** A schedule whose looks are counted, with timers that the test moves. */
function setUp(t: Test) {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const looks = { count: 0, rotations: 0, answer: async (): Promise<KeyRing> => NO_KEYS, isDue: false };
  const errors: unknown[] = [];
  const keys = {
    refresh: () => {
      looks.count += 1;
      return looks.answer();
    },
  } as KeyService;
  const rotator = {
    rotateIfDue: async () => {
      if (looks.isDue) looks.rotations += 1;
      return looks.isDue;
    },
  } as unknown as KeyRotator;
  const schedule = createKeySchedule(keys, rotator, (error) => void errors.push(error));
  /** Lets time pass, and waits for everything that it started. */
  const pass = async (ms: number) => {
    mock.timers.tick(ms);
    await tick();
  };
  return { looks, errors, schedule, pass };
}

test('looks once at the start, and from then on every two seconds', async (t) => {
  const { looks, schedule, pass } = setUp(t);
  await pass(10_000);
  t.equal(looks.count, 0, 'nothing runs before the start');
  await schedule.start();
  t.equal(looks.count, 1);
  await pass(1_999);
  t.equal(looks.count, 1);
  await pass(1);
  t.equal(looks.count, 2);
  for (let i = 0; i < 5; i++) await pass(2_000);
  t.equal(looks.count, 7);
  await schedule.close();
});

test('looks again after a rotation, so that this replica has what it made', async (t) => {
  const { looks, schedule } = setUp(t);
  looks.isDue = true;
  await schedule.look();
  t.match(looks, { count: 2, rotations: 1 });
});

test('a look that fails is reported, and the next one follows as if it had not', async (t) => {
  const { looks, errors, schedule, pass } = setUp(t);
  await schedule.start();
  const lost = new Error('lost');
  looks.answer = async () => Promise.reject(lost);
  for (let i = 0; i < 3; i++) await pass(2_000);
  t.same(errors, [lost, lost, lost]);
  looks.answer = async () => NO_KEYS;
  await pass(2_000);
  t.equal(looks.count, 5);
  t.equal(errors.length, 3);
  await schedule.close();
});

test('the error of the first look is the caller’s, and no timer is left', async (t) => {
  const { looks, errors, schedule, pass } = setUp(t);
  looks.answer = async () => Promise.reject(new Error('lost'));
  await t.rejects(schedule.start(), { message: 'lost' });
  await pass(10_000);
  t.equal(looks.count, 1);
  t.same(errors, []);
  await schedule.close();
});

test('the error of a command is the caller’s, and does not stop the looks', async (t) => {
  const { looks, errors, schedule, pass } = setUp(t);
  await schedule.start();
  looks.answer = async () => Promise.reject(new Error('lost'));
  await t.rejects(schedule.look(), { message: 'lost' });
  t.same(errors, []);
  looks.answer = async () => NO_KEYS;
  await t.resolves(schedule.look());
  await pass(2_000);
  t.equal(looks.count, 4);
  await schedule.close();
});

test('a slow look is not overtaken by the next one', async (t) => {
  const { looks, schedule, pass } = setUp(t);
  await schedule.start();
  const slow = Promise.withResolvers<KeyRing>();
  looks.answer = () => slow.promise;
  await pass(2_000);
  await pass(20_000);
  t.equal(looks.count, 2);
  slow.resolve(NO_KEYS);
  await tick();
  await pass(2_000);
  t.equal(looks.count, 3);
  await schedule.close();
});

/** Closes during a look. */
async function closeDuringLook(t: Test, begin: (parts: ReturnType<typeof setUp>) => Promise<unknown>) {
  const parts = setUp(t);
  const slow = Promise.withResolvers<KeyRing>();
  parts.looks.answer = () => slow.promise;
  const beginning = begin(parts);
  await tick();
  const { count } = parts.looks;
  let isClosed = false;
  const closing = parts.schedule.close().then(() => {
    isClosed = true;
  });
  await tick();
  t.equal(isClosed, false, 'it waits for the look');
  slow.resolve(NO_KEYS);
  await Promise.all([beginning, closing]);
  await parts.pass(60_000);
  t.equal(parts.looks.count, count, 'and nothing follows');
}

test('close waits for the look of the timer, and leaves no timer behind', async (t) => {
  await closeDuringLook(t, async ({ schedule, pass, looks }) => {
    const { answer } = looks;
    looks.answer = async () => NO_KEYS;
    await schedule.start();
    looks.answer = answer;
    await pass(2_000);
  });
});

test('close waits for the first look', async (t) => {
  await closeDuringLook(t, ({ schedule }) => schedule.start());
});

test('close waits for the look of a command', async (t) => {
  await closeDuringLook(t, ({ schedule }) => schedule.look());
});

test('close between two looks leaves no timer behind', async (t) => {
  const { looks, schedule, pass } = setUp(t);
  await schedule.start();
  await schedule.close();
  await pass(60_000);
  t.equal(looks.count, 1);
});

test('an earlier look that takes longer does not bring back what a later one has seen go', async (t) => {
  const { replica } = await openKeys();
  const signerOf = Promise.withResolvers<void>();
  let isSlow = false;
  const { schedule, rotator, keys, store } = replica({
    createSigner: async ({ kid }: SignerKey) => {
      if (isSlow) {
        isSlow = false;
        await signerOf.promise;
      }
      return () => kid;
    },
  });
  await schedule.look();
  const leaked = keys.sign({});
  await rotator.publishNext();
  isSlow = true;
  const early = schedule.look();
  await eventually(() => {
    if (isSlow) throw new Error('not there yet');
  });
  const next = await rotator.replaceNow(leaked);
  const late = schedule.look();
  // As long as the later look would take if it did not wait.
  await Promise.race([late, store.list().then(() => store.list())]);
  signerOf.resolve();
  await Promise.all([early, late]);
  t.equal(keys.sign({}), next);
  t.notOk(keys.jwks().body.includes(leaked));
});

test('a replica learns of what another one did by the next look or the one after', async (t) => {
  const place = await openSeparateKeys(t);
  const [one, other] = [place.replica(), place.replica()];
  for (const { schedule } of [one, other]) {
    await schedule.start();
    t.teardown(schedule.close);
  }
  const leaked = kidOf(await one.store.list(), 'active');
  const next = await one.rotator.replaceNow(leaked);
  const looks = t.capture(other.keys, 'refresh', other.keys.refresh);
  await eventually(() => {
    const { body } = other.keys.jwks();
    if (body.includes(leaked) || !body.includes(next)) throw new Error('not yet');
  });
  const { length } = looks();
  t.ok(length >= 1 && length <= 2, `after ${length}`);
  t.same([one.errors, other.errors], [[], []]);
});
