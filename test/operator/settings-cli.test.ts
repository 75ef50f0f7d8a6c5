import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'tap';
import { emptyFolder, runCommand } from '../e2e/server-process.ts';

/** `doorward settings check`, to its end. */
async function check(t: Parameters<typeof runCommand>[0], env: Record<string, string>, ...options: string[]) {
  const command = runCommand(t, ['settings', 'check', ...options], env);
  const code = await command.exited;
  return { code, stdout: command.stdout, stderr: command.stderr };
}

test('`doorward settings check` ends with 0 when all is well, and leaves nothing behind', async (t) => {
  const folder = await emptyFolder(t);
  t.strictSame(await check(t, { DATA_DIR: join(folder, 'data') }, '--strict'), {
    code: 0,
    stdout: 'The settings are fine.\n',
    stderr: '',
  });
  t.strictSame(await readdir(folder), []);
});

test('it asks no server: those that are not there are no error', async (t) => {
  const nowhere = { DATABASE_URL: 'postgres://db.invalid/doorward', REDIS_URL: 'redis://cache.invalid' };
  const { code } = await check(t, { ...nowhere, KEY_ENCRYPTION_KEY: randomBytes(32).toString('hex') });
  t.equal(code, 0);
});

test('it prints every error and warning, and ends with 1', async (t) => {
  const { code, stdout } = await check(t, { LOG_LEVEL: 'loud', SESSION_TTL: '1', ACCES_TOKEN_TTL: '5m' });
  t.equal(code, 1);
  t.match(stdout, /^error {4}SESSION_TTL: .*\nerror {4}LOG_LEVEL: .*\nwarning {2}ACCES_TOKEN_TTL: .*\n$/);
});

test('warnings alone end it with 1 only with --strict', async (t) => {
  const env = { COOKIE_MODE: 'insecure', AUDIENCE: 'shop' };
  t.equal((await check(t, env)).code, 0);
  t.equal((await check(t, env, '--strict')).code, 1);
});

test('--json is for programs', async (t) => {
  const { code, stdout } = await check(t, { PORT: 'x', AUDIENCE: 'shop' }, '--json');
  t.equal(code, 1);
  const { errors, warnings, ...others } = JSON.parse(stdout);
  t.match(errors, [/^PORT: "x" is not accepted/]);
  t.match(warnings, [/^AUDIENCE: is not a setting/]);
  t.strictSame(others, {});
});
