import { Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Test, test } from 'tap';
import { channels, listenTo } from '../../src/core/channels.ts';
import { createRevocationStreams } from '../../src/revocations/revocation-streams.ts';
import { eventually } from '../support/adapters.ts';
import { type FakeFeed, fakeFeed } from './fake-feed.ts';

const MINUTE_MS = 60_000;

type Options = { most?: number; feed?: FakeFeed; random?: number; pause?: () => Promise<unknown> };

function setUp(t: Test, { most = 50, feed = fakeFeed(), random = 0.5, ...rest }: Options = {}) {
  let nowMs = 1_000_000;
  const streams = createRevocationStreams({
    ...{ feed: feed.feed, most, now: () => nowMs, random: () => random, ...rest },
  });
  t.teardown(streams.close);
  const passTime = (ms: number) => {
    nowMs += ms;
  };
  return { ...streams, feed, passTime };
}

/** Waits until it is so. */
function until(isSo: () => boolean): Promise<void> {
  return eventually(() => {
    if (!isSo()) throw new Error(`it is not so: ${isSo}`);
  });
}

/** A reader that takes everything at once. */
function reader() {
  let text = '';
  const line = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      done();
    },
  });
  const events = () => [...text.matchAll(/event: (\w+)\n(?:id: (.*)\n)?data: (.*)\n\n/g)];
  return {
    line,
    text: () => text,
    events,
    /** The cursors that it has got, in their order. */
    ids: () => events().flatMap(([, , id]) => id ?? []),
    data: () => events().map(([, , , data]) => JSON.parse(String(data))),
    /** Waits for as many events with an id. */
    got: (count: number) => until(() => events().filter(([, , id]) => id !== undefined).length >= count),
  };
}

/** A reader that takes only what the test lets it take. */
function slowReader() {
  const untaken: (() => void)[] = [];
  const line = new Writable({ write: (_chunk, _encoding, done) => void untaken.push(done) });
  const take = () => untaken.shift()?.();
  return { line, take };
}

test('a stream begins with what came after its cursor, also when that is nothing', async (t) => {
  const { add, feed } = setUp(t);
  feed.advance(3);
  const [all, some, none] = [reader(), reader(), reader()];
  add(all.line, null);
  add(some.line, 'e.2');
  add(none.line, 'e.3');
  await Promise.all([all, some, none].map(({ got }) => got(1)));
  t.ok(all.text().startsWith('retry: 1000\n\nevent: revocations\nid: e.3\n'));
  t.match(all.data(), [{ from: null, sessions: 'AQEB'.repeat(8) }]);
  t.match(some.data(), [{ from: 'e.2', sessions: 'AQEBAQEBAQE' }]);
  t.match(none.data(), [{ from: 'e.3', sessions: '' }]);
});

test('a client that has gone while its request was checked takes no place', async (t) => {
  const { add, count } = setUp(t);
  const { line } = reader();
  line.destroy();
  await until(() => line.closed);
  add(line, null);
  t.equal(count(), 0);
});

test('what is new goes to all streams, made once', async (t) => {
  const { add, feed } = setUp(t);
  const readers = Array.from({ length: 50 }, reader);
  for (const { line } of readers) add(line, 'e.0');
  await Promise.all(readers.map(({ got }) => got(1)));
  t.equal(feed.asked(), 1);
  feed.advance();
  await Promise.all(readers.map(({ got }) => got(2)));
  t.equal(feed.asked(), 2);
  for (const { ids } of readers) t.strictSame(ids(), ['e.0', 'e.1']);
});

test('events and beats go to many streams in several turns, so that other requests are answered in between', async (t) => {
  const counts: number[] = [];
  const pause = async () => {
    counts.push(readers.filter(({ events }) => events().length === told).length);
    await nextTurn();
  };
  const { add, feed, beat } = setUp(t, { most: 60, pause });
  const readers = Array.from({ length: 60 }, reader);
  const all = () => Promise.all(readers.map(({ got }) => got(told)));
  let told = 1;
  for (const { line } of readers) add(line, 'e.0');
  await all();
  told = 2;
  feed.advance();
  await all();
  t.strictSame(counts, [0, 25], 'what is pushed in a turn is there after it');
  t.equal(feed.asked(), 2, 'made once all the same');
  counts.length = 0;
  told = 3;
  const [first] = readers;
  const beaten = beat();
  await nextTurn();
  first?.line.destroy();
  await beaten;
  t.strictSame(counts, [25, 50]);
  for (const { events } of readers) t.equal(events().length, 3);
});

test('what comes within 100 ms after an event is one event', async (t) => {
  const { add, feed, passTime } = setUp(t);
  const { line, got, ids } = reader();
  add(line, 'e.0');
  await got(1);
  feed.advance();
  await got(2);
  for (let count = 0; count < 5; count += 1) feed.advance();
  await got(3);
  t.strictSame(ids(), ['e.0', 'e.1', 'e.6']);
  passTime(1_000);
  feed.advance();
  await got(4);
});

test('a long answer comes in parts, one after the other', async (t) => {
  const { add, feed } = setUp(t, { feed: fakeFeed({ most: 2 }) });
  feed.advance(5);
  const { line, got, ids, data } = reader();
  add(line, null);
  await got(3);
  t.strictSame(ids(), ['e.2', 'e.4', 'e.5']);
  t.strictSame(
    data().map(({ from, more }) => ({ from, more })),
    [
      { from: null, more: true },
      { from: 'e.2', more: true },
      { from: 'e.4', more: undefined },
    ],
  );
});

test('the next part waits until the one before is taken, and nothing comes between', async (t) => {
  const { add, feed, beat } = setUp(t, { feed: fakeFeed({ most: 2 }) });
  feed.advance(4);
  const { line, take } = slowReader();
  add(line, null);
  take();
  await until(() => line.writableLength > 0);
  const unsent = line.writableLength;
  await beat();
  feed.advance();
  await nextTurn();
  t.equal(line.writableLength, unsent);
  t.equal(feed.asked(), 1);
  take();
  await until(() => feed.asked() > 1);
});

test('who takes a large event late gets what came meanwhile', async (t) => {
  const { add, feed } = setUp(t);
  feed.advance(20_000);
  const { line, take } = slowReader();
  add(line, null);
  take();
  await until(() => line.writableLength > 100_000);
  feed.advance();
  await nextTurn();
  t.equal(feed.asked(), 1);
  take();
  await until(() => feed.asked() > 1);
});

test('a beat says how far the feed has come, to all who have had their first event', async (t) => {
  const feed = fakeFeed();
  const { answer } = feed.feed;
  const { promise: isAsked, resolve: mayAnswer } = Promise.withResolvers<void>();
  feed.feed.answer = (after) => isAsked.then(() => answer(after));
  const { add, beat } = setUp(t, { feed });
  const { line, got, data, text } = reader();
  add(line, 'e.0');
  await beat();
  t.notMatch(text(), 'beat');
  mayAnswer();
  await got(1);
  feed.grow(1_000);
  await beat();
  t.match(data()[1], { as_of: 1_764_212_345_678, age: 1.12 });
  feed.fail();
  await beat();
  t.equal(data().length, 2, 'nothing is said of what is not known');
});

test('a reader that lets 256 KiB pile up is cut off', async (t) => {
  const { add, feed, count } = setUp(t);
  const { line, take } = slowReader();
  const good = reader();
  add(line, 'e.0');
  add(good.line, 'e.0');
  await good.got(1);
  take();
  let events = 1;
  while (line.writableLength <= 256 * 1024) {
    // 40 KB each.
    feed.advance(4_000);
    events += 1;
    await good.got(events);
    t.notOk(line.destroyed);
  }
  feed.advance();
  await good.got(events + 1);
  t.ok(line.destroyed);
  await until(() => count() === 1);
});

test('a reader that does not take a large event within ten seconds is cut off', async (t) => {
  const { add, feed, beat, passTime } = setUp(t);
  feed.advance(20_000);
  const { line, take } = slowReader();
  add(line, null);
  take();
  await until(() => line.writableLength > 100_000);
  passTime(10_000);
  await beat();
  t.notOk(line.destroyed);
  passTime(1);
  await beat();
  t.ok(line.destroyed);
});

test('a stream ends by itself after five to ten minutes', async (t) => {
  for (const [random, minutes] of [
    [0, 5],
    [1, 10],
  ] as const) {
    const { add, beat, passTime, count } = setUp(t, { random });
    const { line, got } = reader();
    add(line, 'e.0');
    await got(1);
    passTime(minutes * MINUTE_MS - 1);
    await beat();
    t.notOk(line.writableEnded);
    passTime(1);
    await beat();
    t.ok(line.writableEnded);
    await until(() => count() === 0);
  }
});

test('what has begun when the stream ends goes nowhere', async (t) => {
  const { add, feed, count } = setUp(t);
  const [gone, ended] = [reader(), reader()];
  add(gone.line, 'e.0');
  add(ended.line, 'e.0');
  gone.line.destroy();
  ended.line.end();
  await until(() => count() === 0);
  t.equal(feed.asked(), 1);
  t.notMatch(gone.text() + ended.text(), 'event');
});

test('a stream ends when the feed cannot answer', async (t) => {
  const { add, feed } = setUp(t);
  feed.fail();
  const { line } = reader();
  add(line, 'e.0');
  await until(() => line.writableEnded);
});

test('after a restart of the feed each stream gets all anew', async (t) => {
  const { add, feed } = setUp(t);
  feed.advance(5);
  const { line, got, data } = reader();
  add(line, 'e.5');
  await got(1);
  feed.restart();
  await got(2);
  t.match(data()[1], { cursor: 'f.0', from: null });
});

test('beyond the most there is no place, until one has ended', async (t) => {
  const facts: object[] = [];
  t.teardown(listenTo(channels.limitReached, (fact) => facts.push(fact)));
  const { add, requirePlace, count } = setUp(t, { most: 2 });
  const [first, second] = [reader(), reader()];
  for (const { line } of [first, second]) {
    requirePlace();
    add(line, 'e.0');
  }
  t.throws(requirePlace, { code: 'overloaded', retryAfterSeconds: 10 });
  t.strictSame(facts, [{ limit: 'streams' }]);
  first.line.destroy();
  await until(() => count() === 1);
  t.doesNotThrow(requirePlace);
});

test('the end of the server ends all streams at once, also of those who do not read', async (t) => {
  const { add, close, requirePlace, feed } = setUp(t);
  const [good, slow] = [reader(), slowReader()];
  add(good.line, 'e.0');
  add(slow.line, 'e.0');
  await good.got(1);
  feed.advance();
  await good.got(2);
  feed.advance();
  close();
  t.ok(good.line.writableEnded);
  t.ok(slow.line.destroyed);
  t.equal(feed.listening(), 0);
  t.throws(requirePlace, { code: 'overloaded', retryAfterSeconds: 1 });
});
