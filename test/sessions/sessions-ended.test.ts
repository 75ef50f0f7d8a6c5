import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'tap';
import type { SessionCache } from '../../src/sessions/session-cache.ts';
import { sessionsEndedLane, sessionsEndedMessages } from '../../src/sessions/sessions-ended.ts';

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

test('a hundred commands are under way at once, over all messages, and a large message does not come first', async (t) => {
  const waiting: { hash: string; answer(): void }[] = [];
  const invalidate = (hash: Buffer) =>
    new Promise<void>((resolve) => waiting.push({ hash: hash.toString('hex'), answer: resolve }));
  const { deliver } = sessionsEndedLane({ invalidate } as unknown as SessionCache);
  const hashes = (count: number) => Array.from({ length: count }, () => randomBytes(32).toString('hex'));
  const send = (tokenHashes: string[]) =>
    deliver({ tokenHashes }, { id: 'any', attempts: 1, ageMs: 0, signal: new AbortController().signal });
  const small = hashes(1);
  const large = send(hashes(1_000));
  const last = send(small);
  let answered = 0;
  let largest = 0;
  let smallCameAfter = 0;
  while (answered < 1_001) {
    await turn();
    largest = Math.max(largest, waiting.length);
    for (const { hash, answer } of waiting.splice(0, 10)) {
      answered += 1;
      if (hash === small[0]) smallCameAfter = answered;
      answer();
    }
  }
  await Promise.all([large, last]);
  t.equal(largest, 100);
  t.ok(smallCameAfter <= 201, `after ${smallCameAfter} commands`);
});

test('an attempt beyond its deadline sends no more commands', async (t) => {
  const { invalidated, tokenHashes } = setUp();
  const { deliver } = sessionsEndedLane({
    invalidate: async () => void invalidated.push('one'),
  } as unknown as SessionCache);
  const late = new Error('late');
  const delivery = { id: 'any', attempts: 1, ageMs: 0, signal: AbortSignal.abort(late) };
  await t.rejects(deliver({ tokenHashes }, delivery), late);
  t.equal(invalidated.length, 0);
});

test('no message has more than a hundred hashes, and none is lost', async (t) => {
  for (const count of [1, 100, 101, 1_000]) {
    const hashes = Array.from({ length: count }, () => randomBytes(32));
    const messages = sessionsEndedMessages(hashes);
    t.ok(messages.every(({ tokenHashes }) => tokenHashes.length <= 100 && tokenHashes.length > 0));
    t.same(
      messages.flatMap(({ tokenHashes }) => tokenHashes),
      hashes.map((hash) => hash.toString('hex')),
    );
  }
});

test('a cache that does not answer is a failure', async (t) => {
  const failure = new Error('no cache');
  const invalidate = () => Promise.reject(failure);
  const { deliver } = sessionsEndedLane({ invalidate } as unknown as SessionCache);
  const delivery = { id: 'any', attempts: 1, ageMs: 0, signal: new AbortController().signal };
  await t.rejects(deliver({ tokenHashes: ['ab'] }, delivery), failure);
});
