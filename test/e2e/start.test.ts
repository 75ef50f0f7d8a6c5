import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'tap';
import { newCredentials } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { cookiesOf, emptyFolder, postJson, runCommand, startServer } from './server-process.ts';

test('starts in an empty folder, keeps its data there, and shares it with nobody', async (t) => {
  const cwd = await emptyFolder(t);
  const port = String(await freePort());
  const first = startServer(t, { PORT: port }, { cwd });
  const url = await first.url();
  t.equal(url, `http://127.0.0.1:${port}`);
  await first.says(/Its data is in/);
  t.strictSame(first.messages(), [
    'Making a new database in ./data: this takes a few seconds, and only once',
    `Doorward is at http://localhost:${port}, listening on ${url}`,
    'Its data is in ./data',
  ]);
  t.equal(first.stderr, '');

  const credentials = newCredentials();
  const signedUp = await postJson(`http://localhost:${port}/signup`, credentials);
  t.equal(signedUp.status, 201);
  const cookie = cookiesOf(signedUp);
  t.equal((await postJson(`${url}/token`, undefined, cookie)).status, 200);
  const jwks = await (await fetch(`${url}/.well-known/jwks.json`)).text();

  const folder = join(cwd, 'data');
  t.equal((await stat(join(folder, 'key-encryption-key'))).mode & 0o777, 0o600);
  t.equal((await stat(folder)).mode & 0o777, 0o700);

  const second = startServer(t, {}, { cwd });
  t.equal(await second.exited, 1);
  t.equal(second.stdout, '');
  t.match(
    second.stderr,
    new RegExp(`^\\./data is in use by another Doorward \\(process ${first.pid}\\): .*\\n$`),
  );
  t.equal((await postJson(`${url}/token`, undefined, cookie)).status, 200, 'which does the first no harm');

  t.equal(await first.end('SIGINT'), 0);
  const again = startServer(t, { DATA_DIR: folder, PORT: port });
  t.equal(await again.url(), url);
  t.equal(await (await fetch(`${url}/.well-known/jwks.json`)).text(), jwks);
  t.equal((await postJson(`${url}/token`, undefined, cookie)).status, 200);
  t.equal((await postJson(`${url}/login`, credentials)).status, 200);
  t.equal(await again.end('SIGINT'), 0);
});

test('`doorward` alone starts the server', async (t) => {
  const DATA_DIR = await emptyFolder(t);
  const server = runCommand(t, [], { DATA_DIR });
  const url = await server.url();
  t.equal((await fetch(`${url}/health/ready`)).status, 200);
  t.equal(await server.end('SIGINT'), 0);
});

test('a bad environment is told whole before anything else is done', async (t) => {
  const cwd = await emptyFolder(t);
  const server = startServer(
    t,
    { PORT: 'x', SESSION_TTL: '1 month', LOG_LEVEL: 'loud', EMBEDDED: '1' },
    { cwd },
  );
  t.equal(await server.exited, 1);
  t.equal(server.stdout, '');
  const [heading, ...problems] = server.stderr.trimEnd().split('\n');
  t.equal(heading, 'These settings cannot be used:');
  t.strictSame(problems.map((line) => line.split(':')[0]).sort(), [
    'EMBEDDED',
    'LOG_LEVEL',
    'PORT',
    'SESSION_TTL',
  ]);
  t.strictSame(await readdir(cwd), []);
});

test('production wants its database named, or EMBEDDED', async (t) => {
  const cwd = await emptyFolder(t);
  const env = { NODE_ENV: 'production', PUBLIC_URL: 'https://auth.example.com' };
  const server = startServer(t, env, { cwd });
  t.equal(await server.exited, 1);
  t.match(server.stderr, /^DATABASE_URL: is required, with REDIS_URL, unless EMBEDDED=true$/m);
  t.strictSame(await readdir(cwd), []);
});

test('`doorward migrate` works on an embedded database', async (t) => {
  const DATA_DIR = await emptyFolder(t);
  const migration = runCommand(t, ['migrate'], { DATA_DIR });
  t.equal(await migration.exited, 0);
  t.equal(migration.stdout, `The schema is up to date: ${DATA_DIR}\n`);
});
