/** What the manifests start, started: their commands and settings, on a PostgreSQL and a Redis of the tests. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import { cookiesOf, emptyFolder, postJson } from '../e2e/server-process.ts';
import { createPlace } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { findOrInstall, listens, type Running, start, until } from '../support/gateway-program.ts';
import { buildPackage } from '../support/gateway-world.ts';
import { renderOverlay } from './rendering.ts';
import { makeSecrets, secretData } from './secrets.ts';
import { environmentOf, getWorkload } from './workloads.ts';

const objects = await renderOverlay('services');

/** Writes a Secret as files, as the kubelet does. */
function mount(folder: string, secret: string, data: Record<string, string>): void {
  mkdirSync(join(folder, secret));
  for (const [key, value] of Object.entries(data)) writeFileSync(join(folder, secret, key), value);
}

/** Starts the container of a workload as a process: its command and its variables, with Secrets in this folder. */
function startContainer(t: Test, name: string, folder: string, changes: Record<string, string>): Running {
  const workload = getWorkload(objects, name);
  const [program, ...args] = workload.pod.containers[0]?.command ?? ['node', 'src/server.ts'];
  if (program !== 'node') throw new Error(`${name} starts ${program}`);
  const environment = Object.entries(environmentOf(objects, workload)).map(([key, value]) => [
    key,
    value.replace(/^\/run\/secrets/, folder),
  ]);
  return start(t, process.execPath, args, {
    ...Object.fromEntries(environment),
    ...changes,
    HOST: '127.0.0.1',
  });
}

/** Asks what a probe asks. */
async function probe(name: string, kind: 'startupProbe' | 'livenessProbe' | 'readinessProbe', url: string) {
  const { path = '' } = getWorkload(objects, name).pod.containers[0]?.[kind]?.httpGet ?? {};
  return (await fetch(`${url}${path}`)).status;
}

test('the migration ends well, the server gets ready, and the shop takes its tokens', async (t) => {
  const [place, folder, port, shopPort] = await Promise.all([
    createPlace(t),
    emptyFolder(t),
    freePort(),
    freePort(),
  ]);
  mount(folder, 'doorward', {
    'database-url': place.DATABASE_URL,
    'redis-url': place.REDIS_URL,
    'smtp-url': 'smtp://127.0.0.1:1025',
    'key-encryption-key': `${place.KEY_ENCRYPTION_KEY}\n`,
  });
  const changes = {
    // Other tests run at the same time, on the same Redis and the same machine, which may stall for seconds.
    ...{
      REDIS_KEY_PREFIX: place.REDIS_KEY_PREFIX,
      PORT: String(port),
      METRICS_PORT: '0',
      MAX_EVENT_LOOP_DELAY: '0s',
    },
    // There is no gateway to wait for when the test ends.
    DRAIN_DELAY: '0s',
  };
  for (const time of ['the first time', 'and again']) {
    const migration = startContainer(t, 'doorward-migrate', folder, changes);
    t.equal(await migration.ended, 0, `${time}: ${migration.output()}`);
  }

  const [server] = [startContainer(t, 'doorward', folder, changes), await buildPackage(t)];
  const url = `http://localhost:${port}`;
  await listens(server, port);
  await until(async () => (await probe('doorward', 'readinessProbe', url)) === 200, server.output);
  t.equal(await probe('doorward', 'livenessProbe', url), 200);
  t.equal(await probe('doorward', 'startupProbe', url), 200);

  const shop = startContainer(t, 'shop', folder, { PORT: String(shopPort), DOORWARD_INTERNAL_URL: url });
  const shopUrl = `http://localhost:${shopPort}`;
  await listens(shop, shopPort);
  t.equal(await probe('shop', 'readinessProbe', shopUrl), 200);
  const signedUp = await postJson(`${url}/signup`, {
    email: 'ada@example.com',
    password: 'three birds on a wire',
  });
  const answer = await postJson(`${url}/token`, undefined, cookiesOf(signedUp));
  const { access_token } = (await answer.json()) as { access_token: string };
  const cart = (token: string) => fetch(`${shopUrl}/cart`, { headers: { authorization: `Bearer ${token}` } });
  t.equal((await cart(access_token)).status, 200, shop.output());
  t.equal((await cart(`${access_token}x`)).status, 401);
});

test('the Redis of the dev overlay asks for its password, and forgets the oldest when it is full', async (t) => {
  const folder = await emptyFolder(t);
  const port = await freePort();
  const config = secretData(await makeSecrets(), 'redis');
  mount(folder, 'redis', config);
  const { command = [], args = [] } = getWorkload(objects, 'redis').pod.containers[0] ?? {};
  const [program = '', ...words] = [...command, ...args].map((word) =>
    word.replace(/^\/run\/secrets/, folder),
  );
  t.equal(program, 'redis-server');
  const redisServer = await findOrInstall({ name: 'Redis', binary: program, debianPackage: program });
  await listens(start(t, redisServer, [...words, '--port', String(port), '--dir', folder]), port);

  const connect = (password: string) => new Redis({ port, password, lazyConnect: true, retryStrategy: null });
  const [, password = ''] = /^requirepass (\w+)$/.exec(config['redis.conf'] ?? '') ?? [];
  const redis = connect(password);
  t.teardown(() => redis.disconnect());
  t.equal(await redis.ping(), 'PONG');
  t.same(await redis.config('GET', 'maxmemory-policy'), ['maxmemory-policy', 'allkeys-lru']);
  t.same(await redis.config('GET', 'save'), ['save', '']);
  const stranger = connect('another');
  stranger.on('error', () => {});
  t.teardown(() => stranger.disconnect());
  await t.rejects(stranger.ping());
});
