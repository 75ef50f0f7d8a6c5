import { once } from 'node:events';
import type { Agent, RequestListener } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Test, test } from 'tap';
import { openListener } from '../../src/http/listener.ts';
import { eventually } from '../support/adapters.ts';
import { askOver, keptAlive } from '../support/kept-alive.ts';

const answering =
  (body: string): RequestListener =>
  (request, response) => {
    request.resume().on('end', () => response.end(body));
  };

async function open(t: Test, handler = answering('first'), host = '127.0.0.1') {
  const listener = await openListener(host, 0, handler);
  let isClosing = false;
  const noted = (end: () => Promise<void>) => () => {
    isClosing = true;
    return end();
  };
  t.teardown(() => isClosing || listener.close());
  const [close, drain] = [noted(listener.close), noted(listener.drain)];
  return { listener: { ...listener, close, drain }, port: Number(new URL(listener.url).port) };
}

const REQUEST = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

/** A connection with a request on it, which the kernel takes before this process does. */
function send(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.write(REQUEST);
  return socket;
}

async function ask(agent: Agent, port: number): Promise<string> {
  return (await askOver(agent, `http://127.0.0.1:${port}`, 'POST')).body;
}

async function refuses(port: number): Promise<void> {
  await eventually(async () => {
    const socket = connect(port, '127.0.0.1');
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isOpen) throw new Error('it still listens');
  });
}

for (const way of ['close', 'drain'] as const) {
  test(`${way} answers what waits in the queue of the kernel`, async (t) => {
    const { listener, port } = await open(t);
    const sockets = Array.from({ length: 50 }, () => send(port));
    // Each connects at the end of this turn, and the queue is full before the server is asked to close.
    process.nextTick(() => void listener[way]());
    for (const answer of await Promise.all(sockets.map((socket) => text(socket)))) {
      t.match(answer, /^HTTP\/1\.1 200 OK\r\n.*first/s);
    }
    await refuses(port);
  });
}

/** Asks over new connections, one after the other, until the server refuses them. @returns what else went wrong */
async function askUntilRefused(port: number): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (;;) {
    const error = await text(send(port)).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error,
    );
    if (error?.code === 'ECONNREFUSED') return failures;
    if (error !== undefined) failures.push(error);
  }
}

test('draining ends though a proxy never stops, and serves on the connections that it has left idle', async (t) => {
  const { listener, port } = await open(t);
  const [used, unused] = [keptAlive(t), keptAlive(t)];
  t.same([await ask(used, port), await ask(unused, port)], ['first', 'first']);
  const startedAt = performance.now();
  const drained = listener.drain();
  t.same(await askUntilRefused(port), []);
  t.ok(performance.now() - startedAt >= 5_000, 'it gave the proxy time to stop');
  t.equal(await ask(used, port), 'first', 'as a proxy that has not seen yet that this server closes');
  await drained;
  await eventually(() => {
    if (Object.values(unused.freeSockets).flat().length > 0) throw new Error('it is still open');
  });
});

test('a request under way is answered, and a connection without one does not hold the end up', async (t) => {
  const arrived = Promise.withResolvers<void>();
  const mayEnd = Promise.withResolvers<void>();
  const { listener, port } = await open(t, async (_request, response) => {
    arrived.resolve();
    await mayEnd.promise;
    response.end('late');
  });
  const silent = connect(port, '127.0.0.1');
  const agent = keptAlive(t);
  const answer = ask(agent, port);
  await arrived.promise;
  const closed = listener.close();
  t.equal(await text(silent), '', 'closed');
  mayEnd.resolve();
  t.equal(await answer, 'late');
  await closed;
});

test('another one may answer from one request to the next, on the same connection', async (t) => {
  const { listener, port } = await open(t);
  const agent = keptAlive(t, 1);
  t.equal(await ask(agent, port), 'first');
  listener.answerWith(answering('second'));
  t.equal(await ask(agent, port), 'second');
  await nextTurn();
  t.equal(Object.values(agent.freeSockets).flat().length, 1);
});

test('what is not HTTP gets a problem document', async (t) => {
  const { port } = await open(t);
  const socket = connect(port, '127.0.0.1');
  socket.write('nonsense\r\n\r\n');
  t.match(await text(socket), /^HTTP\/1\.1 400 .*malformed_request/s);
});

test('says where it listens, and why it cannot', async (t) => {
  const { listener: byName } = await open(t, answering('name'), 'localhost');
  t.equal(await (await fetch(byName.url)).text(), 'name');
  const { listener: six } = await open(t, answering('six'), '::1');
  t.match(six.url, /^http:\/\/\[::1\]:\d+$/);
  t.equal(await (await fetch(six.url)).text(), 'six');
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const { port } = other.address() as { port: number };
  await t.rejects(openListener('127.0.0.1', port, answering('')), { code: 'EADDRINUSE', syscall: 'listen' });
});
