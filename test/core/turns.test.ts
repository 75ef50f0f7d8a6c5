import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'tap';
import { createBoundedTurns, createTurns, createTurnsByKey } from '../../src/core/turns.ts';

/** Works that a test lets end one by one, and the names of those that have begun. */
function makeWorks() {
  const begun: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<string>>();
  const work = (name: string) => () => {
    begun.push(name);
    const end = Promise.withResolvers<string>();
    ends.set(name, end);
    return end.promise;
  };
  const end = async (name: string, error?: Error) => {
    if (error) ends.get(name)?.reject(error);
    else ends.get(name)?.resolve(name);
    await turn();
  };
  return { begun, work, end };
}

test('no more works than allowed run at once, and the first that waits is next', async (t) => {
  const { begun, work, end } = makeWorks();
  const inTurn = createTurns(2);
  const all = ['a', 'b', 'c', 'd'].map((name) => inTurn(work(name)));
  await turn();
  t.strictSame(begun, ['a', 'b']);
  await end('b');
  t.strictSame(begun, ['a', 'b', 'c']);
  for (const name of ['a', 'c', 'd']) await end(name);
  t.strictSame(await Promise.all(all), ['a', 'b', 'c', 'd']);
  const again = inTurn(work('e'));
  await turn();
  t.strictSame(begun.at(-1), 'e', 'and a free turn is taken at once');
  await end('e');
  t.equal(await again, 'e');
});

test('a work that fails gives its turn back', async (t) => {
  const { begun, work, end } = makeWorks();
  const inTurn = createTurns(1);
  const [failing, next] = [inTurn(work('a')), inTurn(work('b'))];
  const failure = new Error('no');
  const rejected = t.rejects(failing, failure);
  await end('a', failure);
  await rejected;
  t.strictSame(begun, ['a', 'b']);
  await end('b');
  t.equal(await next, 'b');
});

test('works of one key follow each other, even after a failure, and other keys do not wait', async (t) => {
  const { begun, work, end } = makeWorks();
  const inTurn = createTurnsByKey<string>();
  const [first, second, other] = [inTurn('x', work('a')), inTurn('x', work('b')), inTurn('y', work('c'))];
  await turn();
  t.strictSame(begun, ['a', 'c']);
  const failure = new Error('no');
  const rejected = t.rejects(first, failure);
  await end('a', failure);
  await rejected;
  t.strictSame(begun, ['a', 'c', 'b']);
  for (const name of ['b', 'c']) await end(name);
  t.strictSame([await second, await other], ['b', 'c']);
});

test('of one key a few works run, some wait, and the rest are refused; other keys have their own room', async (t) => {
  const { begun, work, end } = makeWorks();
  const full = new Error('full');
  const inTurn = createBoundedTurns<string>({
    atOnce: 2,
    mostWaiting: 1,
    onFull: () => Promise.reject(full),
  });
  const all = ['a', 'b', 'c'].map((name) => inTurn('x', work(name)));
  await t.rejects(inTurn('x', work('refused')), full);
  const other = inTurn('y', work('other'));
  await turn();
  t.strictSame(begun, ['a', 'b', 'other']);
  await end('a');
  t.strictSame(begun.at(-1), 'c');
  const next = inTurn('x', work('d'));
  const failure = new Error('no');
  const rejected = t.rejects(all[1] as Promise<string>, failure);
  await end('b', failure);
  await rejected;
  for (const name of ['c', 'd', 'other']) await end(name);
  t.strictSame(await Promise.all([all[0], all[2], next, other]), ['a', 'c', 'd', 'other']);
  const again = inTurn('x', work('e'));
  await turn();
  await end('e');
  t.equal(await again, 'e', 'and there is room again');
});
