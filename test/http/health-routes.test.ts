import { mock } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Fastify, { type FastifyInstance } from 'fastify';
import { test } from 'tap';
import { healthRoutes, type Lifecycle } from '../../src/http/health-routes.ts';
import { build, buildEmbedded, createPlace, createWire } from '../helper.ts';
import { eventually } from '../support/adapters.ts';

const PROBE_EVERY_MS = 1_000;

/** The first call may come before the connection to Redis is open: a replica does not wait for it. */
function onceWell(app: FastifyInstance) {
  return eventually(async () => {
    const response = await app.inject('/health/ready');
    if (response.json().status !== 'ok') throw new Error(`still ${response.body}`);
    return response;
  });
}

test('is alive, and ready on both kinds of adapters', async (t) => {
  for (const start of [build, buildEmbedded]) {
    const { app } = await start(t);
    t.strictSame((await app.inject('/health/live')).json(), { status: 'ok' });
    const ready = await onceWell(app);
    t.equal(ready.statusCode, 200);
    t.strictSame(ready.json(), { status: 'ok', database: 'ok', cache: 'ok' });
  }
});

test('one lost part alone is degraded and still ready; both lost are not', async (t) => {
  const place = await createPlace(t);
  const [database, redis] = [await createWire(t, place.DATABASE_URL), await createWire(t, place.REDIS_URL)];
  const { app, advance } = await build(t, { DATABASE_URL: database.url, REDIS_URL: redis.url }, place);
  const ready = async () => {
    await advance(PROBE_EVERY_MS);
    const response = await app.inject('/health/ready');
    return [response.statusCode, ...Object.values(response.json())];
  };
  await onceWell(app);
  redis.cut();
  t.strictSame(await ready(), [200, 'degraded', 'ok', 'down']);
  database.cut();
  t.strictSame(await ready(), [503, 'unavailable', 'down', 'down']);
  t.equal((await app.inject('/health/live')).statusCode, 200, 'which is no reason to kill it');
});

test('a part that does not answer is down after a second', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const app = Fastify();
  const lifecycle: Lifecycle = { state: 'running' };
  const pingDatabase = () => new Promise(() => {});
  await app.register(healthRoutes, { lifecycle, pingDatabase, pingCache: async () => {}, now: () => 0 });
  await app.ready();
  const answers: unknown[] = [];
  void app.inject('/health/ready').then((response) => answers.push(response.json()));
  for (const [ms, expected] of [
    [999, []],
    [1, [{ status: 'degraded', database: 'down', cache: 'ok' }]],
  ] as const) {
    await settled();
    mock.timers.tick(ms);
    await settled();
    t.strictSame(answers, expected);
  }
});

/** More turns of the event loop than a request through Fastify takes. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await nextTurn();
}

test('so is a database that is frozen', async (t) => {
  const place = await createPlace(t);
  const database = await createWire(t, place.DATABASE_URL);
  const { app, advance } = await build(t, { DATABASE_URL: database.url }, place);
  await onceWell(app);
  database.freeze();
  await advance(PROBE_EVERY_MS);
  const response = await app.inject('/health/ready');
  t.strictSame(response.json(), { status: 'degraded', database: 'down', cache: 'ok' });
});

test('any number of askers cost one probe a second, and learn of a change within that second', async (t) => {
  const app = Fastify();
  t.teardown(() => app.close());
  const lifecycle: Lifecycle = { state: 'running' };
  const clock = { nowMs: 0 };
  const pings = { database: 0, cache: 0 };
  let isDown = false;
  await app.register(healthRoutes, {
    lifecycle,
    now: () => clock.nowMs,
    pingDatabase: async () => {
      pings.database += 1;
      if (isDown) throw new Error('no answer');
    },
    pingCache: async () => {
      pings.cache += 1;
    },
  });
  const ask = async () => (await app.inject('/health/ready')).json().status;
  const askAtOnce = async () => [...new Set(await Promise.all(Array.from({ length: 60 }, ask)))];
  t.same([await askAtOnce(), pings], [['ok'], { database: 1, cache: 1 }]);
  isDown = true;
  clock.nowMs += PROBE_EVERY_MS - 1;
  t.same([await askAtOnce(), pings], [['ok'], { database: 1, cache: 1 }]);
  clock.nowMs += 1;
  t.same([await askAtOnce(), pings], [['degraded'], { database: 2, cache: 2 }]);
  isDown = false;
  lifecycle.state = 'draining';
  t.same([await askAtOnce(), pings], [['draining'], { database: 2, cache: 2 }], 'that one counts at once');
});

test('draining is not ready, though everything works, and connections are to be closed', async (t) => {
  const { app, lifecycle } = await build(t);
  await onceWell(app);
  lifecycle.state = 'draining';
  const ready = await app.inject('/health/ready');
  t.equal(ready.statusCode, 503);
  t.strictSame(ready.json(), { status: 'draining', database: 'ok', cache: 'ok' });
  t.equal(ready.headers.connection, 'close');
  const live = await app.inject('/health/live');
  t.equal(live.statusCode, 200);
  t.equal(live.headers.connection, 'close');
});

test('an everyday probe leaves a line for debugging, and no other', async (t) => {
  const { app, log } = await build(t);
  const before = log();
  await app.inject('/health/live');
  await app.inject('/health/ready');
  const lines = log().slice(before.length).trim().split('\n');
  t.same(
    lines.map((line) => JSON.parse(line).level),
    [20, 20],
  );
});
