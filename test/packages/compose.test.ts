import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import Type from 'typebox';
import Value from 'typebox/value';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/config.ts';
import { build, createPlace, signUp } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { findOrInstall } from '../support/gateway-program.ts';
import { readDockerfile } from '../support/image/dockerfile.ts';

const run = promisify(execFile);

const strict = { additionalProperties: false };
const words = Type.Array(Type.String());
const texts = Type.Record(Type.String(), Type.String());
const condition = Type.Union([
  Type.Literal('service_healthy'),
  Type.Literal('service_completed_successfully'),
]);

/** The part of the Compose Specification that we use. A misspelt key is one that is not here. */
const Service = Type.Object(
  {
    image: Type.String({ pattern: '^[a-z/-]+(:v?\\d+\\.\\d+[\\w.-]*)?$' }),
    build: Type.Optional(Type.Object({ context: Type.Literal('.'), target: Type.String() }, strict)),
    command: Type.Optional(words),
    user: Type.Optional(Type.String({ pattern: '^\\d+:\\d+$' })),
    environment: Type.Optional(texts),
    volumes: Type.Optional(words),
    tmpfs: Type.Optional(words),
    ports: Type.Optional(Type.Array(Type.String({ pattern: '^127\\.0\\.0\\.1:\\d+:\\d+$' }))),
    networks: Type.Optional(
      Type.Union([words, Type.Record(Type.String(), Type.Object({ ipv4_address: Type.String() }, strict))]),
    ),
    network_mode: Type.Optional(Type.Literal('none')),
    depends_on: Type.Optional(Type.Record(Type.String(), Type.Object({ condition }, strict))),
    healthcheck: Type.Optional(
      Type.Object(
        { test: words, interval: Type.String(), timeout: Type.String(), retries: Type.Integer() },
        strict,
      ),
    ),
    deploy: Type.Optional(Type.Object({ replicas: Type.Integer() }, strict)),
    restart: Type.Optional(Type.Literal('unless-stopped')),
    stop_grace_period: Type.Optional(Type.String()),
    read_only: Type.Optional(Type.Literal(true)),
    cap_drop: Type.Optional(Type.Tuple([Type.Literal('ALL')])),
    cap_add: Type.Optional(words),
    security_opt: Type.Tuple([Type.Literal('no-new-privileges:true')]),
  },
  strict,
);
const Compose = Type.Object({
  services: Type.Record(Type.String(), Service),
  networks: Type.Record(Type.String(), Type.Unknown()),
  volumes: Type.Record(Type.String(), Type.Null()),
});

const text = readFileSync('docker-compose.yml', 'utf8');
const compose = Value.Parse(Compose, parse(text, { merge: true }));
const services = Object.entries(compose.services);
const ourImages = ['doorward', 'doorward-examples', 'doorward-gateway'];

test('a misspelt key of a service is found out', async (t) => {
  const misspelt = parse(text.replace('healthcheck:', 'heathcheck:'), { merge: true });
  t.notOk(Value.Check(Compose, misspelt));
});

test('our images come from stages of the Dockerfile, and others have exact versions', async (t) => {
  const stages = readDockerfile('Dockerfile').stages.map(({ name }) => name);
  for (const [name, { image, build }] of services) {
    if (ourImages.includes(image)) t.ok(stages.includes(build?.target ?? ''), name);
    else t.match(image, /:v?\d+\.\d+/, name);
  }
  t.match(compose.services.postgres?.image, /^postgres:18\./);
});

test('every file, volume, network and service that is named exists', async (t) => {
  const used = new Set<string>();
  for (const [name, { volumes = [], networks = [], command = [], depends_on = {} }] of services) {
    for (const mount of volumes) {
      const [source = ''] = mount.split(':');
      if (source.startsWith('.')) t.ok(existsSync(source), `${name}: ${source}`);
      else t.ok(source in compose.volumes, `${name}: ${source}`);
      used.add(source);
    }
    for (const network of Array.isArray(networks) ? networks : Object.keys(networks))
      t.ok(network in compose.networks, `${name}: ${network}`);
    for (const other of Object.keys(depends_on)) t.ok(other in compose.services, `${name}: ${other}`);
    for (const path of command.filter((word) => word.endsWith('.js'))) t.ok(existsSync(path), path);
  }
  t.strictSame(
    Object.keys(compose.volumes).filter((volume) => !used.has(volume)),
    [],
    'no volume is left over',
  );
});

test('services start in an order, each when the one before is healthy or done', async (t) => {
  const depths = new Map<string, number>();
  const depthOf = (name: string, path: string[] = []): number => {
    if (path.includes(name)) throw new Error(`a circle: ${[...path, name].join(' ')}`);
    const before = Object.keys(compose.services[name]?.depends_on ?? {});
    const depth = 1 + Math.max(0, ...before.map((other) => depthOf(other, [...path, name])));
    depths.set(name, depth);
    return depth;
  };
  for (const [name, { depends_on = {} }] of services) {
    depthOf(name);
    for (const [other, { condition }] of Object.entries(depends_on)) {
      const { healthcheck, restart } = compose.services[other] ?? {};
      if (condition === 'service_healthy') t.ok(healthcheck, `${other} says whether it is healthy`);
      else t.equal(restart, undefined, `${other} ends`);
    }
  }
  const order = ['secrets', 'postgres', 'migrate', 'doorward', 'register', 'payments', 'gateway'];
  const inOrder = order.toSorted((a, b) => (depths.get(a) ?? 0) - (depths.get(b) ?? 0));
  t.strictSame(inOrder, order);
  t.equal(compose.services.doorward?.deploy?.replicas, 2);
});

test('our own services can write nothing and have no rights to spare', async (t) => {
  for (const [name, { image, read_only, cap_drop, user }] of services) {
    if (!ourImages.includes(image)) continue;
    t.equal(read_only, true, name);
    t.strictSame(cap_drop, ['ALL'], name);
    if (image !== 'doorward-gateway') t.equal(user, name === 'secrets' ? '0:0' : undefined, name);
  }
});

test('the settings of Doorward are ones that it knows, and it may start with them', async (t) => {
  const { environment = {} } = compose.services.doorward ?? {};
  const folder = await makeSecrets(t);
  const settings = Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      value.replace('/secrets', join(folder, 'doorward')),
    ]),
  );
  const config = loadConfig({ NODE_ENV: 'production', ...settings });
  t.match(config, { MIGRATE_ON_START: false, EMBEDDED: false, PATH_PREFIX: '/auth' });
  const check = ['src/cli.ts', 'settings', 'check', '--strict'];
  const env = { PATH: process.env.PATH, NODE_ENV: 'production', ...settings };
  await t.resolves(run(process.execPath, check, { env }));
});

/** What `secrets` makes, in a folder that is gone when the test ends. */
async function makeSecrets(t: Test): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-compose-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  // Other users must get to their files in it.
  chmodSync(folder, 0o755);
  await run(process.execPath, ['examples/demo/make-secrets.js', folder]);
  return folder;
}

test('no secret is in the file: they are made at the first start, stay, and belong to their readers alone', async (t) => {
  t.notMatch(text, /PASSWORD:|KEY:|SECRET:|requirepass|:\/\/[^/\s]*:[^/\s]*@/);
  const folder = await makeSecrets(t);
  const read = () =>
    globSync('*/*', { cwd: folder })
      .sort()
      .map((path) => [path, readFileSync(join(folder, path), 'utf8')]);
  const made = read();
  t.strictSame(
    made.map(([path]) => path),
    [
      'doorward/database-url',
      'doorward/key-encryption-key',
      'doorward/redis-url',
      'postgres/password',
      'redis/password',
      'redis/redis.conf',
    ],
  );
  for (const path of globSync('**', { cwd: folder }).filter((one) => one !== '.')) {
    const { mode, uid } = statSync(join(folder, path));
    t.equal(mode & 0o077, 0, `${path} is for one user`);
    t.equal(uid, path.startsWith('postgres') ? 0 : 1000, path);
  }
  await run(process.execPath, ['examples/demo/make-secrets.js', folder]);
  t.strictSame(read(), made, 'a second start changes nothing');
  const other = await makeSecrets(t);
  for (const [path = '', secret] of made) t.not(readFileSync(join(other, path), 'utf8'), secret, path);
});

/** The real Redis with the command line of the service, on another port, as the user of the service. */
async function startComposedRedis(t: Test, secrets: string): Promise<number> {
  const program = { name: 'Redis', binary: 'redis-server', debianPackage: 'redis-server' };
  const binary = await findOrInstall(program);
  const { command = [], user = '' } = compose.services.redis ?? {};
  const [uid = Number.NaN, gid = Number.NaN] = user.split(':').map(Number);
  const port = await freePort();
  const args = command.slice(1).map((word) => word.replace('/secrets', join(secrets, 'redis')));
  // In a folder in which it may not write.
  const options = {
    uid,
    gid,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'],
  };
  const redis = spawn(binary, [...args, '--port', String(port), '--bind', '127.0.0.1'], options);
  const ended = once(redis, 'exit');
  t.teardown(async () => {
    redis.kill('SIGKILL');
    await ended;
  });
  for await (const line of createInterface(redis.stdout)) {
    if (line.includes('Ready to accept connections')) return port;
  }
  throw new Error('Redis has ended');
}

test('Redis takes its command line, refuses whoever has no password, and holds nothing for ever', async (t) => {
  const secrets = await makeSecrets(t);
  const port = await startComposedRedis(t, secrets);
  const stranger = new Redis(port, { lazyConnect: true, retryStrategy: () => null });
  stranger.on('error', () => {});
  t.teardown(() => stranger.disconnect());
  await t.rejects(stranger.get('any'), /NOAUTH/);

  const url = readFileSync(join(secrets, 'doorward/redis-url'), 'utf8');
  t.match(url, /@redis$/);
  const REDIS_URL = url.replace(/@redis$/, `@127.0.0.1:${port}`);
  const redis = new Redis(REDIS_URL);
  t.teardown(() => redis.disconnect());
  for (const [name, value] of Object.entries({
    'maxmemory-policy': 'allkeys-lru',
    maxmemory: `${64 * 2 ** 20}`,
    save: '',
  }))
    t.strictSame(await redis.config('GET', name), [name, value]);

  const { app } = await build(t, { CREDENTIAL_RATE_LIMIT: '30' }, { ...(await createPlace(t)), REDIS_URL });
  const { cookie } = await signUp(app);
  t.equal((await app.inject({ method: 'POST', url: '/token', headers: { cookie } })).statusCode, 200);
  t.equal((await app.inject({ method: 'POST', url: '/logout', headers: { cookie } })).statusCode, 204);
  const keys = await redis.keys('*');
  t.ok(keys.length >= 2, `${keys.length} keys`);
  for (const key of keys) t.ok((await redis.pttl(key)) > 0, 'has a time to live');
});

test('the health check of Redis asks with the password, and fails with another one', async (t) => {
  const secrets = await makeSecrets(t);
  const port = await startComposedRedis(t, secrets);
  const [, ...command] = compose.services.redis?.healthcheck?.test ?? [];
  const check = (folder: string) => {
    const here = command.map((word) =>
      word
        .replaceAll('$$', '$')
        .replace('/secrets', join(folder, 'redis'))
        .replace('redis-cli', `redis-cli -p ${port}`),
    );
    const [program = '', ...args] = here;
    return run(program, args);
  };
  await t.resolves(check(secrets));
  await t.rejects(check(await makeSecrets(t)));
});
