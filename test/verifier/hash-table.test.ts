import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { test } from 'tap';
import { createHashTable } from '../../src/verifier/hash-table.ts';
import { until } from './support/feed.ts';

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

test('half a million entries take at most 16 MB', async (t) => {
  const entries = 500_000;
  const words = randomWords(2 * entries);
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  const table = createHashTable();
  for (let index = 0; index < words.length; index += 2)
    table.keep(words[index] ?? 0, words[index + 1] ?? 0, 1, 1);
  const taken = () => process.memoryUsage().arrayBuffers - before;
  // Buffers that were outgrown are freed in the background.
  await until(() => {
    collectGarbage();
    return taken() <= 16e6;
  });
  t.ok(taken() >= 16 * entries, `${taken()} bytes`);
  // So that they are still there.
  t.strictSame([table.size(), words.length], [entries, 2 * entries]);
});

test('growth is in small steps, so that none takes long', (t) => {
  const Real = globalThis.ArrayBuffer;
  const allocated: number[] = [];
  class Noted extends Real {
    constructor(bytes: number) {
      super(bytes);
      allocated.push(bytes);
    }
  }
  const words = randomWords(1_000_000);
  const table = createHashTable();
  t.teardown(() => Object.assign(globalThis, { ArrayBuffer: Real }));
  Object.assign(globalThis, { ArrayBuffer: Noted });
  for (let index = 0; index < words.length; index += 2)
    table.keep(words[index] ?? 0, words[index + 1] ?? 0, 1, 1);
  Object.assign(globalThis, { ArrayBuffer: Real });
  t.ok(allocated.length > 1000);
  t.ok(Math.max(...allocated) < 300_000, 'a fiftieth of the whole');
  t.end();
});

function randomWords(count: number): Uint32Array {
  const words = new Uint32Array(count);
  for (let at = 0; at < count; at += 10_000) crypto.getRandomValues(words.subarray(at, at + 10_000));
  return words;
}
