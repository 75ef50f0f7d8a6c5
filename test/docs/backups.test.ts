import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { cookiesOf, postJson, startServer } from '../e2e/server-process.ts';
import { createPlace, newCredentials, quickSettings } from '../helper.ts';
import { emptySchemas } from '../support/database-roles.ts';
import { snippets } from './pages.ts';

const PAGE = 'docs/backups.md';
/** Of PostgreSQL, where Debian has it; the newest first. */
const TOOLS = globSync('/usr/lib/postgresql/*/bin').toSorted().toReversed();

t.setTimeout(300_000);

const user = newCredentials();

/** Ada signs up, and out again after `between`. @returns her cookie */
async function visit(url: string, between: () => Promise<void>): Promise<string> {
  const signUp = await postJson(`${url}/signup`, user);
  t.equal(signUp.status, 201);
  const cookie = cookiesOf(signUp);
  await between();
  t.equal((await postJson(`${url}/logout`, undefined, cookie)).status, 204);
  return cookie;
}

async function expectSignedOut(url: string, cookie: string): Promise<void> {
  t.equal((await postJson(`${url}/token`, undefined, cookie)).status, 404);
  t.equal((await postJson(`${url}/login`, user)).status, 200);
}

t.test('the commands for PostgreSQL, in their order, bring back all users and no session', async (t) => {
  const place = await createPlace(t);
  const [backup, restore, flush, ...others] = snippets(PAGE, 'sh');
  t.same(others, []);
  const cwd = t.testdir();
  const run = async (script = 'exit 1') => {
    const PATH = [...TOOLS, process.env.PATH].join(delimiter);
    const ours = script.replaceAll('npx doorward', `${process.execPath} ${resolve('src/cli.ts')}`);
    await promisify(execFile)('sh', ['-ec', ours], { cwd, env: { ...quickSettings, ...place, PATH } });
  };
  const env = { ...place, PUBLIC_URL: 'http://localhost:3000' };
  const server = startServer(t, env);
  const cookie = await visit(await server.url(), () => run(backup));
  await server.end('SIGINT');

  await emptySchemas(place.DATABASE_URL);
  await run(restore);
  await run(flush);
  const again = startServer(t, env);
  await expectSignedOut(await again.url(), cookie);
  await again.end('SIGINT');
});
