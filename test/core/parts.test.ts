import { test } from 'tap';
import { inParts } from '../../src/core/parts.ts';

const idOf = (number: number) => `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`;

async function partsOf(count: number): Promise<number[]> {
  const items = Array.from({ length: count }, (_, at) => ({ id: idOf(at + 1) }));
  const list = async (limit: number, after: string) => items.filter(({ id }) => id > after).slice(0, limit);
  const sizes: number[] = [];
  const seen: string[] = [];
  for await (const part of inParts(list)) {
    sizes.push(part.length);
    seen.push(...part.map(({ id }) => id));
  }
  if (seen.length !== new Set(seen).size || seen.length !== count) throw new Error('not each item came once');
  return sizes;
}

test('a list comes in parts of a thousand, each item once, and an empty one as one empty part', async (t) => {
  t.same(await partsOf(0), [0]);
  t.same(await partsOf(999), [999]);
  t.same(await partsOf(1_000), [1_000, 0]);
  t.same(await partsOf(2_500), [1_000, 1_000, 500]);
});
