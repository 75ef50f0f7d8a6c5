import fc from 'fast-check';
import type { Test } from 'tap';
import type { TestCache } from './adapters.ts';

const MINUTE_MS = 60_000;
const crowd = Array.from({ length: 100 }, (_, index) => index);

/** What every cache must do. `open` gives an empty one. */
export async function cacheContract(t: Test, open: (t: Test) => Promise<TestCache>): Promise<void> {
  t.test('finds nothing where nothing was put', async (t) => {
    const { cache } = await open(t);
    t.equal(await cache.get('a'), null);
  });

  t.test('gives back any text that was put', async (t) => {
    const { cache } = await open(t);
    const text = fc.string({ unit: 'binary', maxLength: 200 });
    const givesBack = async (key: string, value: string) => {
      await cache.put(key, value, MINUTE_MS);
      t.equal(await cache.get(key), value);
    };
    await fc.assert(fc.asyncProperty(text, text, givesBack), { numRuns: 50 });
  });

  t.test('keeps keys apart', async (t) => {
    const { cache } = await open(t);
    await cache.put('a', '1', MINUTE_MS);
    t.equal(await cache.putIfAbsent('b', '2', MINUTE_MS), true);
    t.equal(await cache.get('a'), '1');
  });

  t.test('keeps an entry for its time to live and no longer', async (t) => {
    const { cache, passTime } = await open(t);
    await cache.put('a', '1', MINUTE_MS);
    await passTime(MINUTE_MS / 2);
    t.equal(await cache.get('a'), '1');
    await passTime(MINUTE_MS / 2);
    t.equal(await cache.get('a'), null);
  });

  t.test('put overwrites, and the new time to live counts', async (t) => {
    const { cache, passTime } = await open(t);
    await cache.put('a', '1', MINUTE_MS);
    await cache.put('a', '2', 3 * MINUTE_MS);
    await passTime(2 * MINUTE_MS);
    t.equal(await cache.get('a'), '2');
  });

  t.test('putIfAbsent writes only where nothing is', async (t) => {
    const { cache, passTime } = await open(t);
    t.equal(await cache.putIfAbsent('a', '1', MINUTE_MS), true);
    t.equal(await cache.putIfAbsent('a', '2', 3 * MINUTE_MS), false);
    t.equal(await cache.get('a'), '1');
    await passTime(MINUTE_MS);
    t.equal(await cache.putIfAbsent('a', '3', MINUTE_MS), true);
    t.equal(await cache.get('a'), '3');
  });

  t.test('remove empties the key, and does nothing to an empty one', async (t) => {
    const { cache } = await open(t);
    await cache.put('a', '1', MINUTE_MS);
    await cache.put('b', '2', MINUTE_MS);
    for (let i = 0; i < 2; i += 1) {
      await cache.remove('a');
      t.equal(await cache.get('a'), null);
    }
    t.equal(await cache.get('b'), '2');
  });

  t.test('replace writes only over exactly what is expected', async (t) => {
    const { cache } = await open(t);
    t.equal(await cache.replace('a', '', '2', MINUTE_MS), false);
    t.equal(await cache.get('a'), null);
    await cache.put('a', '1', MINUTE_MS);
    t.equal(await cache.replace('a', '1 ', '2', MINUTE_MS), false);
    t.equal(await cache.get('a'), '1');
    t.equal(await cache.replace('a', '1', '2', MINUTE_MS), true);
    t.equal(await cache.get('a'), '2');
  });

  t.test('replace starts a new time to live, and does not revive what has ended', async (t) => {
    const { cache, passTime } = await open(t);
    await cache.put('a', '1', MINUTE_MS);
    t.equal(await cache.replace('a', '1', '2', 3 * MINUTE_MS), true);
    await passTime(2 * MINUTE_MS);
    t.equal(await cache.get('a'), '2');
    await passTime(MINUTE_MS);
    t.equal(await cache.replace('a', '2', '3', MINUTE_MS), false);
    t.equal(await cache.get('a'), null);
  });

  t.test('a refused write leaves the time to live alone', async (t) => {
    const { cache, passTime } = await open(t);
    await cache.put('a', '1', MINUTE_MS);
    await cache.putIfAbsent('a', '2', 9 * MINUTE_MS);
    await cache.replace('a', '3', '4', 9 * MINUTE_MS);
    await passTime(MINUTE_MS);
    t.equal(await cache.get('a'), null);
  });

  t.test('counts from 1 in a window that ends a fixed time after its start', async (t) => {
    const { cache, passTime } = await open(t);
    const first = await cache.increment('a', MINUTE_MS);
    t.equal(first.count, 1);
    t.ok(isAbout(first.ttlMs, MINUTE_MS), `${first.ttlMs} ms`);
    await passTime(MINUTE_MS / 2);
    const second = await cache.increment('a', MINUTE_MS);
    t.equal(second.count, 2);
    t.ok(isAbout(second.ttlMs, MINUTE_MS / 2), `${second.ttlMs} ms`);
    await passTime(MINUTE_MS / 2);
    const third = await cache.increment('a', MINUTE_MS);
    t.equal(third.count, 1);
    t.ok(isAbout(third.ttlMs, MINUTE_MS), `${third.ttlMs} ms`);
  });

  t.test('counts each of 100 parallel increments once', async (t) => {
    const { cache } = await open(t);
    const counted = await Promise.all(crowd.map(() => cache.increment('a', MINUTE_MS)));
    const counts = counted.map(({ count }) => count).sort((a, b) => a - b);
    t.same(
      counts,
      crowd.map((index) => index + 1),
    );
  });

  t.test('one of 100 parallel putIfAbsent wins, and its value stands', async (t) => {
    const { cache } = await open(t);
    const won = await Promise.all(crowd.map((index) => cache.putIfAbsent('a', `${index}`, MINUTE_MS)));
    t.same(won.filter(Boolean), [true]);
    t.equal(await cache.get('a'), `${won.indexOf(true)}`);
  });

  t.test('one of 100 parallel replace wins, and its value stands', async (t) => {
    const { cache } = await open(t);
    await cache.put('a', 'old', MINUTE_MS);
    const won = await Promise.all(crowd.map((index) => cache.replace('a', 'old', `${index}`, MINUTE_MS)));
    t.same(won.filter(Boolean), [true]);
    t.equal(await cache.get('a'), `${won.indexOf(true)}`);
  });

  t.test('answers a ping', async (t) => {
    const { cache } = await open(t);
    await t.resolves(cache.ping());
  });
}

/** Real time passes in Redis while the test runs. */
function isAbout(ms: number, expectedMs: number): boolean {
  return ms > expectedMs - 20_000 && ms <= expectedMs;
}
