import { once } from 'node:events';
import { connect } from 'node:net';
import { type Test, test } from 'tap';
import { build, createPlace } from '../helper.ts';
import { listen, serverAt } from '../support/listen.ts';
import { startServer } from './server-process.ts';

const STALLED_MS = 30_000;
const MAX_UNSENT_BYTES = 256 * 1024;

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

/** Asks for all of these, and reads no answer. */
function askWithoutReading(t: Test, port: number, requests: string) {
  const socket = connect(port, '127.0.0.1').pause();
  t.teardown(() => socket.destroy());
  // The server may close the connection while this is still sending.
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.on('close', resolve));
  return { socket, closed, sent: new Promise((resolve) => socket.write(requests, resolve)) };
}

async function open(t: Test) {
  const { app } = await build(t);
  const port = await listen(t, app);
  return { app, port, server: await serverAt(port) };
}

test('a client that asks and never reads does not fill the memory', async (t) => {
  const server = startServer(t, await createPlace(t), { nodeArgs: ['--max-old-space-size=512'] });
  const url = await server.url();
  const port = Number(new URL(url).port);
  for (const path of [
    ...['/openapi.json', '/docs/json', '/docs/yaml', '/docs/', '/docs/static/swagger-ui-bundle.js'],
    ...['/.well-known/jwks.json', '/.well-known/openid-configuration', '/nowhere', '/sessions'],
  ]) {
    const asked = Array.from({ length: 4 }, () => askWithoutReading(t, port, get(path).repeat(10_000)));
    await Promise.all(asked.map(({ sent, closed }) => Promise.race([sent, closed])));
    t.equal((await fetch(`${url}/health/live`)).status, 200, path);
    // A socket notices that it was closed only when it reads.
    for (const { socket } of asked) socket.resume();
    await Promise.all(asked.map(({ closed }) => closed));
  }
  t.equal(server.child.exitCode, null);
});

test('a client that pipelines a few requests and reads gets all answers, in order', async (t) => {
  const { port } = await open(t);
  const socket = connect(port, '127.0.0.1');
  const last = `GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
  socket.write(`${get('/nowhere')}${get('/.well-known/jwks.json')}`.repeat(7) + get('/me') + last);
  const text = Buffer.concat(await socket.toArray()).toString();
  const answered = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
  t.strictSame(answered, [...Array.from({ length: 7 }, () => [404, 200]).flat(), 401, 200]);
});

test('16 answers may wait on one connection, and the next request closes it', async (t) => {
  const { port } = await open(t);
  for (const [requests, answers] of [
    [16, 16],
    [17, 0],
  ] as const) {
    const { socket, closed } = askWithoutReading(t, port, get('/health/live').repeat(requests));
    let text = '';
    socket.setEncoding('utf8').on('data', (more) => {
      text += more;
      if (text.split('HTTP/1.1 200').length > requests) socket.end();
    });
    socket.resume();
    await closed;
    t.equal(text.split('HTTP/1.1 200').length - 1, answers);
  }
});

test('256 KiB of answers may wait on one connection, and the next request closes it', async (t) => {
  const { app, port, server } = await open(t);
  const fitting = Math.floor(MAX_UNSENT_BYTES / (await app.inject('/openapi.json')).rawPayload.length);
  for (const [documents, isClosed] of [
    [fitting, false],
    // The operating system may have taken the first one.
    [fitting + 2, true],
  ] as const) {
    const last = new Promise<boolean>((resolve) => {
      server.on('request', ({ url, socket }) => url === '/health/live' && resolve(socket.destroyed));
    });
    const { socket } = askWithoutReading(
      t,
      port,
      get('/openapi.json').repeat(documents) + get('/health/live'),
    );
    t.equal(await last, isClosed);
    socket.destroy();
  }
});

test('what was read is counted no more, however many requests follow on a connection', async (t) => {
  const { port } = await open(t);
  const socket = connect(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  for (let round = 0; round < 50; round += 1) {
    socket.write(get('/openapi.json'));
    let text = '';
    while (!text.endsWith('}')) text += (await once(socket, 'data'))[0];
  }
  t.notOk(socket.destroyed);
});

test('a connection on which nothing moves is closed after half a minute', async (t) => {
  const { port, server } = await open(t);
  t.equal(server.timeout, STALLED_MS);
  // The test has no patience.
  server.timeout = 500;
  const connected = once(server, 'connection');
  askWithoutReading(t, port, get('/docs/static/swagger-ui-bundle.js').repeat(10));
  const [serverSide] = await connected;
  await once(serverSide, 'close');
  t.equal((await fetch(`http://127.0.0.1:${port}/health/live`)).status, 200);
});
