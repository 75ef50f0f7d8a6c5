import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { mock } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Test, test } from 'tap';
import { createRevocationWaits } from '../../src/revocations/revocation-waits.ts';
import { fakeFeed } from './fake-feed.ts';

function setUp(t: Test, fake = fakeFeed()) {
  mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 1_000;
  const waits = createRevocationWaits(fake.feed, () => nowMs);
  t.teardown(async () => {
    waits.close();
    // Their timers are cleared before the next test has such timers of its own.
    await nextTurn();
    mock.timers.reset();
  });
  /** Milliseconds, and whatever follows from them. */
  const passTime = async (ms: number) => {
    await nextTurn();
    nowMs += ms;
    mock.timers.tick(ms);
    await nextTurn();
  };
  return { ...fake, waits, passTime };
}

/** One who waits. */
function ask({ waits }: Pick<ReturnType<typeof setUp>, 'waits'>, after: string, waitMs: number) {
  const line = new PassThrough();
  const asked = { line, answer: undefined as { cursor: string; from: string } | undefined };
  waits.answer({ after, waitMs, line }).then((text) => {
    asked.answer = JSON.parse(text);
  });
  return asked;
}

test('a wait ends when there is something, at once after a quiet time', async (t) => {
  const set = setUp(t);
  const asked = ask(set, 'e.0', 20_000);
  await set.passTime(5_000);
  t.equal(asked.answer, undefined);
  set.advance();
  await set.passTime(1);
  t.match(asked.answer, { cursor: 'e.1', from: 'e.0' });
});

test('while much happens, who waits is answered four times a second, with all that is new', async (t) => {
  const set = setUp(t);
  const cursors: string[] = [];
  let asked = ask(set, 'e.0', 20_000);
  for (let ms = 0; ms < 2_000; ms += 10) {
    set.advance();
    await set.passTime(10);
    const { answer } = asked;
    if (answer === undefined) continue;
    cursors.push(answer.cursor);
    asked = ask(set, answer.cursor, 20_000);
    // Taken before anything is new again: otherwise it would be answered without waiting.
    await set.passTime(0);
  }
  t.ok(cursors.length >= 7 && cursors.length <= 8, `${cursors.length} answers in two seconds`);
  t.strictSame([...new Set(cursors)], cursors);
});

test('who is woken for what it has already goes on waiting', async (t) => {
  const set = setUp(t);
  set.advance();
  await set.passTime(1);
  set.advance();
  const asked = ask(set, 'e.2', 20_000);
  await set.passTime(300);
  t.equal(asked.answer, undefined);
  set.advance();
  await set.passTime(300);
  t.match(asked.answer, { cursor: 'e.3', from: 'e.2' });
});

test('what comes while the feed is asked is not missed', async (t) => {
  const fake = fakeFeed();
  const { answer } = fake.feed;
  fake.feed.answer = async (after) => {
    const part = await answer(after);
    fake.feed.answer = answer;
    fake.advance();
    return part;
  };
  const set = setUp(t, fake);
  const asked = ask(set, 'e.0', 20_000);
  await set.passTime(1);
  t.match(asked.answer, { cursor: 'e.1', from: 'e.0' });
});

test('a wait ends after its time, with nothing', async (t) => {
  const set = setUp(t);
  const asked = ask(set, 'e.0', 20_000);
  await set.passTime(19_999);
  t.equal(asked.answer, undefined);
  await set.passTime(1);
  t.match(asked.answer, { cursor: 'e.0', from: 'e.0', sessions: '' });
});

test('all who wait for the same are answered by what was made once', async (t) => {
  const set = setUp(t);
  const all = Array.from({ length: 100 }, () => ask(set, 'e.0', 20_000));
  await set.passTime(1);
  t.equal(set.asked(), 1);
  set.advance();
  await set.passTime(1);
  for (const { answer } of all) t.match(answer, { cursor: 'e.1' });
  t.equal(set.asked(), 2);
});

test('nobody waits for a client that has gone', async (t) => {
  const set = setUp(t);
  const asked = ask(set, 'e.0', 20_000);
  await set.passTime(1);
  asked.line.destroy();
  await set.passTime(1);
  t.match(asked.answer, { from: 'e.0' });

  const line = new PassThrough().destroy();
  await once(line, 'close');
  t.match(JSON.parse(await set.waits.answer({ after: 'e.0', waitMs: 20_000, line })), { from: 'e.0' });
});

test('at the end all who wait are answered, and nobody waits any more', async (t) => {
  const set = setUp(t);
  const asked = ask(set, 'e.0', 20_000);
  await set.passTime(1);
  set.waits.close();
  await set.passTime(0);
  t.match(asked.answer, { from: 'e.0' });
  const late = ask(set, 'e.0', 20_000);
  await set.passTime(0);
  t.match(late.answer, { from: 'e.0' });
  t.equal(set.listening(), 0);
});
