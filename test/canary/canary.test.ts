import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import { DATABASE_FOLDER } from '../../src/adapters/data-folder.ts';
import { openPGliteFolder } from '../../src/adapters/pglite-folder.ts';
import { loadConfig } from '../../src/config/config.ts';
import { startServer, type TestProcess } from '../e2e/server-process.ts';
import { createPlace, createWire, quickSettings, runSql } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { type Collector, startCollector } from '../support/otlp-collector.ts';
import { shortFolder } from '../support/processes.ts';
import { startRedis } from '../support/servers.ts';
import { catchWebhooks, newWebhookSecret } from '../support/webhook-catcher.ts';
import { intrude } from './intruder.ts';
import { addClients, createMember, type Member } from './member.ts';
import { documented, listRoutes, type Route, usesOf } from './routes.ts';
import { createSecrets, type Secrets } from './secrets.ts';
import { Wire } from './wire.ts';

type Fault = Awaited<ReturnType<typeof createWire>>;
type Clients = Awaited<ReturnType<typeof addClients>>;

/** Where a secret could come out, and all that is there at the end. */
type Place = { name: string; read(): string | Promise<string> };

/** None of the secrets may be anywhere but where it belongs, in whatever form. */
async function holdsNoSecret(t: Test, secrets: Secrets, places: Place[]): Promise<void> {
  for (const { name, read } of places) {
    const text = await read();
    t.ok(text.length > 0 || name === 'the standard error', `${name} was read`);
    t.strictSame(secrets.leaksIn(name, text), [], name);
  }
}

function outputOf(server: TestProcess, collector: Collector): Place[] {
  return [
    { name: 'the log', read: () => server.stdout },
    { name: 'the standard error', read: () => server.stderr },
    { name: 'the traces', read: collector.payload },
  ];
}

async function metricsOf(server: TestProcess): Promise<string> {
  const [, url = ''] = await server.says(/Metrics are at (http:[^"]+)"/);
  return (await fetch(url, { headers: { accept: 'application/openmetrics-text' } })).text();
}

/** Uses all routes, and says nothing of those that fail: one of the parts is broken. */
async function tryAll(member: Member): Promise<void> {
  await Promise.allSettled(Object.values(member.uses).map((use) => use()));
}

const dumpStatement = `select string_agg(query_to_xml(format('select t::text from %I.%I t', table_schema, table_name), true, true, '')::text, '')
  as dump from information_schema.tables where table_schema in ('public', 'drizzle')`;

/** A Redis of its own with a password, and everything that it is ever told. */
async function openRedis(t: Test, secrets: Secrets) {
  const server = await startRedis();
  t.teardown(() => server.stop());
  const password = secrets.make('the password of Redis');
  const admin = new Redis(server.url);
  t.teardown(() => admin.disconnect());
  await admin.config('SET', 'requirepass', password);
  const commands: string[] = [];
  const opener = new Redis(server.url, { password });
  const monitor = await opener.monitor();
  opener.disconnect();
  t.teardown(() => monitor.disconnect());
  monitor.on('monitor', (_time: string, args: string[]) => void commands.push(args.join(' ')));
  const url = new URL(server.url);
  url.password = password;
  const read = async () => {
    const keys = await admin.keys('*');
    const values = await Promise.all(keys.map((key) => admin.get(key)));
    return [...keys, ...values, ...commands].join('\n');
  };
  return { url: url.href, read };
}

/** More sign-ins at once than may wait for a hash. */
async function flood(wire: Wire, secrets: Secrets, clients: Clients): Promise<void> {
  await Promise.all(
    Array.from({ length: 60 }, () =>
      createMember(wire, secrets, clients)
        .uses['POST /signup']?.()
        .catch(() => {}),
    ),
  );
}

type Scene = { wire: Wire; secrets: Secrets; member: Member; routes: Route[] };

/** Cuts off and freezes each part, and both, and meanwhile sends whatever there is. */
async function breakParts(
  [database, cache]: [Fault, Fault],
  { wire, secrets, member, routes }: Scene,
): Promise<void> {
  for (const faulty of [[cache], [database], [cache, database]]) {
    for (const trouble of ['cut', 'freeze'] as const) {
      secrets.renew();
      // A call that began before the mend may still be without an answer, and fail after it.
      await eventually(async () => member.uses['POST /login']?.());
      for (const one of faulty) one[trouble]();
      await tryAll(member);
      await intrude(wire, secrets, documented(routes));
      for (const one of faulty) one.mend();
      await eventually(async () => {
        const { body } = await wire.send({ method: 'GET', path: '/health/ready' });
        if (JSON.parse(body).status !== 'ok') throw new Error(body);
      });
      await eventually(async () => member.uses['POST /login']?.());
    }
  }
}

test('no secret leaves a server on PostgreSQL and Redis, whatever is sent and whatever breaks', async (t) => {
  const secrets = createSecrets();
  const routes = await listRoutes(t);
  const redis = await openRedis(t, secrets);
  const { DATABASE_URL, REDIS_KEY_PREFIX } = await createPlace(t);
  const direct = new URL(DATABASE_URL);
  // A server that trusts connections takes any password.
  direct.password ||= secrets.make('the password of the database');
  const [database, cache] = [await createWire(t, direct.href), await createWire(t, redis.url)];
  const KEY_ENCRYPTION_KEY = secrets.keep('the key-encryption key', randomBytes(32).toString('base64url'));
  const env = {
    KEY_ENCRYPTION_KEY,
    REDIS_KEY_PREFIX,
    DATABASE_URL: database.url,
    REDIS_URL: cache.url,
    AUDIENCES: 'payments',
    PUBLIC_URL: 'http://localhost:3000',
  };
  const collector = await startCollector(t);
  const webhooks = await catchWebhooks(t, secrets.keep('the secret of the webhooks', newWebhookSecret()));
  const hook = secrets.make('the key in the URL of the webhooks');
  const told = {
    EVENTS_WEBHOOK_URL: `${webhooks.url}&secret=${hook}`,
    EVENTS_WEBHOOK_SECRET: webhooks.secret,
    EVENTS_WEBHOOK_TYPES: '*',
  };
  const watched = { LOG_LEVEL: 'trace', METRICS_PORT: '0', OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
  const server = startServer(t, { ...env, ...watched, ...told });
  const wire = new Wire(t, await server.url());
  const clients = await addClients(loadConfig({ ...quickSettings, ...env }), secrets);
  const member = createMember(wire, secrets, clients);

  t.strictSame(Object.keys(member.uses).sort(), usesOf(routes).sort(), 'each route is used');
  await member.doAll();
  await intrude(wire, secrets, routes);
  const [user] = await runSql<{ password_hash: string }>(DATABASE_URL, 'select password_hash from users');
  secrets.keep('the hash of a password', user?.password_hash.split('$').at(-1) ?? '', {
    mayBeIn: ['the database'],
  });

  await flood(wire, secrets, clients);
  await breakParts([database, cache], { wire, secrets, member, routes });
  await runSql(
    DATABASE_URL,
    `alter table users add constraint no_users check (password_hash = '') not valid;
     alter table sessions drop column user_agent; alter table spent_tokens drop column client_id`,
  );
  await tryAll(member);
  await tryAll(createMember(wire, secrets, clients));
  await intrude(wire, secrets, documented(routes));

  const seen = [200, 201, 204, 400, 401, 403, 404, 409, 413, 414, 415, 431, 500, 503];
  t.strictSame(
    seen.filter((status) => !wire.statuses.has(status)),
    [],
    'each outcome was there',
  );
  const metrics = await metricsOf(server);
  // At its end it sends the last traces.
  t.equal(await server.end('SIGINT'), 0);
  await holdsNoSecret(t, secrets, [
    ...outputOf(server, collector),
    { name: 'an answer', read: () => wire.answers },
    { name: 'the metrics', read: () => metrics },
    { name: 'a webhook', read: () => webhooks.requests.map(({ body }) => body).join('\n') },
    { name: 'Redis', read: redis.read },
    {
      name: 'the database',
      read: async () => (await runSql<{ dump: string }>(DATABASE_URL, dumpStatement))[0]?.dump ?? '',
    },
  ]);
});

test('nor an embedded server, one that limits its callers included', async (t) => {
  const secrets = createSecrets();
  const routes = await listRoutes(t);
  const env = {
    EMBEDDED: 'true',
    DATA_DIR: shortFolder(t),
    AUDIENCES: 'payments',
    PUBLIC_URL: 'http://localhost:3000',
    DATABASE_URL: '',
    REDIS_URL: '',
  };
  const collector = await startCollector(t);
  const server = startServer(t, {
    ...env,
    LOG_LEVEL: 'trace',
    METRICS_PORT: '0',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    CREDENTIAL_RATE_LIMIT: '30',
  });
  const wire = new Wire(t, await server.url());
  // Commands are taken from then on.
  await server.says(/Its data is in/);
  const member = createMember(
    wire,
    secrets,
    await addClients(loadConfig({ ...quickSettings, ...env }), secrets),
  );
  await member.doAll();
  await intrude(wire, secrets, routes);
  t.ok(wire.statuses.has(429));
  const metrics = await metricsOf(server);
  const places = [
    ...outputOf(server, collector),
    { name: 'an answer', read: () => wire.answers },
    { name: 'the metrics', read: () => metrics },
  ];
  t.equal(await server.end('SIGINT'), 0);
  const database = await openPGliteFolder(join(env.DATA_DIR, DATABASE_FOLDER));
  const { rows } = await database.query<{ dump: string }>(dumpStatement);
  await database.close();
  await holdsNoSecret(t, secrets, [...places, { name: 'the database', read: () => rows[0]?.dump ?? '' }]);
});
