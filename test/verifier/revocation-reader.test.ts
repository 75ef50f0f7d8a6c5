import { test } from 'tap';
import {
  beginStream,
  createTime,
  type FeedServer,
  feedAnswers,
  follow,
  sendEvent,
  sendJson,
  startFeedServer,
  type Time,
  until,
} from './support/feed.ts';
import { messageOf } from './support/revocations.ts';

const stream = 'text/event-stream';
const json = 'application/json';

test('waits longer after each failure, never alone by what a server says, and finds the feed again', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  let found = 0;
  const findUrl = async () => {
    found += 1;
    return server.url;
  };
  const feed = follow(t, server, time, { revocations: 'poll', findUrl });
  const waited: number[] = [];
  const waitOnce = async () => {
    const count = waited.length + 1;
    await until(
      () => feed.count('revocationsFailed') === count && server.open() === 0 && time.waits().length === 1,
    );
    waited.push(time.waits()[0] ?? 0);
    time.advance(waited.at(-1) ?? 0);
  };
  for (let count = 0; count < 7; count += 1) await waitOnce();
  t.strictSame(waited, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  server.state.answer = (response) => response.writeHead(429, { 'retry-after': '40' }).end();
  await waitOnce();
  server.state.answer = (response) => response.writeHead(503, { 'retry-after': '86400' }).end();
  await waitOnce();
  server.state.answer = (response) => response.writeHead(503, { 'retry-after': 'tomorrow' }).end();
  await waitOnce();
  t.strictSame(waited.slice(7), [40_000, 60_000, 30_000]);
  t.equal(found, 10, 'each time');
});

test('asks not before it may, however the times are spread', async (t) => {
  for (const [random, waits] of [
    [0, 40_000],
    [0.5, 40_000],
    [0.99, 49_800],
  ] as const) {
    const time = createTime();
    const server = await startFeedServer(t);
    server.state.answer = (response) => response.writeHead(429, { 'retry-after': '40' }).end();
    const feed = follow(t, server, time, { revocations: 'poll', random: () => random });
    await until(() => feed.count('revocationsFailed') === 1 && time.waits().length === 1);
    t.strictSame(time.waits().map(Math.round), [waits]);
    await feed.close();
  }
});

test('the stream says how long to wait after a failure, within reason', async (t) => {
  for (const [retry, waits] of [
    [3000, 3000],
    [1, 500],
    [3_600_000, 30_000],
  ] as const) {
    const time = createTime();
    const server = await startFeedServer(t);
    server.state.answer = (response) => {
      response.writeHead(200, { 'content-type': stream }).write(`retry: ${retry}\n\n`);
      sendEvent(response, 'beat', { as_of: time.now(), age: 0 });
      response.end();
    };
    follow(t, server, time);
    await until(() => time.waits().includes(waits));
    t.ok(time.waits().includes(waits));
  }
});

test('without a feed it looks again ten minutes later', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, () => ({ what: { sessions: ['s1'] } }));
  let url: string | null = null;
  const feed = follow(t, server, time, { findUrl: async () => url });
  await until(() => time.waits().length > 0);
  t.strictSame(time.waits(), [600_000]);
  t.strictSame([await feed.isOver('s1'), feed.told], [false, []]);
  url = server.url;
  time.advance(600_000);
  await until(() => feed.lagMs() === 0);
  t.ok(await feed.isOver('s1'));
});

test('a feed that was switched off counts as none, and what was known stays in force', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, () => ({ what: { sessions: ['s1'] } }));
  let url: string | null = server.url;
  const feed = follow(t, server, time, { revocations: 'poll', findUrl: async () => url });
  await until(() => time.waits().includes(2000));
  server.state.answer = (response) => response.writeHead(404).end();
  url = null;
  time.advance(2000);
  await until(() => time.waits().includes(125));
  t.equal(feed.lagMs(), 2000, 'it may be an accident');
  time.advance(125);
  await until(() => time.waits().includes(600_000));
  t.equal(feed.lagMs(), Number.POSITIVE_INFINITY);
  t.ok(await feed.isOver('s1'));
});

test('the first failure after an answer may be that of one server of several, so another is asked at once', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  const good = feedAnswers(time, () => ({ what: { sessions: ['s1'] } }));
  server.state.answer = good;
  const feed = follow(t, server, time, { revocations: 'poll' });
  let failures = 0;
  for (const [headers, wait] of [
    [{}, 125],
    [{ 'retry-after': '3' }, 3000],
  ] as const) {
    server.state.answer = good;
    await until(() => time.waits().includes(2000));
    server.state.answer = (response) => response.writeHead(502, headers).end();
    time.advance(2000);
    await until(() => time.waits().includes(wait));
    t.equal(feed.count('revocationsFailed'), failures + 1);
    failures += 1;
    server.state.answer = good;
    time.advance(wait);
  }
});

/** Lets the time pass until the next try. @returns how long that took */
async function nextWait(server: FeedServer, time: Time, asked: number): Promise<number> {
  // Those of a request that is under way are no pauses.
  const pause = () => time.waits().find((ms) => ms !== 1900 && ms !== 3500);
  await until(() => server.asked.length >= asked && server.open() === 0 && pause() !== undefined);
  const ms = Number(pause());
  time.advance(ms);
  return ms;
}

test('what is not valid is asked for anew at once, but a feed that lies for ever is asked ever less', async (t) => {
  for (const [revocations, waits] of [
    ['poll', [2000, 125, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
    // The second stream that fails is followed by a poll, without a pause.
    ['stream', [125, 1000, 2000, 4000, 8000, 16_000, 30_000]],
  ] as const)
    for (const lie of [{ window: 0 }, { from: 'x.7' }]) {
      const time = createTime();
      const server = await startFeedServer(t);
      server.state.answer = (response, { accept }) => {
        const isFirst = server.asked.length === 1;
        const good = messageOf({ sessions: ['s1'] }, { as_of: time.now() });
        const bad = messageOf({}, { as_of: time.now(), ...lie });
        if (accept === json) return sendJson(response, isFirst ? good : bad);
        beginStream(response, ...(isFirst ? [good, bad] : [bad]));
        return response.end();
      };
      const feed = follow(t, server, time, { revocations });
      const waited: number[] = [];
      for (const _ of waits) {
        const isPolling = revocations === 'stream' && waited.length > 0;
        waited.push(await nextWait(server, time, waited.length + (isPolling ? 2 : 1)));
      }
      t.strictSame(waited, waits);
      t.ok(await feed.isOver('s1'));
      await feed.close();
    }
});

test('a stream that was good for long and lies is opened again at once, but not twice', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  const bad = messageOf({}, { from: 'x.7' });
  server.state.answer = (response) => {
    if (server.asked.length > 1) return beginStream(response, bad);
    return beginStream(response, messageOf({}, { as_of: time.now() }));
  };
  const feed = follow(t, server, time);
  for (let second = 0; second < 6; second += 3) {
    await until(() => feed.lagMs() === 0 && time.waits().includes(3500));
    time.advance(3000);
    sendEvent(server.latest(), 'beat', { as_of: time.now(), age: 0 });
  }
  await until(() => feed.lagMs() === 0);
  sendEvent(server.latest(), 'revocations', bad);
  t.equal(await nextWait(server, time, 1), 125);
  t.equal(await nextWait(server, time, 2), 1000);
});

test('a feed that lies now and then, however it does, does not keep it busy', async (t) => {
  for (const revocations of ['poll', 'stream'] as const)
    for (const polls of ['good lie', 'good good lie', 'page lie', 'good page lie', 'lie lie good']) {
      const time = createTime();
      const server = await startFeedServer(t);
      const says: Record<string, object> = { good: {}, page: { more: true }, lie: { from: 'x.7' } };
      const message = (what: string) => messageOf({ sessions: ['s1'] }, { as_of: time.now(), ...says[what] });
      let polled = 0;
      server.state.answer = (response, { accept }) => {
        if (accept !== json) return beginStream(response, ...['good', 'page', 'lie'].map(message));
        const words = polls.split(' ');
        polled += 1;
        return sendJson(response, message(String(words[polled % words.length])));
      };
      const feed = follow(t, server, time, { revocations });
      for (let ms = 0; ms < 60_000; ) ms += await nextWait(server, time, 1);
      const count = server.asked.length;
      t.ok(count < 120, `${revocations} ${polls}: ${count} requests in a minute`);
      await feed.close();
    }
});
