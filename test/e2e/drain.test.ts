import type { Agent } from 'node:http';
import { connect } from 'node:net';
import { type Test, test } from 'tap';
import { createPlace, newCredentials } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { type Answer, askOver, keptAlive } from '../support/kept-alive.ts';
import { cookiesOf, postJson, startServer, type TestProcess } from './server-process.ts';

/** Long, so that even on a busy machine the test can tell "at once" from "at the end". */
const DRAIN_DELAY_MS = 6_000;
const MARGIN_MS = 1_000;
/** The difference that rounding in two processes may make. */
const CLOCK_STEP_MS = 10;

/**
 * Asks on a new connection, and waits for the answer: more connections than the server has accepted would fill its queue, and
 * the machine then tries for a second before it says that nobody listens.
 */
async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  socket.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const answer = await socket.toArray().catch(() => []);
  return answer.length > 0;
}

/** Asks without a pause until the server is gone, or as long as `lasts` returns true. */
async function askOn(agent: Agent, url: string, cookie: string, lasts: () => boolean): Promise<Answer[]> {
  const answers: Answer[] = [];
  try {
    while (lasts()) answers.push(await askOver(agent, url, 'POST', cookie));
  } catch {
    // The server is gone. The number and the times of the answers show whether that was too early.
  }
  return answers;
}

/** A server that a busy machine was slow to start may refuse the first ones as overloaded. */
async function signUp(url: string): Promise<string> {
  return eventually(async () => {
    const signedUp = await postJson(`${url}/signup`, newCredentials());
    if (signedUp.status !== 201) throw new Error(`/signup: ${signedUp.status}`);
    return cookiesOf(signedUp);
  });
}

test('SIGTERM: unready at once, serving on for DRAIN_DELAY, and no request is failed', async (t) => {
  const server = startServer(t, { ...(await createPlace(t)), DRAIN_DELAY: `${DRAIN_DELAY_MS / 1000}s` });
  const url = await server.url();
  const cookie = await signUp(url);
  const agent = keptAlive(t);
  t.equal((await askOver(agent, `${url}/token`, 'POST', cookie)).connection, 'keep-alive');

  const signalledAt = Date.now();
  server.child.kill('SIGTERM');
  let ready = await askOver(agent, `${url}/health/ready`);
  while (ready.status === 200) ready = await askOver(agent, `${url}/health/ready`);
  t.ok(Date.now() - signalledAt < DRAIN_DELAY_MS / 2);
  t.equal(ready.status, 503);
  t.equal(JSON.parse(ready.body).status, 'draining');
  t.equal(ready.connection, 'close');

  const servesUntil = signalledAt + DRAIN_DELAY_MS - MARGIN_MS;
  const answers = await askOn(agent, `${url}/token`, cookie, () => Date.now() < servesUntil);
  t.ok(Date.now() >= servesUntil, 'it served for as long as it said');
  t.ok(answers.length > 10);
  t.strictSame(new Set(answers.map((answer) => answer.status)), new Set([200]));
  t.strictSame(new Set(answers.map((answer) => answer.connection)), new Set(['close']));
  const late = await askOn(agent, `${url}/token`, cookie, () => true);
  t.strictSame(new Set([200, ...late.map((answer) => answer.status)]), new Set([200]));
  t.equal(await server.exited, 0);
  t.ok(Date.now() - signalledAt >= DRAIN_DELAY_MS - CLOCK_STEP_MS);
});

/** Asks over an idle connection as soon as the server no longer listens. @returns also how long after its last sign */
async function askIdle(t: Test, server: TestProcess, cookie: string) {
  const url = await server.url();
  const agent = keptAlive(t);
  t.equal((await askOver(agent, `${url}/token`, 'POST', cookie)).connection, 'keep-alive');
  server.child.kill('SIGTERM');
  let listenedAt = performance.now();
  while (await isListening(Number(new URL(url).port))) listenedAt = performance.now();
  const lateMs = performance.now() - listenedAt;
  return {
    lateMs,
    answer: await askOver(agent, `${url}/token`, 'POST', cookie).catch((error: Error) => error),
  };
}

test('an idle connection that a proxy uses when the server no longer listens is answered, and then closed', async (t) => {
  const place = { ...(await createPlace(t)), DRAIN_DELAY: '0s' };
  for (;;) {
    const server = startServer(t, place);
    const { answer, lateMs } = await askIdle(t, server, await signUp(await server.url()));
    t.equal(await server.exited, 0);
    // Too late on a machine that stalled for as long as the server waits: then it is tried again.
    if (lateMs > 300) continue;
    t.match(answer, { status: 200, connection: 'close' });
    break;
  }
});

test('a request under way when the server closes is still answered', async (t) => {
  const server = startServer(t, { ...(await createPlace(t)), DRAIN_DELAY: '0s' });
  const { port } = new URL(await server.url());
  const body = JSON.stringify(newCredentials());
  const head = ['POST /login HTTP/1.1', 'Host: localhost', 'Content-Type: application/json'];
  const socket = connect(Number(port), '127.0.0.1');
  const request = `${[...head, `Content-Length: ${body.length}`].join('\r\n')}\r\n\r\n${body.slice(0, 10)}`;
  await new Promise((sent) => socket.write(request, sent));
  // By the time a second connection has been answered, the first has been read.
  await fetch(`http://127.0.0.1:${port}/health/live`);
  server.child.kill('SIGTERM');
  while (await isListening(Number(port)));
  socket.write(body.slice(10));
  const response = Buffer.concat(await socket.toArray()).toString();
  t.match(response, /^HTTP\/1\.1 401 /);
  t.match(response, /^connection: close\r$/im);
  t.equal(await server.exited, 0);
});

/** Holds a connection open without sending anything, as browsers do. */
async function holdIdle(t: Test, server: TestProcess): Promise<void> {
  const agent = keptAlive(t);
  await askOver(agent, `${await server.url()}/health/live`);
}

for (const signal of ['SIGINT', 'SIGHUP'] as const) {
  test(`${signal} ends it at once, idle connections or not`, async (t) => {
    const server = startServer(t, { ...(await createPlace(t)), DRAIN_DELAY: '1m' });
    await holdIdle(t, server);
    const signalledAt = Date.now();
    t.equal(await server.end(signal), 0);
    t.ok(Date.now() - signalledAt < 30_000, 'long before DRAIN_DELAY');
  });
}

test('an error that nothing caught is logged, and ends it in order', async (t) => {
  // SIGWINCH, because it ends no program by default.
  const bomb = `process.on('SIGWINCH', () => { throw new Error('nobody catches this'); })`;
  const nodeArgs = ['--import', `data:text/javascript,${encodeURIComponent(bomb)}`];
  const server = startServer(t, { ...(await createPlace(t)), DRAIN_DELAY: '1m' }, { nodeArgs });
  await server.url();
  t.equal(await server.end('SIGWINCH'), 1);
  const fatal = server.stdout.split('\n').find((line) => line.includes('"level":60'));
  t.match(JSON.parse(fatal ?? '{}'), { err: { message: 'nobody catches this' } });
});
