import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import {
  type Answer,
  createTime,
  feedAnswers,
  follow,
  sendEvent,
  startFeedServer,
  until,
} from './support/feed.ts';
import { messageOf } from './support/revocations.ts';

const stream = 'text/event-stream';
const json = 'application/json';

test('reads a stream: what is there, what comes, and how late it is', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, () => ({ what: { sessions: ['s1'] } }));
  const feed = follow(t, server, time);
  t.equal(feed.lagMs(), Number.POSITIVE_INFINITY);
  await until(() => feed.count('revocationsReceived') === 1);
  t.match(server.asked, [{ accept: stream, after: null, headers: { 'accept-encoding': 'identity' } }]);
  t.equal(server.asked[0]?.headers['last-event-id'], undefined);
  t.strictSame([await feed.isOver('s1'), await feed.isOver('s2')], [true, false]);
  t.equal(feed.lagMs(), 0);
  time.advance(1000);
  t.equal(feed.lagMs(), 1000);
  sendEvent(server.latest(), 'beat', { as_of: time.now() - 30, age: 0.03 });
  await until(() => feed.lagMs() === 30);
  sendEvent(
    server.latest(),
    'revocations',
    messageOf({ sessions: ['s2'], tokens: ['t1'] }, { cursor: 'a.2', from: 'a.1', as_of: time.now() }),
  );
  await until(() => feed.count('revocationsReceived') === 2);
  t.ok(await feed.isOver('s2'));
  t.strictSame(
    feed.told.map(([name, value]) => `${name} ${value}`),
    [
      ...['revocationsReceived 1', 'revocationLag 0', 'revocationLag 30'],
      ...['revocationsReceived 2', 'revocationLag 0'],
    ],
  );
  sendEvent(server.latest(), 'other', {});
  sendEvent(server.latest(), 'beat', { as_of: time.now() + 1, age: 0 });
  await until(() => feed.count('revocationLag') === 4);
  t.strictSame(feed.warnings, []);
});

test('continues after the end of a stream, at once and where it was', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, ({ after }) =>
    after === null
      ? { what: { sessions: ['s1'] } }
      : { what: { sessions: ['s2'] }, members: { cursor: 'a.2' } },
  );
  const feed = follow(t, server, time);
  await until(() => feed.count('revocationsReceived') === 1);
  time.advance(3000);
  sendEvent(server.latest(), 'beat', { as_of: time.now(), age: 0 });
  await until(() => feed.lagMs() === 0);
  time.advance(3000);
  sendEvent(server.latest(), 'beat', { as_of: time.now(), age: 0 });
  await until(() => feed.lagMs() === 0);
  server.latest()?.end();
  await until(() => time.waits().length > 0 && server.open() === 0);
  t.strictSame(time.waits(), [125]);
  time.advance(125);
  await until(() => feed.count('revocationsReceived') === 2);
  t.match(server.asked[1], { accept: stream, after: 'a.1', headers: { 'last-event-id': 'a.1' } });
  t.strictSame([await feed.isOver('s1'), await feed.isOver('s2')], [true, true]);
  t.strictSame([feed.reasons(), feed.warnings], [[], []]);
});

test('polls where streams do not get through, and tries them again after a minute', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  let takesStreams = false;
  const good = feedAnswers(time, () => ({ what: { sessions: ['s1'] } }));
  server.state.answer = (response, asked) => {
    if (asked.accept === json || takesStreams) return good(response, asked);
    // A proxy that knows no streams.
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
  };
  const feed = follow(t, server, time);
  await until(() => time.waits().includes(1000));
  t.strictSame([feed.count('revocationsFailed'), feed.count('revocationsReceived')], [1, 0]);
  time.advance(1000);
  await until(() => feed.count('revocationsReceived') === 1);
  t.strictSame(
    server.asked.map(({ accept }) => accept),
    [stream, stream, json],
  );
  t.strictSame(feed.warnings, [
    `The revocation feed at ${server.url} is not text/event-stream: look for what holds answers back on the way from the auth server`,
  ]);
  for (let second = 2; second < 60; second += 2) {
    await until(() => time.waits().includes(2000));
    const count = server.asked.length;
    time.advance(2000);
    await until(() => server.asked.length > count);
  }
  t.ok(server.asked.slice(3).every(({ accept, after }) => accept === json && after === 'a.1'));
  takesStreams = true;
  await until(() => time.waits().includes(2000));
  time.advance(2000);
  await until(() => server.asked.at(-1)?.accept === stream && server.open() === 1);
  await until(() => time.waits()[0] === 3500);
  t.equal(feed.count('revocationsFailed'), 2);
});

test('a good answer after a failure lets it try a stream at once', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  const feed = follow(t, server, time);
  await until(() => time.waits().includes(1000));
  time.advance(1000);
  await until(() => server.asked.length === 3 && time.waits().includes(1000));
  server.state.answer = feedAnswers(time, () => ({}));
  time.advance(1000);
  await until(() => time.waits().includes(2000));
  time.advance(2000);
  await until(() => server.open() === 1);
  t.strictSame(
    server.asked.map(({ accept }) => accept),
    [stream, stream, json, json, stream],
  );
  t.equal(feed.count('revocationsFailed'), 3);
});

test('polls while the server has too many streams, and comes back when it says', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  const good = feedAnswers(time, () => ({}));
  server.state.answer = (response, asked) =>
    asked.accept === json ? good(response, asked) : response.writeHead(503, { 'retry-after': '10' }).end();
  const feed = follow(t, server, time);
  for (let second = 0; second < 10; second += 2) {
    await until(() => time.waits().includes(2000));
    t.equal(feed.lagMs(), 0);
    time.advance(2000);
  }
  await until(() => server.asked.filter(({ accept }) => accept === stream).length === 2);
  t.strictSame(
    server.asked.slice(0, 7).map(({ accept }) => accept),
    [stream, json, json, json, json, json, stream],
  );
  await until(() => time.waits().includes(2000));
});

test('polls alone if it is told to, and takes all pages at once', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, ({ after }) => {
    const page = Number(after?.slice(2) ?? 0) + 1;
    return {
      what: { sessions: [`s${page}`] },
      members: { cursor: `a.${page}`, ...(page < 4 && { more: true }) },
    };
  });
  const feed = follow(t, server, time, { revocations: 'poll' });
  await until(() => time.waits().includes(2000));
  t.match(server.asked, [
    { accept: json, after: null },
    { accept: json, after: 'a.1' },
    { accept: json, after: 'a.2' },
    { accept: json, after: 'a.3' },
  ]);
  t.equal(server.asked.length, 4);
  t.ok(await feed.isOver('s4'));
  time.advance(2000);
  await until(() => feed.lagMs() === 0);
  t.equal(server.asked[4]?.url, '/revocations?after=a.4');
});

test('a feed that always has more does not keep it busy', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, ({ after }) => ({
    what: { sessions: ['s1'] },
    members: { cursor: `a.${Number(after?.slice(2) ?? 0) + 1}`, more: true },
  }));
  const feed = follow(t, server, time, { revocations: 'poll' });
  await until(() => time.waits().includes(2000));
  t.equal(server.asked.length, 100);
  t.equal(feed.lagMs(), Number.POSITIVE_INFINITY, 'nothing is complete');
  t.notOk(await feed.isOver('s1'));
});

test('a new beginning in pages leaves all in force until it is whole', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, () => ({ what: { sessions: ['old'] } }));
  const feed = follow(t, server, time);
  await until(() => feed.count('revocationsReceived') === 1);
  const send = (what: object, members: object) =>
    sendEvent(server.latest(), 'revocations', messageOf(what, { as_of: time.now(), ...members }));
  time.advance(1000);
  send({ sessions: ['s1'] }, { cursor: 'b.1', from: null, more: true });
  await until(() => feed.count('revocationsReceived') === 2);
  t.strictSame(feed.reasons(), ['server']);
  t.strictSame([await feed.isOver('old'), await feed.isOver('s1'), feed.lagMs()], [true, false, 1000]);
  send({ sessions: ['s2'] }, { cursor: 'b.2', from: 'b.1' });
  await until(() => feed.count('revocationsReceived') === 3);
  t.strictSame([await feed.isOver('old'), await feed.isOver('s1'), feed.lagMs()], [false, true, 0]);
});

test('a stream that falls silent is opened again', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, () => ({}));
  const feed = follow(t, server, time);
  for (let second = 1; second <= 6; second += 1) {
    await until(() => feed.lagMs() === 0 && time.waits().length === 1);
    time.advance(1000);
    sendEvent(server.latest(), 'beat', { as_of: time.now(), age: 0 });
  }
  await until(() => feed.lagMs() === 0);
  time.advance(3499);
  t.strictSame(time.waits(), [1]);
  time.advance(1);
  await until(() => time.waits().includes(125));
  t.match(feed.told.at(-1), ['revocationsFailed', { message: /says nothing for 3500 ms/ }]);
  t.strictSame(feed.warnings, [], 'it worked well before');
  t.equal(feed.lagMs(), 3500);
  time.advance(125);
  await until(() => feed.lagMs() === 0);
  t.equal(server.asked.length, 2);
});

test('a proxy that swallows streams is noticed at its first silence', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  const good = feedAnswers(time, () => ({}));
  server.state.answer = (response, asked) => {
    if (asked.accept === json) return good(response, asked);
    // The second one sends its head.
    if (server.asked.length > 1) response.writeHead(200, { 'content-type': stream }).write(':\n');
  };
  const feed = follow(t, server, time);
  await until(() => server.open() === 1);
  t.strictSame(time.waits(), [1900], 'timeoutMs');
  time.advance(2000);
  await until(() => time.waits().includes(1000));
  time.advance(1000);
  await until(() => time.waits().includes(3500));
  time.advance(3500);
  await until(() => feed.lagMs() === 0);
  t.strictSame(
    server.asked.map(({ accept }) => accept),
    [stream, stream, json],
  );
});

test('who sends a little now and then gets nowhere', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = (response) => response.writeHead(200, { 'content-type': stream }).write('data: ');
  const feed = follow(t, server, time);
  for (let second = 0; second <= 60; second += 3) {
    await until(() => time.waits().includes(3500) || feed.count('revocationsFailed') > 0);
    time.advance(3000);
    server.latest()?.write('x');
    await until(() => !time.waits().includes(500));
  }
  await until(() => feed.count('revocationsFailed') === 1);
  t.match(feed.warnings, [/ gets nowhere: /]);
});

test('beats that are held back show how late they are, and a stream of old ones is opened again', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, () => ({}));
  const feed = follow(t, server, time);
  await until(() => feed.lagMs() === 0);
  const heldBack = async (ms: number) => {
    const count = feed.count('revocationLag');
    sendEvent(server.latest(), 'beat', { as_of: time.now() - ms, age: 0 });
    await until(() => feed.count('revocationLag') > count);
  };
  for (let second = 3; second <= 30; second += 3) {
    await until(() => time.waits().includes(3500));
    time.advance(3000);
    await heldBack(Math.min(second, 11) * 1000);
  }
  t.equal(feed.lagMs(), 11_000);
  t.equal(server.asked.length, 1, 'not sooner than after half a minute');
  await until(() => time.waits().includes(3500));
  time.advance(1000);
  await heldBack(11_000);
  await until(() => time.waits().includes(125));
  time.advance(125);
  await until(() => feed.lagMs() === 0);
  t.equal(server.asked.length, 2);
  t.equal(feed.count('revocationsFailed'), 0);
});

test('when the clock of the database is set, times begin anew', async (t) => {
  for (const set of [-3_600_000, 3_600_000]) {
    const time = createTime();
    const server = await startFeedServer(t);
    let clock = 0;
    const asOf = () => time.now() + clock;
    server.state.answer = feedAnswers(time, () => ({ members: { as_of: asOf() } }));
    // Its own clock goes with that of the database.
    const feed = follow(t, server, time, { now: asOf });
    await until(() => feed.lagMs() === 0);
    clock = set;
    for (let second = 1; second <= 31; second += 1) {
      time.advance(1000);
      const count = feed.count('revocationLag');
      sendEvent(server.latest(), 'beat', { as_of: asOf(), age: 0 });
      await until(() => feed.count('revocationLag') > count);
    }
    await until(() => time.waits().includes(125));
    time.advance(125);
    await until(() => server.asked.length === 2 && feed.lagMs() === 0);
    t.equal(server.asked.length, 2, `${set}`);
  }
});

test('a host whose clock is an hour off, either way, follows all the same', async (t) => {
  for (const offset of [-3_600_000, 3_600_000])
    for (const revocations of ['stream', 'poll'] as const) {
      const time = createTime();
      const server = await startFeedServer(t);
      const serverNow = time.now();
      time.setClock(offset);
      const good = feedAnswers(time, () => ({ what: { sessions: ['s1'] }, members: { as_of: serverNow } }));
      server.state.answer = (response, asked) => {
        response.setHeader('date', new Date(serverNow).toUTCString());
        good(response, asked);
      };
      const feed = follow(t, server, time, { revocations });
      await until(() => feed.count('revocationsReceived') === 1);
      t.strictSame([feed.lagMs(), await feed.isOver('s1'), await feed.isOver('s2')], [0, true, false]);
    }
});

test('an answer that is not valid is not used: all is fetched anew, and it is counted', async (t) => {
  const hash = 'A'.repeat(11);
  const lies: [members: object, reason: string, text: RegExp][] = [
    [{ users: [[hash, 2 ** 40]] }, 'invalid', /sends a message whose users is not valid: check it$/],
    [{ clients: [[hash, 1e12]] }, 'invalid', / whose clients /],
    [{ from: 'x.7' }, 'mismatch', / what does not continue /],
    [{ more: true, sessions: '' }, 'invalid', / an empty page/],
  ];
  for (const revocations of ['stream', 'poll'] as const)
    for (const [members, reason, text] of lies) {
      const time = createTime();
      const server = await startFeedServer(t);
      server.state.answer = feedAnswers(time, ({ after }) => {
        if (server.asked.length === 2) return { what: { sessions: ['lie'] }, members };
        return { what: { sessions: [`s${server.asked.length}`] }, members: { from: after } };
      });
      const feed = follow(t, server, time, { revocations });
      const next = async () => {
        if (revocations === 'stream') server.latest()?.destroy();
        await until(() => time.waits().some((ms) => ms === 125 || ms === 2000));
        time.advance(2000);
      };
      await until(() => feed.count('revocationsReceived') === 1);
      await next();
      await until(() => feed.reasons().length === 1);
      t.strictSame(feed.reasons(), [reason]);
      t.match(feed.warnings.at(-1), text);
      t.strictSame([await feed.isOver('s1'), await feed.isOver('lie')], [true, false]);
      await next();
      await until(() => feed.count('revocationsReceived') === 2);
      t.equal(server.asked[2]?.after, null);
      t.strictSame([await feed.isOver('s1'), await feed.isOver('s3')], [false, true]);
    }
});

test('a beat that is not valid counts as well', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, () => ({}));
  const feed = follow(t, server, time);
  await until(() => feed.lagMs() === 0);
  sendEvent(server.latest(), 'beat', { as_of: 'now', age: 0 });
  await until(() => feed.reasons().length === 1);
  t.strictSame(feed.reasons(), ['invalid']);
});

test('answers that are no feed, and those without an end, cost little and change nothing', async (t) => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 'A'));
  const endless =
    (head: Record<string, string>, piece: string): Answer =>
    (response) => {
      response.writeHead(200, head).write('data: ');
      const more = () => {
        while (!response.closed && response.write(piece));
        if (!response.closed) response.once('drain', more);
      };
      more();
    };
  const both =
    (answer: (head: Record<string, string>) => Answer): Answer =>
    (response, asked) =>
      answer({ 'content-type': String(asked.accept) })(response, asked);
  const bad: [what: string, answer: Answer, message: RegExp][] = [
    [
      'a page',
      (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      /is not text/,
    ],
    ['nothing there', (response) => response.writeHead(404).end(), /is not there \(404\)/],
    ['trouble', (response) => response.writeHead(500).end('secret'), /with the status 500/],
    [
      'no credentials',
      (response) => response.writeHead(401).end(),
      /asks for credentials \(401\): set REVOCATIONS=public there, or give/,
    ],
    ['wrong ones', (response) => response.writeHead(403).end(), /asks for credentials \(403\)/],
    [
      'a redirect',
      (response) => response.writeHead(302, { location: `${server.origin}/elsewhere` }).end(),
      /with a redirect \(302\), which is not followed/,
    ],
    ['nothing', both((head) => (response) => response.writeHead(200, head).end()), /ends at once/],
    ['an endless line', both((head) => endless(head, 'x'.repeat(65_536))), /an event of more than 65536/],
    [
      'an endless message',
      both((head) => (response, asked) => {
        response.writeHead(200, head).write('event: revocations\n');
        endless(head, 'x'.repeat(65_536))(Object.assign(response, { writeHead: () => response }), asked);
      }),
      /an event of more than 24200000/,
    ],
    [
      'a bomb',
      both(
        (head) => (response) => response.writeHead(200, { ...head, 'content-encoding': 'gzip' }).end(bomb),
      ),
      /an event of more than 65536/,
    ],
    ['a broken line', (response) => response.destroy(), /cannot be fetched/],
  ];
  const time = createTime();
  const server = await startFeedServer(t);
  for (const [what, answer, message] of bad) {
    server.state.answer = answer;
    server.asked.length = 0;
    const feed = follow(t, server, time);
    await until(() => feed.count('revocationsFailed') === 1 && time.waits().includes(1000));
    time.advance(1000);
    await until(() => feed.count('revocationsFailed') === 3 && time.waits().includes(1000));
    t.match(feed.warnings[0], message, what);
    t.strictSame(
      server.asked.map(({ accept, path }) => `${accept} ${path}`),
      [`${stream} /revocations`, `${stream} /revocations`, `${json} /revocations`],
      what,
    );
    t.equal(feed.lagMs(), Number.POSITIVE_INFINITY);
    for (const warning of feed.warnings) t.notMatch(warning, /secret/);
    await feed.close();
    await until(() => server.open() === 0);
  }
});

test('if the server keeps less than the window, nothing counts as known until the window has passed', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, ({ after }) => ({
    what: { sessions: [`${after}`] },
    members: after === null ? { overflow: true, more: true } : { from: after, cursor: 'a.2' },
  }));
  const feed = follow(t, server, time, { revocations: 'poll' });
  await until(() => time.waits().includes(2000));
  t.strictSame([feed.lagMs(), await feed.isOver('null')], [Number.POSITIVE_INFINITY, true]);
  t.match(feed.warnings, [/more revocations than it keeps.*: lower ACCESS_TOKEN_TTL/]);
  time.advance(1920_000);
  await until(() => feed.lagMs() === 0);
});

test('tells of revoked keys with each answer', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, () => ({ what: { keys: ['key-2'] } }));
  const feed = follow(t, server, time);
  await until(() => feed.lagMs() === 0);
  time.advance(1000);
  sendEvent(server.latest(), 'beat', { as_of: time.now(), age: 0 });
  await until(() => feed.lagMs() === 0);
  t.strictSame(feed.dropped, [['key-2'], ['key-2']]);
});

test('tells when a token is passed while the feed is more than ten seconds behind', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, () => ({}));
  const feed = follow(t, server, time, { revocations: 'poll' });
  await until(() => time.waits().includes(2000));
  const told = () => feed.told.filter(([name]) => name === 'revocationLag').map(([, ms]) => ms);
  server.state.answer = () => {};
  time.advance(10_000);
  await feed.isOver('s1');
  t.strictSame(told(), [0]);
  time.advance(1);
  await feed.isOver('s1');
  t.strictSame(told(), [0, 10_001]);
  const quiet = follow(t, server, time, { on: {} });
  t.notOk(await quiet.isOver('s1'));
});

test('closes in every state, at once and for good', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  const good = feedAnswers(time, () => ({ what: { sessions: ['s1'] } }));
  const fetchNever = (url: string, init: RequestInit) =>
    new Promise<Response>((_resolve, reject) => {
      init.signal?.addEventListener('abort', () => reject(new Error(`${url} was given up`)));
    });
  type State = [
    what: string,
    answer: Answer,
    options: Parameters<typeof follow>[3],
    isReached: () => unknown,
  ];
  const isAsked = () => server.asked.length > 0;
  const isStreaming = () => isAsked() && time.waits().includes(3500);
  const states: State[] = [
    ['before it begins', good, {}, () => true],
    ['while it asks', () => {}, {}, () => isAsked() && time.waits().includes(1900)],
    ['in a stream', good, {}, isStreaming],
    [
      'in a silent stream',
      (response) => response.writeHead(200, { 'content-type': stream }).write(':'),
      {},
      isStreaming,
    ],
    ['after a failure', (response) => response.writeHead(500).end(), {}, () => time.waits().includes(1000)],
    ['between polls', good, { revocations: 'poll' }, () => time.waits().includes(2000)],
    ['in a page', (response) => response.writeHead(200).write('{'), { revocations: 'poll' }, isStreaming],
    ['off', good, { findUrl: async () => null }, () => time.waits().includes(600_000)],
    [
      'with a fetch that fails when it is given up',
      good,
      { fetch: fetchNever },
      () => time.waits().includes(1900),
    ],
  ];
  for (const [what, answer, options, isReached] of states) {
    server.asked.length = 0;
    server.state.answer = answer;
    const feed = follow(t, server, time, options);
    await until(isReached);
    const failures = feed.count('revocationsFailed');
    await Promise.all([feed.close(), feed.close()]);
    await feed.close();
    await until(() => server.open() === 0);
    t.strictSame(time.waits(), [], what);
    t.equal(feed.count('revocationsFailed'), failures, 'which is no failure');
    const asked = server.asked.length;
    time.advance(3_600_000);
    t.equal(server.asked.length, asked);
  }
});

test('what is known when it is closed stays in force', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  server.state.answer = feedAnswers(time, () => ({ what: { sessions: ['s1'] } }));
  const feed = follow(t, server, time);
  await until(() => feed.lagMs() === 0);
  for (let second = 0; second < 6; second += 3) {
    time.advance(3000);
    sendEvent(server.latest(), 'beat', { as_of: time.now(), age: 0 });
    await until(() => feed.lagMs() === 0);
  }
  await feed.close();
  time.advance(5000);
  t.strictSame([await feed.isOver('s1'), feed.lagMs()], [true, 5000]);
  t.equal(feed.count('revocationsFailed'), 0);
});

test('an answer without a body ends at once', async (t) => {
  const time = createTime();
  const server = await startFeedServer(t);
  const fetch = async () => new Response(null, { headers: { 'content-type': stream } });
  const feed = follow(t, server, time, { fetch });
  await until(() => feed.warnings.length > 0);
  t.match(feed.warnings, [/ ends at once: /]);
});
