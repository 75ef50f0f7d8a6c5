import { mock } from 'node:test';
import { type Test, test } from 'tap';
import { createLastSeen } from '../../src/sessions/last-seen.ts';

const ignore = () => {};
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** The batches that were written, and the errors; the test moves the time. */
function setUp(t: Test) {
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  const batches: string[][] = [];
  const errors: unknown[] = [];
  const write = async (ids: string[]) => void batches.push(ids);
  return { batches, errors, write, hear: (error: unknown) => void errors.push(error) };
}

test('writes each session once, in one batch, every five seconds', async (t) => {
  const { batches, write } = setUp(t);
  const lastSeen = createLastSeen(write, ignore);
  for (const id of ['a', 'b', 'a']) lastSeen.note(id);
  mock.timers.tick(4_999);
  await settle();
  t.same(batches, []);
  mock.timers.tick(1);
  await settle();
  t.same(batches, [['a', 'b']]);
  lastSeen.note('a');
  mock.timers.tick(5_000);
  await lastSeen.close();
  t.same(batches, [['a', 'b'], ['a']]);
});

test('writes nothing when nothing was used', async (t) => {
  const { batches, write } = setUp(t);
  const lastSeen = createLastSeen(write, ignore);
  mock.timers.tick(60_000);
  await lastSeen.close();
  t.same(batches, []);
});

test('writes at most 500 at a time, and drops what is beyond 50,000', async (t) => {
  const { batches, write } = setUp(t);
  const lastSeen = createLastSeen(write, ignore);
  for (let id = 0; id < 50_123; id++) lastSeen.note(`${id}`);
  await lastSeen.flush();
  t.equal(batches.length, 100);
  t.ok(batches.every((batch) => batch.length === 500));
  t.equal(new Set(batches.flat()).size, 50_000);
  lastSeen.note('50122');
  await lastSeen.close();
  t.same(batches.at(-1), ['50122']);
});

test('tells of a failed write and goes on with the next', async (t) => {
  const { batches, errors, write, hear } = setUp(t);
  const failure = new Error('no database');
  let isBroken = true;
  const writeOrFail = async (ids: string[]) => {
    if (isBroken) throw failure;
    await write(ids);
  };
  const lastSeen = createLastSeen(writeOrFail, hear);
  lastSeen.note('a');
  await t.resolves(lastSeen.flush());
  t.same(errors, [failure]);
  isBroken = false;
  lastSeen.note('b');
  await lastSeen.close();
  t.same(batches, [['b']]);
});

test('closing writes what is left, then time writes nothing more', async (t) => {
  const { batches, write } = setUp(t);
  const lastSeen = createLastSeen(write, ignore);
  lastSeen.note('a');
  await lastSeen.close();
  t.same(batches, [['a']]);
  lastSeen.note('b');
  mock.timers.tick(60_000);
  await settle();
  t.same(batches, [['a']]);
});

test('closing waits for a write that is under way', async (t) => {
  setUp(t);
  const { promise: written, resolve: finish } = Promise.withResolvers<void>();
  const lastSeen = createLastSeen(() => written, ignore);
  lastSeen.note('a');
  mock.timers.tick(5_000);
  let isClosed = false;
  const closing = lastSeen.close().then(() => {
    isClosed = true;
  });
  await settle();
  t.equal(isClosed, false);
  finish();
  await closing;
});

test('does not keep the process alive', async (t) => {
  const before = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const lastSeen = createLastSeen(async () => {}, ignore);
  t.teardown(lastSeen.close);
  t.equal(process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length, before);
});
