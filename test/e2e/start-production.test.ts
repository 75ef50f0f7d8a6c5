import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'tap';
import { build, createPlace, newCredentials, runSql } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { emptyFolder, postJson, runCommand, startServer } from './server-process.ts';

test('runs on PostgreSQL and Redis, with secrets from files, and tells no credential', async (t) => {
  const { DATABASE_URL, REDIS_URL, REDIS_KEY_PREFIX, KEY_ENCRYPTION_KEY } = await createPlace(t);
  const folder = await emptyFolder(t);
  const password = randomBytes(12).toString('hex');
  const database = new URL(DATABASE_URL);
  // Trusted connections accept any password.
  if (database.password === '') database.password = password;
  const files = { DATABASE_URL: database.href, REDIS_URL, KEY_ENCRYPTION_KEY };
  const env: Record<string, string> = {
    NODE_ENV: 'production',
    PUBLIC_URL: 'https://auth.example.com',
    REDIS_KEY_PREFIX,
  };
  for (const [name, secret] of Object.entries(files)) {
    env[`${name}_FILE`] = join(folder, name);
    await writeFile(join(folder, name), `${secret}\n`);
  }
  const server = startServer(t, env);
  const url = await server.url();
  t.equal((await postJson(`${url}/signup`, newCredentials())).status, 201);
  await server.says(/Its data is in PostgreSQL at [\w.-]+, Redis at [\w.-]+"/);
  t.equal(await server.end('SIGINT'), 0);
  t.notOk(server.stdout.includes(database.password) || server.stdout.includes(KEY_ENCRYPTION_KEY));
});

test('another KEY_ENCRYPTION_KEY is refused in one clear line', async (t) => {
  const place = await createPlace(t);
  await build(t, {}, place);
  const server = startServer(t, { ...place, KEY_ENCRYPTION_KEY: randomBytes(32).toString('hex') });
  t.equal(await server.exited, 1);
  t.match(server.stderr, /^KEY_ENCRYPTION_KEY does not open signing key [\w-]{43}: .*\n$/);
  t.notMatch(server.stdout, /listening/);
});

test('without a schema it says what to run, and that does it', async (t) => {
  const place = await createPlace(t);
  await runSql(
    place.DATABASE_URL,
    'drop schema public cascade; drop schema drizzle cascade; create schema public',
  );
  const env = { ...place, MIGRATE_ON_START: 'false' };
  const tooEarly = startServer(t, { ...env, STARTUP_TIMEOUT: '0s' });
  t.equal(await tooEarly.exited, 1);
  t.match(tooEarly.stderr, /^PostgreSQL at .*: it has no schema yet\. Run `doorward migrate`, or .*\n$/);

  const migrations = [runCommand(t, ['migrate'], env), runCommand(t, ['migrate'], env)];
  for (const migration of migrations) {
    t.equal(await migration.exited, 0, 'at once, from two places');
    t.match(migration.stdout, /^The schema is up to date: PostgreSQL at [\w.-]+, Redis at [\w.-]+\n$/);
  }
  const server = startServer(t, env);
  t.equal((await fetch(`${await server.url()}/health/ready`)).status, 200);
  t.equal(await server.end('SIGINT'), 0);
});

const nobodyAt = (port: number) =>
  `PostgreSQL at 127.0.0.1:${port} (database "x", no user given): no server accepts connections there. Start PostgreSQL, or correct the host and port in DATABASE_URL (ECONNREFUSED).\n`;

test('`doorward migrate` explains itself when it cannot', async (t) => {
  const place = await createPlace(t);
  const port = await freePort();
  const nowhere = { ...place, DATABASE_URL: `postgres://127.0.0.1:${port}/x` };
  const failed = runCommand(t, ['migrate'], { ...nowhere, STARTUP_TIMEOUT: '0s' });
  t.equal(await failed.exited, 1);
  t.equal(failed.stderr, nobodyAt(port));
});

test('says so when the database does not answer, or has no such user', async (t) => {
  const place = await createPlace(t);
  const port = await freePort();
  const away = { DATABASE_URL: `postgres://127.0.0.1:${port}/x`, STARTUP_TIMEOUT: '0s' };
  const nowhere = startServer(t, { ...place, ...away });
  t.equal(await nowhere.exited, 1);
  t.equal(nowhere.stderr, nobodyAt(port));

  const missing = new URL(place.DATABASE_URL);
  missing.pathname = '/doorward_no_such_database';
  const refused = startServer(t, { ...place, DATABASE_URL: missing.href });
  t.equal(await refused.exited, 1);
  t.match(
    refused.stderr,
    /^PostgreSQL at .* \(database "doorward_no_such_database", user "\w+"\): there is no such database\. .* \(3D000\)\.\n$/,
  );
  const stranger = new URL(place.DATABASE_URL);
  stranger.username = 'doorward_no_such_user';
  stranger.password = randomBytes(12).toString('hex');
  const unknown = startServer(t, { ...place, DATABASE_URL: stranger.href });
  t.equal(await unknown.exited, 1);
  t.match(
    unknown.stderr,
    /^PostgreSQL at .*, user "doorward_no_such_user"\): .*no such user.* \(28\w+\)\.\n$/,
  );
  t.notMatch(unknown.stderr, stranger.password);
});

test('starts without Redis, which may come later', async (t) => {
  const place = await createPlace(t);
  const port = await freePort();
  const away = { REDIS_URL: `redis://127.0.0.1:${port}`, STARTUP_TIMEOUT: '0s' };
  const server = startServer(t, { ...place, ...away });
  await server.says(
    new RegExp(`Redis at 127.0.0.1:${port}: no server accepts connections there.*Starting without Redis`),
  );
  const ready = await fetch(`${await server.url()}/health/ready`);
  t.equal(ready.status, 200);
  t.match(await ready.json(), { status: 'degraded' });
  t.equal(await server.end('SIGINT'), 0);
});

test('names the port that is taken', async (t) => {
  const place = await createPlace(t);
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const address = other.address();
  const port = typeof address === 'object' && address ? String(address.port) : '';
  const server = startServer(t, { ...place, PORT: port });
  t.equal(await server.exited, 1);
  t.match(
    server.stderr,
    new RegExp(
      `^Cannot listen at HOST=127.0.0.1, PORT=${port}: another process listens there.*PORT to another port .EADDRINUSE.*\\n$`,
    ),
  );
});

test('says that HOST is no address of this machine, or no name', async (t) => {
  const place = await createPlace(t);
  for (const [HOST, cause] of [
    ['192.0.2.1', 'this machine has no such address'],
    ['no.such.invalid', 'no address is known for this name'],
  ] as const) {
    const server = startServer(t, { ...place, HOST });
    t.equal(await server.exited, 1);
    t.match(server.stderr, new RegExp(`^Cannot listen at HOST=${HOST}, PORT=0: ${cause}.*\\n$`));
  }
});

test('settings that protect less, and misspelt ones, are said loudly', async (t) => {
  const place = await createPlace(t);
  const server = startServer(t, {
    ...place,
    COOKIE_MODE: 'insecure',
    CLIENT_ASSERTION_AUDIENCE: 'endpoint',
    ACCES_TOKEN_TTL: '5m',
  });
  await server.url();
  await server.says(/COOKIE_MODE=insecure/);
  await server.says(/CLIENT_ASSERTION_AUDIENCE=endpoint/);
  await server.says(/ACCES_TOKEN_TTL: .*did you mean ACCESS_TOKEN_TTL/);
  await server.says(/SMTP_URL is not set, so no mails are sent/);
  const levels = server.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).level);
  t.strictSame(levels, [30, 30, 40, 40, 40, 40]);
  t.equal(await server.end('SIGINT'), 0);
});
