import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import type { SessionCache } from '../../src/sessions/session-cache.ts';
import { sessionsEndedLane } from '../../src/sessions/sessions-ended.ts';

const MINUTE_MS = 60_000;

function setUp() {
  const invalidated: string[] = [];
  const cache = {
    invalidate: async (hash: Buffer) => void invalidated.push(hash.toString('hex')),
  } as unknown as SessionCache;
  const { deliver } = sessionsEndedLane(cache);
  const tokenHashes = [1, 2].map(() => randomBytes(32).toString('hex'));
  const deliverAt = (ageMs: number) =>
    deliver({ tokenHashes }, { id: 'any', attempts: 1, ageMs, signal: new AbortController().signal });
  return { invalidated, tokenHashes, deliverAt };
}

test('every session of the message is taken out of the cache', async (t) => {
  const { invalidated, tokenHashes, deliverAt } = setUp();
  await deliverAt(0);
  t.same(invalidated, tokenHashes);
});

test('as long as a copy may be left the message is delivered; after that it has nothing to do', async (t) => {
  const { invalidated, deliverAt } = setUp();
  await deliverAt(10 * MINUTE_MS);
  t.equal(invalidated.length, 2);
  await deliverAt(12 * MINUTE_MS);
  t.equal(invalidated.length, 2);
});

test('a cache that does not answer is a failure', async (t) => {
  const failure = new Error('no cache');
  const invalidate = () => Promise.reject(failure);
  const { deliver } = sessionsEndedLane({ invalidate } as unknown as SessionCache);
  const delivery = { id: 'any', attempts: 1, ageMs: 0, signal: new AbortController().signal };
  await t.rejects(deliver({ tokenHashes: ['ab'] }, delivery), failure);
});
