import { mock } from 'node:test';
import { test } from 'tap';
import type { FeedPart } from '../../src/revocations/revocation-feed.ts';
import { createSharedParts } from '../../src/revocations/shared-parts.ts';
import { fakeFeed } from './fake-feed.ts';

function setUp() {
  const fake = fakeFeed();
  const formOf = ({ cursor, from, ageMs }: FeedPart) => ({ cursor, from, ageMs });
  return { ...fake, parts: createSharedParts(fake.feed, formOf) };
}

test('a part is made once for all who ask within 100 ms, and says how old it is for the last of them', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const { parts, asked } = setUp();
  const first = await parts.after('e.0');
  t.strictSame(first, { cursor: 'e.0', from: 'e.0', ageMs: 220 });
  mock.timers.tick(99);
  t.equal(await parts.after('e.0'), first);
  t.equal(asked(), 1);
  t.match(await parts.after(null), { from: null });
  t.equal(asked(), 2, 'of each cursor');
  mock.timers.tick(1);
  t.not(await parts.after('e.0'), first);
  t.equal(asked(), 3);
});

test('what is new is in the next part', async (t) => {
  const { parts, advance } = setUp();
  t.match(await parts.after('e.0'), { cursor: 'e.0' });
  advance();
  parts.clear();
  t.match(await parts.after('e.0'), { cursor: 'e.1' });
});

test('who asks while it cannot be made gets the error', async (t) => {
  const { parts, fail } = setUp();
  fail();
  await Promise.all([1, 2].map(() => t.rejects(parts.after(null), { code: 'unavailable' })));
});
