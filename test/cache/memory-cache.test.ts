import { test } from 'tap';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';

test('is bounded: the least recently used entry leaves first', async (t) => {
  const cache = createMemoryCache(() => 0, 2);
  await cache.put('a', '1', 1000);
  await cache.put('b', '2', 1000);
  await cache.get('a');
  await cache.put('c', '3', 1000);
  t.equal(await cache.get('a'), '1');
  t.equal(await cache.get('b'), null);
  t.equal(await cache.get('c'), '3');
});

test('an entry ends at the very millisecond that its time to live says', async (t) => {
  let nowMs = 0;
  const cache = createMemoryCache(() => nowMs);
  await cache.put('a', '1', 1000);
  nowMs = 999;
  t.equal(await cache.get('a'), '1');
  nowMs = 1000;
  t.equal(await cache.get('a'), null);
});
