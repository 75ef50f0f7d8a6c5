import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyContextConfig,
  type preHandlerAsyncHookHandler,
} from 'fastify';
import { type Test, test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { channels, listenTo } from '../../src/core/channels.ts';
import { AppError } from '../../src/core/errors.ts';
import { addConnectionLimits } from '../../src/http/connection-limits.ts';
import { addEdges, createFastify } from '../../src/http/fastify-instance.ts';
import { createLogger } from '../../src/http/logging.ts';
import { revocationRoutes } from '../../src/revocations/revocation-routes.ts';
import { createRevocationStreams } from '../../src/revocations/revocation-streams.ts';
import { createRevocationWaits } from '../../src/revocations/revocation-waits.ts';
import { codeOf } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { openStream } from '../support/event-stream.ts';
import { listen } from '../support/listen.ts';
import { type FakeFeed, fakeFeed } from './fake-feed.ts';

type Options = {
  fake?: FakeFeed;
  most?: number;
  requireReader?: preHandlerAsyncHookHandler;
  limit?: FastifyContextConfig;
  logger?: FastifyBaseLogger;
  onAnswer?: () => void;
};

/** The routes on a feed that the test fills. */
async function setUp(t: Test, options: Options = {}) {
  const { fake = fakeFeed(), most = 10, requireReader, limit = {}, logger = Fastify().log } = options;
  const { onAnswer = () => {} } = options;
  const { feed } = fake;
  const config = loadConfig({});
  const app = createFastify(config, logger);
  addConnectionLimits(app);
  addEdges(app, { state: 'running' });
  const streams = createRevocationStreams({ feed, most, now: Date.now });
  app.addHook('onSend', async () => onAnswer());
  const ending = new AbortController();
  await app.register(revocationRoutes, {
    ...{ feed, streams, waits: createRevocationWaits(feed, Date.now), limit, requireReader },
    ending: ending.signal,
  });
  t.teardown(() => app.close());
  const ask = (query = '', headers: Record<string, string> = {}) =>
    app.inject({ url: `/revocations${query}`, headers });
  return { app, ask, fake, streams, ending };
}

test('JSON: the whole window, and then what came after a cursor', async (t) => {
  const { ask, fake } = await setUp(t);
  fake.advance(2);
  const whole = await ask();
  t.equal(whole.statusCode, 200);
  t.match(whole.headers, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'public, max-age=1',
    vary: /\bAccept\b/,
  });
  t.match(whole.json(), { cursor: 'e.2', from: null, age: 0.22, window: 1920, sessions: /^[\w-]{22}$/ });
  fake.advance();
  t.match((await ask('?after=e.2')).json(), { cursor: 'e.3', from: 'e.2', sessions: /^[\w-]{11}$/ });
  t.match((await ask('?after=e.3')).json(), { cursor: 'e.3', from: 'e.3', sessions: '' });
});

test('JSON: a cursor that is not known gets everything anew, not an error', async (t) => {
  const { ask, fake } = await setUp(t);
  fake.advance(2);
  for (const strange of ['x.1', 'e.99', '-_.0'])
    t.match((await ask(`?after=${strange}`)).json(), { from: null, cursor: 'e.2' });
});

test('what is no cursor, no wait or no field is refused', async (t) => {
  const { ask } = await setUp(t);
  const queries = [
    'after=',
    'after=1',
    'after=e.',
    'after=.1',
    'after=e.1x',
    'after=%00.1',
    `after=${'e'.repeat(41)}.1`,
  ];
  const waits = ['wait=-1', 'wait=26', 'wait=1.5', 'wait=', 'wait=01', 'wait=1e1'];
  for (const query of [...queries, ...waits, 'since=e.1', 'after=e.1&after=e.1']) {
    const refused = await ask(`?${query}`);
    t.equal(refused.statusCode, 400, query);
    t.equal(codeOf(refused), 'validation_failed');
    t.equal(refused.headers['cache-control'], 'no-store');
  }
  const stream = { accept: 'text/event-stream' };
  t.equal((await ask('?after=1', stream)).statusCode, 400);
  t.equal((await ask('', { ...stream, 'last-event-id': 'e' })).statusCode, 400);
});

test('503 where nothing is known, never an empty list', async (t) => {
  const { ask, fake } = await setUp(t);
  fake.fail();
  for (const accept of ['application/json', 'text/event-stream']) {
    const answer = await ask('', { accept });
    t.equal(answer.statusCode, 503);
    t.equal(codeOf(answer), 'unavailable');
    t.equal(answer.headers['retry-after'], '1');
  }
});

test('a wait ends when there is something', async (t) => {
  const { ask, fake } = await setUp(t);
  const waiting = ask('?after=e.0&wait=25');
  await eventually(() => {
    if (fake.asked() < 1) throw new Error('not asked');
  });
  fake.advance();
  t.match((await waiting).json(), { cursor: 'e.1', from: 'e.0', sessions: /^[\w-]{11}$/ });
});

test('a wait ends after its time, and is none when there is something already', async (t) => {
  const { ask, fake } = await setUp(t);
  const begunAt = performance.now();
  t.match((await ask('?after=e.0&wait=1')).json(), { cursor: 'e.0', from: 'e.0' });
  t.ok(performance.now() - begunAt > 990);
  fake.advance();
  t.match((await ask('?after=e.0&wait=25')).json(), { cursor: 'e.1', from: 'e.0' });
  t.match((await ask('?wait=25')).json(), { cursor: 'e.1', from: null });
  t.match((await ask('?after=e.1&wait=0')).json(), { cursor: 'e.1', from: 'e.1' });
});

test('a wait ends when the client has gone', async (t) => {
  let answers = 0;
  const { app, fake } = await setUp(t, { onAnswer: () => (answers += 1) });
  const socket = connect(await listen(t, app), '127.0.0.1');
  socket.write('GET /revocations?after=e.0&wait=25 HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await eventually(() => {
    if (fake.asked() < 1) throw new Error('not asked');
  });
  t.equal(answers, 0);
  socket.destroy();
  await eventually(() => {
    if (answers < 1) throw new Error('it waits');
  });
});

test('a stream: head, first event, and what is new', async (t) => {
  const { app, fake, streams } = await setUp(t);
  const stream = openStream(await listen(t, app), ['Accept-Encoding: gzip, br, zstd']);
  await stream.says(/id: e\.0\n/);
  const [head = '', body = ''] = stream.text().split('\r\n\r\n');
  t.match(head, /^HTTP\/1\.1 200 OK\r\n/);
  const headers = Object.fromEntries(head.split('\r\n').map((line) => line.toLowerCase().split(': ')));
  t.match(headers, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    vary: /accept/,
    connection: 'close',
    'x-content-type-options': 'nosniff',
    'x-request-id': /./,
  });
  t.notOk('content-encoding' in headers || 'transfer-encoding' in headers || 'content-length' in headers);
  t.ok(body.startsWith('retry: 1000\n\nevent: revocations\nid: e.0\ndata: {"cursor":"e.0","from":null,'));
  t.equal(streams.count(), 1);
  fake.advance();
  await stream.says(/id: e\.1\ndata: \{"cursor":"e\.1","from":"e\.0"/);
  await stream.says(/event: beat\ndata: \{"as_of":1764212345678,"age":0\.12\}\n\n/);
  stream.socket.destroy();
  await eventually(() => {
    if (streams.count() > 0) throw new Error('it is still counted');
  });
});

test('a stream continues after Last-Event-ID, or after the query of a client without it', async (t) => {
  const { app, fake } = await setUp(t);
  fake.advance(9);
  const port = await listen(t, app);
  for (const [lines, query, from] of [
    [[], '', null],
    [[], '?after=e.4', 'e.4'],
    [['Last-Event-ID: e.7'], '', 'e.7'],
    [['Last-Event-ID: e.7'], '?after=e.4', 'e.7'],
    [['Last-Event-ID: x.7'], '', null],
  ] as const) {
    const stream = openStream(port, [...lines], `/revocations${query}`);
    await stream.says(/data: .*\n/);
    t.match(stream.text(), `"from":${JSON.stringify(from)}`);
    stream.socket.destroy();
  }
});

test('a stream that the server ends is one request; its line in the log has no cursor', async (t) => {
  const facts: { route: string | undefined; status: number }[] = [];
  t.teardown(listenTo(channels.request, (fact) => facts.push(fact)));
  const lines: string[] = [];
  const logger = createLogger('debug', false, { write: (line) => void lines.push(line) });
  const { app, streams } = await setUp(t, { logger });
  const port = await listen(t, app);
  const stream = openStream(port, [], '/revocations?after=e.0');
  await stream.says(/id: e\.0\n/);
  t.same(facts, []);
  streams.close();
  await stream.closed;
  await eventually(() => {
    if (facts.length < 1) throw new Error('it is not over');
  });
  for (const fact of facts) t.match(fact, { route: '/revocations', status: 200 });
  t.match(lines.join(''), '"route":"/revocations"');
  t.notMatch(lines.join(''), /e\.0/);
});

test('a stream on a connection with another answer begins after that', async (t) => {
  const { app, fake } = await setUp(t);
  const wait = 'GET /revocations?after=e.0&wait=25 HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const stream = openStream(await listen(t, app), [], '/revocations', wait);
  await eventually(() => {
    if (fake.asked() < 2) throw new Error('not asked for both');
  });
  await nextTurn();
  t.equal(stream.text(), '');
  fake.advance();
  await stream.says(/^id: e\.1$/m);
  t.match(
    stream.text(),
    /^HTTP\/1\.1 200 OK.*\{"cursor":"e\.1".*\}HTTP\/1\.1 200 OK.*retry: 1000.*\nid: e\.0\n.*\nid: e\.1\n/s,
  );
  stream.socket.destroy();
});

test('a beat has at most 120 bytes on the wire', async (t) => {
  const { app } = await setUp(t);
  const stream = openStream(await listen(t, app));
  await stream.says(/id: e\.0\ndata: .*\n\n/);
  const before = stream.text().length;
  await stream.says(/event: beat\n.*\n\n/);
  const bytes = stream.text().length - before;
  t.ok(bytes > 0 && bytes <= 120, `${bytes} bytes`);
});

test('who asks for JSON, anything or HEAD gets no stream', async (t) => {
  const { app, ask } = await setUp(t);
  for (const accept of ['*/*', 'application/json', 'application/json, text/event-stream;q=0.5', 'text/html'])
    t.equal((await ask('', { accept })).headers['content-type'], 'application/json; charset=utf-8', accept);
  const head = await app.inject({
    method: 'HEAD',
    url: '/revocations',
    headers: { accept: 'text/event-stream' },
  });
  t.equal(head.statusCode, 200);
  t.equal(head.headers['content-type'], 'application/json; charset=utf-8');
});

test('beyond the most streams it is 503 with Retry-After, and polling goes on', async (t) => {
  const { app, ask, streams } = await setUp(t, { most: 1 });
  const port = await listen(t, app);
  const stream = openStream(port);
  await stream.says(/id: e\.0/);
  const refused = await ask('', { accept: 'text/event-stream' });
  t.equal(refused.statusCode, 503);
  t.equal(codeOf(refused), 'overloaded');
  t.equal(refused.headers['retry-after'], '10');
  t.equal((await ask()).statusCode, 200);
  stream.socket.destroy();
  await eventually(() => {
    if (streams.count() > 0) throw new Error('it is still counted');
  });
  const next = openStream(port);
  await next.says(/id: e\.0/);
  next.socket.destroy();
});

test('at the end of the server streams and waits end at once, and others are answered', async (t) => {
  const { app, ask, fake, ending } = await setUp(t);
  const port = await listen(t, app);
  const stream = openStream(port);
  await stream.says(/id: e\.0/);
  const waiting = ask('?after=e.0&wait=25');
  await eventually(() => {
    if (fake.asked() < 2) throw new Error('not asked');
  });
  const ended = once(stream.socket, 'end');
  ending.abort();
  await ended;
  t.match((await waiting).json(), { cursor: 'e.0', from: 'e.0' });
  t.equal((await ask('', { accept: 'text/event-stream' })).statusCode, 503);
  t.match((await ask('?after=e.0&wait=25')).json(), { cursor: 'e.0' }, 'without waiting');
});

test('only those may read who are let in, and nobody else keeps what they get', async (t) => {
  const requireReader: preHandlerAsyncHookHandler = async ({ headers }) => {
    if (headers.authorization === undefined) throw new AppError('invalid_client');
  };
  const { ask } = await setUp(t, { requireReader });
  for (const accept of ['application/json', 'text/event-stream']) {
    const refused = await ask('', { accept });
    t.equal(refused.statusCode, 401);
    t.equal(codeOf(refused), 'invalid_client');
    t.equal(refused.headers['www-authenticate'], 'Basic realm="doorward", charset="UTF-8"');
  }
  const answer = await ask('', { authorization: 'Basic x' });
  t.equal(answer.statusCode, 200);
  t.equal(answer.headers['cache-control'], 'private, no-store');
});

test('a thousand readers that come back at once get one event, made for many of them together', async (t) => {
  const fake = fakeFeed();
  fake.advance(500);
  const { app, streams } = await setUp(t, { fake, most: 1_000 });
  const port = await listen(t, app);
  const opened = Array.from({ length: 1_000 }, () => openStream(port, ['Last-Event-ID: e.400']));
  await Promise.all(opened.map(({ says }) => says(/id: e\.500\n.*\n\n/)));
  t.equal(streams.count(), 1_000);
  // A part is shared for 100 ms, and on a busy machine a thousand take several times as long.
  const asked = fake.asked();
  t.ok(asked < 100, `made ${asked} times`);
  fake.advance();
  await Promise.all(opened.map(({ says }) => says(/id: e\.501\n/)));
  const more = fake.asked() - asked;
  t.ok(more >= 1 && more < 50, `made ${more} times`);
  for (const { socket } of opened) socket.destroy();
  await eventually(() => {
    if (streams.count() > 0) throw new Error('they are still counted');
  });
});
