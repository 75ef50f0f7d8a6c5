import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { readMigrations } from '../../src/db/migrations.ts';
import { cookiesOf, postJson, runCommand, startServer } from '../e2e/server-process.ts';
import { newCredentials } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { shortFolder } from '../support/processes.ts';
import { unpackPreviousRelease } from './previous-release.ts';

test('data of the release before opens, backed up first, and goes back to that release from the backup', async (t) => {
  const DATA_DIR = shortFolder(t);
  const env = { DATA_DIR, PORT: String(await freePort()), NODE_ENV: 'development' };
  const previous = unpackPreviousRelease(t);
  const older = previous.start(t, env);
  const url = await older.url();
  const user = newCredentials();
  const cookie = cookiesOf(await postJson(`${url}/signup`, user));
  const token = async () => (await postJson(`${url}/token`, undefined, cookie)).status;
  t.equal(await token(), 200);
  t.equal(await older.end('SIGINT'), 0);

  const dryRun = runCommand(t, ['migrate', '--dry-run', '--json'], env);
  t.equal(await dryRun.exited, 0, dryRun.stderr);
  const pending = readMigrations().slice(previous.migrations.length);
  t.match(
    JSON.parse(dryRun.stdout),
    pending.map(({ name }) => ({ name })),
  );
  t.notOk(existsSync(join(DATA_DIR, 'backups')), 'which changes nothing');

  const server = startServer(t, env);
  t.equal(await server.url(), url);
  const backup = join(DATA_DIR, 'backups', `before-${pending[0]?.name}.backup`);
  t.equal(server.messages()[0], `The data was backed up before it is migrated: ${backup}`);
  t.equal(await token(), 200, 'the session goes on');
  t.equal((await postJson(`${url}/login`, user)).status, 200);
  t.equal(await server.end('SIGINT'), 0);

  const restore = runCommand(t, ['restore', backup, '--replace', '--keep-sessions'], env);
  t.equal(await restore.exited, 0, restore.stderr);
  const back = previous.start(t, env);
  t.equal(await back.url(), url);
  t.equal(await token(), 200);
  t.equal(await back.end('SIGINT'), 0);
});
