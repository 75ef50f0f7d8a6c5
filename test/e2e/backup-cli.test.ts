import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'tap';
import { captures, readPage } from '../docs/pages.ts';
import { createPlace, newCredentials } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { shortFolder } from '../support/processes.ts';
import { doorward } from '../support/warm-doorward.ts';
import { cookiesOf, postJson, startServer } from './server-process.ts';

/** The commands of the page, in their order. */
const [backupLine = '', restoreLine = '', ...others] = captures(
  readPage('docs/backups.md'),
  /^ {4}npx doorward (.*)$/gm,
);

test('an embedded server is backed up while users come and go, and restored, as the page says', async (t) => {
  t.same(others, []);
  const folder = shortFolder(t);
  const file = join(folder, 'doorward.backup');
  const env = { DATA_DIR: join(folder, 'data'), PORT: String(await freePort()), NODE_ENV: 'development' };
  const run = (line: string) => doorward(env, ...line.replace('doorward.backup', file).split(' '));
  const server = startServer(t, env);
  const url = await server.url();
  const call = async (path: string, body?: object, cookie?: string) =>
    postJson(`${url}${path}`, body, cookie);
  const keys = async () => (await fetch(`${url}/.well-known/jwks.json`)).json();

  const ada = newCredentials();
  const cookie = cookiesOf(await call('/signup', ada));
  const keySet = await keys();
  const signedUp: { user: typeof ada; at: number }[] = [];
  let isOver = false;
  const coming = (async () => {
    while (!isOver) {
      const user = newCredentials();
      if ((await call('/signup', user)).status === 201) signedUp.push({ user, at: performance.now() });
    }
  })();
  while (signedUp.length < 3) await delay(10);
  const startedAt = performance.now();
  const backup = await run(backupLine);
  isOver = true;
  await coming;
  t.match(backup, { code: 0, stderr: '' });
  t.match(
    backup.stdout,
    new RegExp(
      `^Backed up to ${file}, ${statSync(file).size} bytes\\.\nIt holds the key-encryption key: .*\n$`,
    ),
  );
  t.same(readdirSync(folder).toSorted(), ['data', 'doorward.backup']);
  t.ok(
    signedUp.some(({ at }) => at > startedAt),
    'others signed up meanwhile',
  );
  t.equal((await call('/logout', undefined, cookie)).status, 204);
  t.equal(await server.end('SIGINT'), 0);

  const restored = await run(restoreLine);
  t.match(restored, { code: 0, stderr: '' });
  t.match(
    restored.stdout,
    /^Restored in .*\nThe data that was there is in .*replaced-.*\nSessions that were ended: \d+\. All users must sign in again\.\n/,
  );
  const again = startServer(t, env);
  await again.url();
  t.same(await keys(), keySet, 'tokens of before verify');
  t.equal((await call('/token', undefined, cookie)).status, 404, 'no session came alive again');
  const before = signedUp.filter(({ at }) => at < startedAt).map(({ user }) => user);
  for (const user of [ada, ...before])
    t.equal(
      (await call('/login', user)).status,
      200,
      'whoever had signed up before the backup began is there',
    );
  t.equal(await again.end('SIGINT'), 0);
});

test('a folder without data is not backed up, and none is made; a server that does not run is backed up', async (t) => {
  const folder = shortFolder(t);
  const [DATA_DIR, file] = [join(folder, 'data'), join(folder, 'a.backup')];
  t.match(await doorward({ DATA_DIR }, 'backup', file), { code: 1, stdout: '', stderr: /holds no database/ });
  t.same(readdirSync(folder), []);
  const dryRun = await doorward({ DATA_DIR }, 'migrate', '--dry-run');
  t.match(dryRun, { code: 0, stderr: '', stdout: /^-- 0000_first\nCREATE TABLE "sessions"/ });
  t.same(readdirSync(folder), []);

  t.match(await doorward({ DATA_DIR }, 'migrate'), { code: 0 });
  const KEY_ENCRYPTION_KEY = randomBytes(32).toString('hex');
  const backup = await doorward({ DATA_DIR, KEY_ENCRYPTION_KEY }, 'backup', file);
  t.match(backup, { code: 0, stderr: '', stdout: /\nThe key-encryption key is not in it\. / });
  t.match(await doorward({ DATA_DIR, KEY_ENCRYPTION_KEY }, 'backup', file), {
    code: 1,
    stdout: '',
    stderr: `${file} is there already: name a file that is not\n`,
  });
  const kept = await doorward(
    { DATA_DIR: join(folder, 'b'), KEY_ENCRYPTION_KEY },
    'restore',
    file,
    '--keep-sessions',
  );
  t.match(kept, { code: 0, stderr: '', stdout: /^Restored in .*\nSessions are as they were then: .*\n/ });
});

test('on PostgreSQL, backups are left to its own tools', async (t) => {
  const place = await createPlace(t);
  const file = join(shortFolder(t), 'a.backup');
  for (const command of ['backup', 'restore']) {
    const { code, stdout, stderr } = await doorward(place, command, file);
    t.same({ code, stdout }, { code: 1, stdout: '' });
    t.match(stderr, /^The data is in PostgreSQL.*docs\/backups\.md\n$/);
  }
  t.notOk(existsSync(file));
});
