import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { Agent } from 'node:http';
import { connect, createServer } from 'node:net';
import { type Test, test } from 'tap';
import { MIGRATIONS_FOLDER } from '../../src/db/migrations.ts';
import { failuresAfter, waitMsOf } from '../../src/workers.ts';
import { build, createPlace, createWire, newCredentials, type Place, runSql } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { askOver, keptAlive } from '../support/kept-alive.ts';
import { childrenOf } from '../support/servers.ts';
import { cookiesOf, postJson, startServer, type TestProcess } from './server-process.ts';

type Line = { pid: number; level: number; msg: string; err?: { message: string } };

function linesOf(server: TestProcess): Line[] {
  // The last line may not have arrived as a whole.
  const lines = server.stdout.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line));
}

/** The processes that have said that they serve, in the order in which they started. */
function workersOf(server: TestProcess): number[] {
  const lines = linesOf(server).filter(({ msg }) => /listening on|serves as well/.test(msg));
  return lines.map(({ pid }) => pid);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function allEnded(pids: number[]): Promise<void> {
  await eventually(() => {
    if (pids.some(isRunning)) throw new Error('a worker is still there');
  });
}

function startWorkers(t: Test, place: Place, count: number, settings: Record<string, string> = {}) {
  const env = { ...place, WORKERS: String(count), DRAIN_DELAY: '0s', ...settings };
  return startServer(t, env, { detached: true });
}

/** Starts them, and waits until all serve. */
async function openWorkers(t: Test, place: Place, count: number, settings: Record<string, string> = {}) {
  const server = startWorkers(t, place, count, settings);
  await everyoneServes(server, count);
  return { server, url: await server.url(), workers: workersOf(server) };
}

/** Waits until this many have started. */
async function everyoneServes(server: TestProcess, count: number): Promise<void> {
  await eventually(() => {
    if (workersOf(server).length < count) throw new Error(`${server.stdout}${server.stderr}`);
  });
}

/** The processes that answer requests on new connections. */
async function answering(server: TestProcess, url: string, requests: number): Promise<Set<number>> {
  const before = linesOf(server).length;
  for (let sent = 0; sent < requests; sent += 1) {
    await fetch(`${url}/me`, { headers: { connection: 'close' } });
  }
  return eventually(() => {
    const answered = linesOf(server)
      .slice(before)
      .filter(({ msg }) => msg === 'answered');
    if (answered.length < requests) throw new Error('not all lines are there');
    return new Set(answered.map(({ pid }) => pid));
  });
}

test('several workers share a port; the first migrates an empty database; one that is killed is replaced', async (t) => {
  const place = await createPlace(t);
  await runSql(
    place.DATABASE_URL,
    'drop schema public cascade; drop schema drizzle cascade; create schema public',
  );
  const { server, url, workers } = await openWorkers(t, place, 4);
  const migrations = await runSql(place.DATABASE_URL, 'select 1 from drizzle.__drizzle_migrations');
  t.equal(migrations.length, readdirSync(MIGRATIONS_FOLDER).filter((name) => name.endsWith('.sql')).length);
  t.equal(new Set(workers).size, 4);
  t.notOk(workers.includes(server.pid), 'the primary serves nothing itself');
  t.strictSame(await answering(server, url, 12), new Set(workers));
  for (const said of [/Doorward is at/, /Its data is in/]) {
    t.equal(server.messages().filter((message) => said.test(message)).length, 1, 'said once');
  }

  const [killed = 0] = workers;
  process.kill(killed, 'SIGKILL');
  await everyoneServes(server, 5);
  const [replacement = 0] = workersOf(server).slice(-1);
  t.ok((await answering(server, url, 12)).has(replacement));
  t.match(
    linesOf(server).filter(({ pid, level }) => pid === server.pid && level === 40),
    [
      {
        pid: server.pid,
        msg: `worker 1 (process ${killed}) ended with SIGKILL: starting another one in 200 ms`,
      },
    ],
  );
  t.equal(await server.end('SIGTERM'), 0);
  t.strictSame(workersOf(server).filter(isRunning), [], 'all have ended');
});

test('a worker that waits for PostgreSQL takes no requests from those that serve', async (t) => {
  const place = await createPlace(t);
  const wire = await createWire(t, place.DATABASE_URL);
  const { server, url, workers } = await openWorkers(t, { ...place, DATABASE_URL: wire.url }, 2);
  const [killed = 0, left] = workers;
  wire.freeze();
  process.kill(killed, 'SIGKILL');
  await server.says(/Waiting for that/);
  t.strictSame(await answering(server, url, 6), new Set([left]));
  wire.mend();
  await everyoneServes(server, 3);
  t.equal(await server.end('SIGTERM'), 0);
});

/** One request after the other until `lasts` returns false. Returns the statuses, and errors as texts. */
async function askOn(
  agent: Agent,
  url: string,
  cookie: string,
  lasts: () => boolean,
): Promise<(number | string)[]> {
  const outcomes: (number | string)[] = [];
  while (lasts()) {
    outcomes.push(
      await askOver(agent, url, 'POST', cookie).then(
        ({ status }) => status,
        (error: Error) => error.message,
      ),
    );
  }
  return outcomes;
}

async function signUp(url: string): Promise<string> {
  return cookiesOf(await postJson(`${url}/signup`, newCredentials()));
}

test('a worker that drains fails no request and is replaced; then all of them drain', async (t) => {
  const drainMs = 3_000;
  const { server, url, workers } = await openWorkers(t, await createPlace(t), 2, {
    DRAIN_DELAY: `${drainMs}ms`,
  });
  const cookie = await signUp(url);
  let servesUntil = Number.POSITIVE_INFINITY;
  const loops = Array.from({ length: 6 }, () => {
    return askOn(keptAlive(t), `${url}/token`, cookie, () => Date.now() < servesUntil);
  });
  const [drained = 0] = workers;
  process.kill(drained, 'SIGTERM');
  await everyoneServes(server, 3);
  t.notOk(isRunning(drained));
  const told = `worker 1 (process ${drained}) ended with code 0: starting another one`;
  t.equal(server.messages().filter((message) => message.startsWith(told)).length, 1);

  // A second before the end, when connections may be refused.
  servesUntil = Date.now() + drainMs - 1_000;
  t.equal(await server.end('SIGTERM'), 0);
  const outcomes = (await Promise.all(loops)).flat();
  t.ok(outcomes.length > 100);
  t.strictSame(new Set(outcomes), new Set([200]));
});

test('one Ctrl-C reaches all processes of a terminal, and a request under way is still answered', async (t) => {
  const { server, url, workers } = await openWorkers(t, await createPlace(t), 2);
  const { port } = new URL(url);
  const body = JSON.stringify(newCredentials());
  const head = ['POST /login HTTP/1.1', 'Host: localhost', 'Content-Type: application/json'];
  // One for each worker.
  const sockets = workers.map(() => connect(Number(port), '127.0.0.1'));
  for (const socket of sockets) {
    const request = `${[...head, `Content-Length: ${body.length}`].join('\r\n')}\r\n\r\n${body.slice(0, 10)}`;
    await new Promise((sent) => socket.write(request, sent));
  }
  // By the time a later connection to each worker has been answered, the first has been read.
  t.equal((await answering(server, url, 4)).size, 2);
  process.kill(-server.pid, 'SIGINT');
  await eventually(async () => {
    const socket = connect(Number(port), '127.0.0.1');
    const refused = await once(socket, 'connect').then(
      () => false,
      () => true,
    );
    socket.destroy();
    if (!refused) throw new Error('it still listens');
  });
  for (const socket of sockets) {
    socket.write(body.slice(10));
    t.match(Buffer.concat(await socket.toArray()).toString(), /^HTTP\/1\.1 401 /);
  }
  t.equal(await server.exited, 0, server.stdout);
});

test('an impatient second Ctrl-C ends all at once', async (t) => {
  const { server, workers } = await openWorkers(t, await createPlace(t), 2, { DRAIN_DELAY: '10m' });
  server.child.kill('SIGTERM');
  server.child.kill('SIGINT');
  t.equal(await server.exited, 1);
  await allEnded(workers);
});

/** The values of a metric by its labels. */
async function scrape(url: string, name: string): Promise<number[]> {
  const text = await (await fetch(url)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(name));
  return lines.map((line) => Number(line.split(' ').at(-1)));
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

test('one port has the metrics of all workers, whose counts outlive them', async (t) => {
  const settings = { METRICS_PORT: '0' };
  const { server, url, workers } = await openWorkers(t, await createPlace(t), 2, settings);
  const [, metricsUrl = ''] = await server.says(/Metrics are at (http:[^"]+)"/);
  t.equal(server.messages().filter((message) => /Metrics are at/.test(message)).length, 1);
  const requests = 'doorward_http_request_duration_seconds_count{method="GET",route="/me"';
  t.equal((await answering(server, url, 8)).size, 2);
  t.equal(sum(await scrape(metricsUrl, requests)), 8);
  t.strictSame(await scrape(metricsUrl, 'doorward_database_pool_size'), [20], 'the pools of both');

  // One that is stopped has no time to answer.
  const [frozen = 0, other = 0] = workers;
  process.kill(frozen, 'SIGSTOP');
  t.equal(sum(await scrape(metricsUrl, requests)), 8);
  process.kill(frozen, 'SIGKILL');
  await everyoneServes(server, 3);
  t.equal(sum(await scrape(metricsUrl, requests)), 8);
  t.strictSame(
    await scrape(metricsUrl, 'doorward_database_pool_size'),
    [20],
    'what is no count ends with it',
  );
  t.ok((await answering(server, url, 4)).has(other));
  t.equal(sum(await scrape(metricsUrl, requests)), 12);
  t.equal(await server.end('SIGINT'), 0);
});

test('a primary that is killed leaves no worker behind', async (t) => {
  const { server, workers } = await openWorkers(t, await createPlace(t), 2);
  server.child.kill('SIGKILL');
  await allEnded(workers);
});

test('an error of the primary that nothing caught is logged, and ends all in order', async (t) => {
  const bomb = `process.on('SIGWINCH', () => { throw new Error('nothing catches this'); })`;
  const nodeArgs = ['--import', `data:text/javascript,${encodeURIComponent(bomb)}`];
  const env = { ...(await createPlace(t)), WORKERS: '2', DRAIN_DELAY: '1s' };
  const server = startServer(t, env, { nodeArgs });
  await everyoneServes(server, 2);
  // While a worker waits to be replaced: now it no longer is.
  process.kill(workersOf(server)[1] ?? 0, 'SIGKILL');
  await server.says(/starting another one/);
  t.equal(await server.end('SIGWINCH'), 1);
  const fatal = linesOf(server).filter(({ level }) => level === 60);
  t.match(fatal, [{ pid: server.pid, err: { message: 'nothing catches this' } }]);
  t.equal(workersOf(server).length, 2);
  t.strictSame(workersOf(server).filter(isRunning), []);
});

test('workers that end again and again are replaced more and more slowly; when none serves, all ends', async (t) => {
  const { server } = await openWorkers(t, await createPlace(t), 2);
  const killed = new Set<number>();
  const killAll = () => {
    for (const pid of childrenOf(server.pid)) {
      process.kill(pid, 'SIGKILL');
      killed.add(pid);
    }
  };
  const killing = setInterval(killAll, 5);
  t.teardown(() => clearInterval(killing));
  t.equal(await server.exited, 1);
  const waits = linesOf(server).flatMap(({ msg }) => /another one in (\d+) ms/.exec(msg)?.[1] ?? []);
  t.strictSame([...new Set(waits)], ['200', '400', '800', '1600']);
  const [last] = linesOf(server).slice(-1);
  t.match(last, { level: 60, msg: / ended with SIGKILL, as 4 before it, and no worker serves: giving up$/ });
  t.ok(killed.size <= 10);
});

test('the wait before a replacement doubles up to half a minute, and there is none after a steady worker', async (t) => {
  t.strictSame([0, 1, 2, 8, 9, 1000].map(waitMsOf), [0, 200, 400, 25_600, 30_000, 30_000]);
  t.strictSame(
    [29_999, 30_000, Number.NEGATIVE_INFINITY].map((ms) => failuresAfter(3, ms)),
    [4, 0, 4],
  );
});

test('a signal during the start ends it', async (t) => {
  const server = startWorkers(t, await createPlace(t), 2);
  await eventually(() => {
    if (childrenOf(server.pid).length === 0) throw new Error('there is no worker yet');
  });
  t.equal(await server.end('SIGTERM'), 0);
  t.equal(server.stderr, '');
});

test('a worker that does not end in order is a failure', async (t) => {
  const { server, url, workers } = await openWorkers(t, await createPlace(t), 2, { DRAIN_DELAY: '10m' });
  server.child.kill('SIGTERM');
  await eventually(async () => {
    if ((await fetch(`${url}/health/ready`)).status !== 503) throw new Error('not all of them drain');
  });
  for (const pid of workers) process.kill(pid, 'SIGKILL');
  t.equal(await server.exited, 1);
});

test('what stops a start is said once', async (t) => {
  const place = await createPlace(t);
  await build(t, {}, place);
  const wrongKey = { KEY_ENCRYPTION_KEY: randomBytes(32).toString('hex') };
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const address = other.address();
  const taken = typeof address === 'object' && address ? String(address.port) : '';
  for (const [settings, said] of [
    [wrongKey, /^KEY_ENCRYPTION_KEY does not open signing key .*\n$/],
    [{ PORT: taken }, /^Cannot listen at HOST=127.0.0.1, PORT=\d+: another process listens there.*\n$/],
  ] as const) {
    const server = startWorkers(t, place, 3, settings);
    t.equal(await server.exited, 1);
    t.match(server.stderr, said);
    t.notMatch(server.stdout, /listening|another one/);
  }
});
