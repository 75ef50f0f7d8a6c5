import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { t as root, type Test, test } from 'tap';
import { type Ended, runToEnd } from '../support/processes.ts';
import { doorward } from '../support/warm-doorward.ts';

const temporary = mkdtempSync(join(tmpdir(), 'doorward-hindered-'));
root.teardown(() => rmSync(temporary, { recursive: true, force: true }));
chmodSync(temporary, 0o755);

/** A folder with good data in it. A first start takes seconds, so tests take copies of it. */
const original = join(temporary, 'original');
const first = await migrate(original);

function copyOfFolder(name: string): string {
  const folder = join(temporary, name);
  cpSync(original, folder, { recursive: true });
  return folder;
}

function migrate(folder: string): Promise<Ended> {
  return doorward({ DATA_DIR: folder }, 'migrate');
}

/** `doorward migrate` in a process in which functions of `node:fs` are replaced. The patch is run in its threads too. */
function migrateWith(patch: string, folder: string): Promise<Ended> {
  const preload = `import fs from 'node:fs'; import { syncBuiltinESMExports } from 'node:module';
    const fail = (code) => { throw Object.assign(new Error(code), { code, syscall: 'test' }); };
    ${patch}; syncBuiltinESMExports();`;
  const url = `data:text/javascript,${encodeURIComponent(preload)}`;
  return runToEnd({ DATA_DIR: folder }, '--import', url, 'src/cli.ts', 'migrate');
}

/** `doorward migrate` as a user without privileges, in a group. Only root can do that. */
async function migrateAs(uid: number, gid: number, folder: string): Promise<Ended> {
  // Without the settings with which tap follows the processes of a test: this user cannot write to its folder.
  const args = ['-i', `DATA_DIR=${folder}`, process.execPath, 'src/cli.ts', 'migrate'];
  const child = spawn('env', args, { uid, gid, stdio: ['ignore', 'pipe', 'pipe'] });
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

/** Whether this process can start others as other users, which can then read its programs. */
const canBeOthers = process.getuid?.() === 0 && (await othersCanRun());

async function othersCanRun(): Promise<boolean> {
  const child = spawn('env', ['-i', process.execPath, '--check', 'src/cli.ts'], {
    uid: 1000,
    gid: 1000,
    stdio: 'ignore',
  });
  const [code] = await once(child, 'exit').catch(() => [1]);
  return code === 0;
}

function refusedInOneLine(t: Test, { code, stdout, stderr }: Ended, expected: string): void {
  t.same({ code, stdout }, { code: 1, stdout: '' });
  t.equal(stderr, `${expected}\n`);
}

/** After a refusal the data must still be good. */
async function opensAgain(t: Test, folder: string): Promise<void> {
  t.match(await migrate(folder), { code: 0, stderr: '' });
}

const noSpace = 'no space is left on its disk. Free some';
const noRight = `the user of this process (${process.getuid?.()}) has no right to it. Run this as its owner, or give the folder and all in it to that user (chown -R)`;

test('a first start makes the folder', async (t) => {
  t.match(first, { code: 0, stdout: `The schema is up to date: ${original}\n`, stderr: '' });
});

test('a full disk at the first start is named, and leaves nothing that hinders the next start', async (t) => {
  const folder = join(temporary, 'full-at-first');
  const write = `const write = fs.writeSync;
    fs.writeSync = (fd, bytes, ...rest) => (bytes.length > 1e6 ? fail('ENOSPC') : write(fd, bytes, ...rest))`;
  refusedInOneLine(
    t,
    await migrateWith(write, folder),
    `${join(folder, 'postgres.new')} cannot be used: ${noSpace}`,
  );
  t.notOk(existsSync(join(folder, 'postgres.new')));
  await opensAgain(t, folder);
});

test('a disk that is full while the key is made leaves no half of a key', async (t) => {
  const folder = join(temporary, 'full-at-the-key');
  const write = `const write = fs.writeFileSync;
    fs.writeFileSync = (path, ...rest) => {
      if (!String(path).includes('key-encryption-key')) return write(path, ...rest);
      write(path, '');
      fail('ENOSPC');
    }`;
  refusedInOneLine(t, await migrateWith(write, folder), `${folder} cannot be used: ${noSpace}`);
  await opensAgain(t, folder);
  t.equal(Buffer.from(readFileSync(join(folder, 'key-encryption-key'), 'utf8'), 'base64').length, 32);
});

test('causes outside of good data are named, and nobody is advised to move it', async (t) => {
  const folder = copyOfFolder('good');
  const database = join(folder, 'postgres');
  const causes: [name: string, code: string, says: string][] = [
    ['writeSync', 'ENOSPC', noSpace],
    ['writeSync', 'EIO', 'its disk reports read or write errors. Look at the disk'],
    ['openSync', 'EACCES', noRight],
    ['openSync', 'EMFILE', 'this process may not open more files. Raise its limit (ulimit -n)'],
  ];
  for (const [name, code, says] of causes) {
    // Only what the database does: its folder is mounted, and its files are opened by their paths in it.
    const patch =
      name === 'openSync'
        ? `const open = fs.openSync;
           fs.openSync = (path, ...rest) => (String(path).includes('pg_control') ? fail('${code}') : open(path, ...rest))`
        : `fs.writeSync = () => fail('${code}')`;
    refusedInOneLine(t, await migrateWith(patch, folder), `${database} cannot be used: ${says}`);
  }
  await opensAgain(t, folder);
});

test('a process that gets no more memory says so', async (t) => {
  const folder = copyOfFolder('memory');
  const patch = `WebAssembly.Memory = class { constructor() { throw new RangeError('WebAssembly.Memory(): could not allocate memory'); } }`;
  refusedInOneLine(
    t,
    await migrateWith(patch, folder),
    `${join(folder, 'postgres')} cannot be used: this process gets no more memory. Raise its limit: a start needs 450 MB, the first one 600 MB`,
  );
  await opensAgain(t, folder);
});

test('a database of another version of PostgreSQL is not taken for a damaged one', async (t) => {
  const folder = copyOfFolder('other-version');
  writeFileSync(join(folder, 'postgres', 'PG_VERSION'), '16\n');
  refusedInOneLine(
    t,
    await migrate(folder),
    `${join(folder, 'postgres')} was made by PostgreSQL 16, which is not the version in this release. Run the release of Doorward that made it`,
  );
});

test('a path that is a file, or leads nowhere, is named', async (t) => {
  const file = join(temporary, 'file');
  writeFileSync(file, '');
  const link = join(temporary, 'link');
  symlinkSync(join(temporary, 'nowhere', 'at-all'), link);
  const isFile = 'a part of this path is a file. Set DATA_DIR to the path of a folder';
  refusedInOneLine(t, await migrate(file), `${file} cannot be used: ${isFile}`);
  refusedInOneLine(t, await migrate(join(file, 'data')), `${join(file, 'data')} cannot be used: ${isFile}`);
  const nowhere = await migrate(join(link, 'data'));
  const notMade = /^\S+ cannot be used: it cannot be made: .* Set DATA_DIR to another folder\n$/;
  t.match(nowhere.stderr, notMade);
  // Where nobody can make a folder, with an error that Node takes for a missing parent.
  for (const path of ['/proc/doorward', '/proc/doorward/deep'])
    t.match((await migrate(path)).stderr, notMade);
});

test('a folder with a quoted path is refused, and none is made', async (t) => {
  const { stderr } = await migrate('"/tmp/data"');
  t.match(stderr, /^DATA_DIR: .* has quotes around it; remove them$/m);
  t.notOk(existsSync('"'));
});

const notOurs = `const chmod = fs.chmodSync;
  fs.chmodSync = (path, ...rest) => (path === process.env.DATA_DIR ? fail('EPERM') : chmod(path, ...rest))`;

test('a folder of another user that this process may write to works, and hides the database in it', async (t) => {
  const folder = join(temporary, 'of-another-user');
  mkdirSync(folder, { mode: 0o755 });
  t.match(await migrateWith(notOurs, folder), { code: 0, stderr: '' });
  t.equal(statSync(join(folder, 'postgres')).mode & 0o777, 0o700);
  t.equal(statSync(join(folder, 'key-encryption-key')).mode & 0o777, 0o600);
});

test('a folder of another user that everyone may write to is refused', async (t) => {
  const folder = join(temporary, 'of-everyone');
  mkdirSync(folder);
  chmodSync(folder, 0o777);
  const { stderr } = await migrateWith(notOurs, folder);
  t.match(stderr, /^\S+ belongs to user \d+, and everyone may write to it: set DATA_DIR .*\n$/);
  t.same(readdirSync(folder), []);
});

test('a folder whose mode cannot be set is refused for the reason of that', async (t) => {
  const folder = copyOfFolder('read-only');
  const patch = `fs.chmodSync = () => fail('EROFS')`;
  refusedInOneLine(
    t,
    await migrateWith(patch, folder),
    `${folder} cannot be used: its file system is read-only. Mount it writable`,
  );
});

test('an error of the disk without a cure is told in one line too', async (t) => {
  const folder = copyOfFolder('odd');
  refusedInOneLine(
    t,
    await migrateWith(`fs.chmodSync = () => fail('EBADMSG')`, folder),
    `${folder} cannot be used: EBADMSG`,
  );
});

test('a full disk is named when it hinders the lock, and when it hinders the note of who holds it', async (t) => {
  const folder = copyOfFolder('full-at-the-lock');
  const exec = `const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
    DatabaseSync.prototype.exec = () => { throw new Error('database or disk is full'); }`;
  refusedInOneLine(
    t,
    await migrateWith(exec, folder),
    `${join(folder, 'doorward.lock')} cannot be used: ${noSpace}`,
  );
  refusedInOneLine(
    t,
    await migrateWith(
      `const write = fs.writeFileSync;
       fs.writeFileSync = (path, ...rest) => (String(path).endsWith('.pid') ? fail('ENOSPC') : write(path, ...rest))`,
      folder,
    ),
    `${folder} cannot be used: ${noSpace}`,
  );
  await opensAgain(t, folder);
});

test('real users: a group volume works, and what belongs to others is named', {
  skip: !canBeOthers && 'only as root',
}, async (t) => {
  const right = noRight.replace(/\(\d+\)/, '(1000)');
  const volume = join(temporary, 'volume');
  mkdirSync(volume);
  chownSync(volume, 0, 20_000);
  chmodSync(volume, 0o2775);
  t.match(await migrateAs(1000, 20_000, volume), { code: 0, stderr: '' });
  t.match(await migrateAs(1000, 20_000, volume), { code: 0, stderr: '' });

  const data = copyOfFolder('real-users');
  refusedInOneLine(t, await migrateAs(1000, 1000, data), `${data} cannot be used: ${right}`);
  for (const path of [data, ...globSync(join(data, '**'))]) chownSync(path, 1000, 1000);
  for (const path of ['key-encryption-key', 'doorward.pid', 'doorward.lock', 'postgres/global/pg_control']) {
    const file = join(data, path);
    chownSync(file, 0, 0);
    chmodSync(file, 0o600);
    const named = path.startsWith('postgres') ? join(data, 'postgres') : file;
    refusedInOneLine(t, await migrateAs(1000, 1000, data), `${named} cannot be used: ${right}`);
    chownSync(file, 1000, 1000);
  }
  t.match(await migrateAs(1000, 1000, data), { code: 0, stderr: '' });
});
