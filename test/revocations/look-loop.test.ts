import { AsyncLocalStorage } from 'node:async_hooks';
import { mock } from 'node:test';
import { type Test, test } from 'tap';
import { createLookLoop } from '../../src/revocations/look-loop.ts';

/** Looks that the test ends by hand. */
function setUp(t: Test, random = () => 0) {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.teardown(() => mock.timers.reset());
  const looks: PromiseWithResolvers<void>[] = [];
  const contexts: unknown[] = [];
  const context = new AsyncLocalStorage<string>();
  const look = () => {
    const { length } = looks;
    looks.push(Promise.withResolvers<void>());
    contexts.push(context.getStore());
    return looks[length]?.promise as Promise<void>;
  };
  const end = async () => {
    looks.at(-1)?.resolve();
    await settle();
  };
  return { loop: createLookLoop({ look, now: Date.now, random }), looks, contexts, context, end };
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('the first call begins a look at once, and later ones follow by themselves', async (t) => {
  const { loop, looks, end } = setUp(t, () => 0.5);
  mock.timers.tick(1_000);
  t.equal(looks.length, 0, 'nothing happens before it is asked for');
  const first = loop.soon();
  mock.timers.tick(0);
  t.equal(looks.length, 1);
  await end();
  t.equal(await first, undefined);
  mock.timers.tick(249);
  t.equal(looks.length, 1);
  mock.timers.tick(1);
  t.equal(looks.length, 2, 'after 200 to 300 ms, by chance');
  await end();
  mock.timers.tick(250);
  t.equal(looks.length, 3);
});

test('all who ask in the meantime get the next look together, and never one that has begun', async (t) => {
  const { loop, looks, end } = setUp(t);
  const ended: string[] = [];
  const ask = (who: string) => void loop.soon().then(() => ended.push(who));
  ask('a');
  ask('b');
  mock.timers.tick(0);
  t.equal(looks.length, 1);
  ask('c');
  ask('d');
  await end();
  t.strictSame(ended, ['a', 'b']);
  mock.timers.tick(49);
  t.equal(looks.length, 1, 'looks keep a pause, however many ask');
  mock.timers.tick(1);
  t.equal(looks.length, 2);
  await end();
  t.strictSame(ended, ['a', 'b', 'c', 'd']);
});

test('whoever asks between two looks does not wait for the regular one', async (t) => {
  const { loop, looks, end } = setUp(t);
  void loop.soon();
  mock.timers.tick(0);
  await end();
  mock.timers.tick(100);
  void loop.soon();
  mock.timers.tick(0);
  t.equal(looks.length, 2, 'the pause was over already');
  await end();
  mock.timers.tick(199);
  t.equal(looks.length, 2, 'the regular one is put off');
});

test('a failure is told to those who asked, and the next look follows', async (t) => {
  const { loop, looks } = setUp(t);
  const failure = new Error('not now');
  const asked = loop.soon();
  mock.timers.tick(0);
  looks[0]?.reject(failure);
  await t.rejects(asked, failure);
  await settle();
  mock.timers.tick(200);
  t.equal(looks.length, 2);
  looks[1]?.reject(failure);
  await settle();
  mock.timers.tick(200);
  t.equal(looks.length, 3, 'also after one that nobody asked for');
});

test('closing waits for the look that is under way, and refuses all others', async (t) => {
  const { loop, looks, end } = setUp(t);
  void loop.soon();
  mock.timers.tick(0);
  const waiting = loop.soon();
  let isClosed = false;
  const closing = loop.close().then(() => {
    isClosed = true;
  });
  await t.rejects(waiting, { code: 'unavailable' });
  await settle();
  t.notOk(isClosed);
  await end();
  await closing;
  await t.rejects(loop.soon(), { code: 'unavailable' });
  mock.timers.tick(1_000);
  t.equal(looks.length, 1);
});

test('closing what was never used, or between two looks, ends it', async (t) => {
  const { loop, looks, end } = setUp(t);
  void loop.soon();
  mock.timers.tick(0);
  await end();
  await loop.close();
  mock.timers.tick(1_000);
  t.equal(looks.length, 1);
  await createLookLoop({ look: async () => {}, now: Date.now }).close();
});

test('looks are no part of the request that asks for one', async (t) => {
  const { loop, looks, contexts, context, end } = setUp(t);
  context.run('request', () => void loop.soon());
  mock.timers.tick(0);
  await end();
  mock.timers.tick(200);
  t.equal(looks.length, 2);
  t.strictSame(contexts, [undefined, undefined]);
});
