import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { test } from 'tap';
import { createHashTable } from '../../src/verifier/hash-table.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** Few hashes, so that they meet again, and words that differ in one part alone. */
const word = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(0x7fffffff, 0x80000000, 0xffffffff));
/** All in two parts of the table, where they stand in each other's way. */
const hash = fc.tuple(fc.constantFrom(0, 64, 128, 0x80000000, 7, 0x7fffff07), word);
const step = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      hash,
      value: fc.integer({ min: 1, max: 2 ** 31 }),
      until: fc.integer({ min: 1, max: 100 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ now: fc.integer({ min: 0, max: 100 }) }) },
);

test('holds what a map would hold, whatever is added and dropped', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const table = createHashTable();
      const model = new Map<string, { high: number; low: number; value: number; until: number }>();
      for (const one of steps) {
        if ('now' in one) {
          table.sweep(one.now, 10_000);
          for (const [key, { until }] of model) if (until <= one.now) model.delete(key);
          continue;
        }
        const [high, low] = one.hash;
        const old = model.get(`${high} ${low}`);
        const value = Math.max(one.value, old?.value ?? 0);
        const until = Math.max(one.until, old?.until ?? 0);
        model.set(`${high} ${low}`, { high, low, value, until });
        table.keep(high, low, one.value, one.until);
      }
      if (table.size() !== model.size) return false;
      return [...model.values()].every(({ high, low, value }) => table.get(high, low) === value);
    }),
    { numRuns: 300 },
  );
  t.end();
});

test('a hash that was never added has no value', (t) => {
  const table = createHashTable();
  t.equal(table.get(1, 2), 0);
  table.keep(1, 2, 7, 1);
  t.equal(table.get(1, 2), 7);
  t.equal(table.get(2, 1), 0);
  t.equal(table.get(0, 0), 0);
  t.end();
});

test('drops entries a few places at a time, and goes on where it stopped', (t) => {
  const table = createHashTable();
  for (let high = 0; high < 1000; high += 1) table.keep(high, 0, 1, high < 500 ? 5 : 9);
  table.sweep(5, 100);
  t.ok(table.size() > 800, 'not all at once');
  for (let round = 0; round < 100; round += 1) table.sweep(5, 100);
  t.equal(table.size(), 500);
  table.sweep(9, 10_000);
  t.equal(table.size(), 0);
  t.end();
});

test('half a million entries take at most 16 MB, and no addition takes long', (t) => {
  const entries = 500_000;
  const words = new Uint32Array(2 * entries);
  for (let at = 0; at < words.length; at += 10_000) crypto.getRandomValues(words.subarray(at, at + 10_000));
  collectGarbage();
  const before = process.memoryUsage();
  const table = createHashTable();
  const times: number[] = [];
  for (let index = 0; index < entries; index += 1) {
    const startedAt = performance.now();
    table.keep(words[2 * index] ?? 0, words[2 * index + 1] ?? 0, 1, 1);
    times.push(performance.now() - startedAt);
  }
  // Of the longest, some are pauses of the process.
  t.ok((times.sort((a, b) => b - a)[20] ?? 0) < 20, 'growth is spread over many additions');
  times.length = 0;
  collectGarbage();
  const after = process.memoryUsage();
  const bytes = after.arrayBuffers - before.arrayBuffers + Math.max(0, after.heapUsed - before.heapUsed);
  t.equal(table.size(), entries);
  t.ok(words.length > 0 && bytes <= 16e6, `${bytes} bytes`);
  t.end();
});
