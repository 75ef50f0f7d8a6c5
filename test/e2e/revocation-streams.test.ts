import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { createPlace, runSql } from '../helper.ts';
import { openStream } from '../support/event-stream.ts';
import { freePort } from '../support/free-port.ts';
import { findOrInstall, listens, start } from '../support/gateway-program.ts';
import { startServer, type TestProcess } from './server-process.ts';

const FIRST_EVENT = /event: revocations\nid: .*\ndata: .*\n\n/;

async function portOf(server: TestProcess): Promise<number> {
  return Number(new URL(await server.url()).port);
}

/** Streams that have had their first event. */
async function openStreams(server: TestProcess, count: number) {
  const port = await portOf(server);
  const streams = Array.from({ length: count }, () => openStream(port));
  await Promise.all(streams.map(({ says }) => says(FIRST_EVENT)));
  return streams;
}

/** Ends the server. @returns when it had ended, in milliseconds after the signal */
async function endingOf(server: TestProcess, signal: NodeJS.Signals): Promise<number> {
  const signalledAt = performance.now();
  const code = await server.end(signal);
  if (code !== 0) throw new Error(`it ended with ${code}`);
  return performance.now() - signalledAt;
}

test('SIGTERM: 200 streams end before anything else, and do not hold the end up', async (t) => {
  const DRAIN_DELAY = '3s';
  const [idle, busy] = await Promise.all(
    [1, 2].map(async () => startServer(t, { ...(await createPlace(t)), DRAIN_DELAY })),
  );
  if (idle === undefined || busy === undefined) throw new Error('no server');
  const streams = await openStreams(busy, 200);
  const port = await portOf(busy);
  await idle.url();
  const signalledAt = performance.now();
  const ended = Promise.all([endingOf(idle, 'SIGTERM'), endingOf(busy, 'SIGTERM')]);
  const lastClosedAt = Math.max(...(await Promise.all(streams.map(({ closed }) => closed))));
  t.ok(lastClosedAt - signalledAt < 3_000, 'within DRAIN_DELAY');

  const refused = openStream(port);
  await refused.closed;
  t.match(refused.text(), /^HTTP\/1\.1 503 /);
  t.match(refused.text(), /retry-after: 1\r\n/i);
  const json = await fetch(`http://127.0.0.1:${port}/revocations`);
  t.equal(json.status, 200);
  const { cursor } = (await json.json()) as { cursor: string };
  const waited = await fetch(`http://127.0.0.1:${port}/revocations?wait=25&after=${cursor}`);
  t.equal(waited.status, 200, 'a wait is answered at once');

  const [idleMs, busyMs] = await ended;
  t.ok(busyMs - idleMs < 1_000, `${busyMs} ms, and ${idleMs} ms without streams`);
});

for (const signal of ['SIGINT', 'SIGHUP'] as const) {
  test(`${signal} ends streams and server at once`, async (t) => {
    const server = startServer(t, { ...(await createPlace(t)), DRAIN_DELAY: '1m' });
    await openStreams(server, 20);
    t.ok((await endingOf(server, signal)) < 30_000);
  });
}

test('workers share streams, and all of these end with them', async (t) => {
  const place = await createPlace(t);
  const server = startServer(t, { ...place, WORKERS: '2', DRAIN_DELAY: '0s' }, { detached: true });
  await server.says(/worker 2 serves as well/);
  const streams = await openStreams(server, 20);
  await runSql(place.DATABASE_URL, SIGN_OUT);
  await Promise.all(streams.map(({ says }) => says(/"sessions":"AQEBAQEBAQE"/)));
  t.equal(await server.end('SIGTERM'), 0);
  await Promise.all(streams.map(({ closed }) => closed));
});

/** As if a session had ended whose id has the hash 01 01 01 …. */
const SIGN_OUT = `insert into revocations (kind, subject) values ('session', decode('0101010101010101', 'hex'))`;

/** nginx with the defaults of a distribution, and nothing about streams. */
async function startNginx(t: Test, behind: string): Promise<number> {
  const port = await freePort();
  const folder = t.testdir();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const server = `server { listen 127.0.0.1:${port}; location /auth/ { proxy_pass ${behind}/; } }`;
  const http = `http { access_log off; gzip on; ${temporary.join(' ')} ${server} }`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'nginx.conf'), `${user} daemon off; pid ${folder}/pid; events {}\n${http}`);
  const binary = await findOrInstall({ name: 'nginx', binary: 'nginx', debianPackage: 'nginx-light' });
  await listens(start(t, binary, ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')]), port);
  return port;
}

test('behind nginx with its defaults, events and beats arrive as they are sent', async (t) => {
  const place = await createPlace(t);
  const server = startServer(t, place);
  const port = await startNginx(t, await server.url());
  const stream = openStream(port, ['Accept-Encoding: gzip'], '/auth/revocations');
  await stream.says(FIRST_EVENT);
  t.notMatch(stream.text(), /content-encoding/i);
  await stream.says(/event: beat\n/);
  await runSql(place.DATABASE_URL, SIGN_OUT);
  await stream.says(/"sessions":"AQEBAQEBAQE"/);
  server.child.kill('SIGTERM');
  // nginx says so, and keeps the connection for the next request.
  await stream.says(/\r\n0\r\n\r\n$/);
  stream.socket.destroy();
  t.equal(await server.exited, 0);
});
