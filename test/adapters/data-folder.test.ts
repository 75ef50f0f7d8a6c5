import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { keyEncryptionKeyOf, lockDataFolder } from '../../src/adapters/data-folder.ts';

const modulePath = new URL('../../src/adapters/data-folder.ts', import.meta.url).href;

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

/** Another process that holds the folder until it is killed. */
async function lockElsewhere(t: Test, folder: string): Promise<ChildProcess> {
  const script = `
    const { lockDataFolder } = await import(${JSON.stringify(modulePath)});
    lockDataFolder(${JSON.stringify(folder)});
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

test('makes the folder, for its owner alone', async (t) => {
  const folder = join(t.testdir(), 'a', 'b');
  const unlock = lockDataFolder(folder);
  t.equal(modeOf(folder), '700');
  unlock();
});

test('takes a folder back from others that was there before', async (t) => {
  const folder = t.testdir();
  chmodSync(folder, 0o755);
  lockDataFolder(folder)();
  t.equal(modeOf(folder), '700');
});

test('a folder that is taken is refused until it is given back', async (t) => {
  const folder = t.testdir();
  const unlock = lockDataFolder(folder);
  t.throws(() => lockDataFolder(folder), {
    name: 'DataFolderError',
    message: `${folder} is in use by another Doorward (process ${process.pid}): stop that one, or set DATA_DIR to another folder`,
  });
  unlock();
  lockDataFolder(folder)();
});

test('a lock that is not taken but damaged is told as that', async (t) => {
  const folder = t.testdir({ 'doorward.lock': 'no lock at all '.repeat(100) });
  t.throws(() => lockDataFolder(folder), {
    name: 'DataFolderError',
    message: `${join(folder, 'doorward.lock')} cannot be locked: file is not a database`,
  });
});

test('a refusal without a note of who has the folder names nobody', async (t) => {
  const folder = t.testdir();
  const unlock = lockDataFolder(folder);
  rmSync(join(folder, 'doorward.pid'));
  t.throws(() => lockDataFolder(folder), { message: `${folder} is in use by another Doorward: stop` });
  unlock();
});

test('a note that a dead process left behind stops nobody', async (t) => {
  const folder = t.testdir({ 'doorward.pid': `${process.pid}\n`, 'doorward.lock': '' });
  lockDataFolder(folder)();
});

test('another process is refused by name; killed with -9, it gives the folder back', async (t) => {
  const folder = t.testdir();
  const holder = await lockElsewhere(t, folder);
  t.not(holder.pid, process.pid);
  t.throws(() => lockDataFolder(folder), { message: new RegExp(`\\(process ${holder.pid}\\)`) });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  lockDataFolder(folder)();
});

test('the key is made once, for its owner alone, and used again', async (t) => {
  const folder = t.testdir({ one: {}, other: {} });
  const [one, other] = [join(folder, 'one'), join(folder, 'other')];
  const file = join(one, 'key-encryption-key');
  const key = keyEncryptionKeyOf(one);
  t.equal(key.length, 32);
  t.equal(modeOf(file), '600');
  t.equal(readFileSync(file, 'utf8'), `${key.toString('base64')}\n`);
  t.same(keyEncryptionKeyOf(one), key);
  t.notSame(keyEncryptionKeyOf(other), key);
});

test('a key that others may read is taken back from them', async (t) => {
  const folder = t.testdir();
  keyEncryptionKeyOf(folder);
  const file = join(folder, 'key-encryption-key');
  chmodSync(file, 0o644);
  keyEncryptionKeyOf(folder);
  t.equal(modeOf(file), '600');
});

test('a key that is none is refused, and left as it is', async (t) => {
  const folder = t.testdir();
  const file = join(folder, 'key-encryption-key');
  for (const text of [
    '',
    randomBytes(31).toString('base64'),
    randomBytes(33).toString('base64'),
    '?'.repeat(44),
  ]) {
    writeFileSync(file, text);
    t.throws(() => keyEncryptionKeyOf(folder), {
      name: 'DataFolderError',
      message: `${file} does not hold 32 bytes in base64: put it back from a backup`,
    });
    t.equal(readFileSync(file, 'utf8'), text);
  }
});
