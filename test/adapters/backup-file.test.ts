import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { type Test, test } from 'tap';
import { isMadeUnder, readBackup, writeBackup } from '../../src/adapters/backup-file.ts';
import { eventually } from '../support/adapters.ts';

const keyEncryptionKey = randomBytes(32);
const bytes = randomBytes(300_000);
const parts = {
  ...{ release: '0.1.0', schema: 7, created_at: '2026-01-02T03:04:05.000Z', key_encryption_key: null },
  ...{ keyEncryptionKey, image: new Blob([bytes]) },
};

const newFile = (t: Test) => join(t.testdir(), 'a.backup');

test('a backup is read as it was written, and only its owner may read it', async (t) => {
  const file = newFile(t);
  const receipt = await writeBackup(file, parts);
  t.same(receipt, { file, bytes: statSync(file).size, holds_key: false, created_at: parts.created_at });
  t.equal(statSync(file).mode & 0o777, 0o600);
  const { head, image } = await readBackup(file);
  t.match(head, { format: 'doorward-backup', version: 1, release: '0.1.0', schema: 7 });
  t.ok(image.equals(bytes));
  t.equal(isMadeUnder(head, keyEncryptionKey), true);
  t.equal(isMadeUnder(head, randomBytes(32)), false);
  t.notOk(readFileSync(file).includes(keyEncryptionKey));
  t.same(readdirSync(join(file, '..')), ['a.backup'], 'and nothing else is left');
});

test('a key that is not in the settings is in the file', async (t) => {
  const file = newFile(t);
  const key_encryption_key = keyEncryptionKey.toString('base64');
  t.equal((await writeBackup(file, { ...parts, key_encryption_key })).holds_key, true);
  t.equal((await readBackup(file)).head.key_encryption_key, key_encryption_key);
});

test('no file is written over, unless that is meant', async (t) => {
  const file = newFile(t);
  writeFileSync(file, 'precious');
  await t.rejects(writeBackup(file, parts), {
    name: 'BackupError',
    message: `${file} is there already: name a file that is not`,
  });
  t.equal(readFileSync(file, 'utf8'), 'precious');
  await writeBackup(file, parts, true);
  t.ok((await readBackup(file)).image.equals(bytes));
});

test('a folder that is not there is named, and what a lost process left is no hindrance', async (t) => {
  const file = newFile(t);
  const nowhere = join(file, '..', 'nowhere', 'a.backup');
  await t.rejects(writeBackup(nowhere, parts), { name: 'DataFolderError', message: new RegExp(nowhere) });
  writeFileSync(`${file}.part`, 'half');
  await writeBackup(file, parts);
  t.notOk(existsSync(`${file}.part`));
});

test('what is damaged is refused, wherever the damage is', async (t) => {
  const file = newFile(t);
  await writeBackup(file, parts);
  const good = readFileSync(file);
  for (let at = 0; at < good.length; at += Math.ceil(good.length / 20)) {
    const bad = Buffer.from(good);
    bad[at] = (bad[at] ?? 0) ^ 0x40;
    writeFileSync(file, bad);
    await t.rejects(readBackup(file), { name: 'BackupError' }, `changed at ${at}`);
    writeFileSync(file, good.subarray(0, at));
    await t.rejects(readBackup(file), { name: 'BackupError' }, `cut off at ${at}`);
  }
});

test('an image that was exchanged is refused, though the file is whole', async (t) => {
  const file = newFile(t);
  await writeBackup(file, parts);
  const plain = zstdDecompressSync(readFileSync(file));
  plain[plain.length - 1] = (plain.at(-1) ?? 0) ^ 1;
  writeFileSync(file, zstdCompressSync(plain));
  await t.rejects(readBackup(file), { message: `${file} is damaged: use another backup` });
});

test('other files are refused as what they are: missing, not compressed, not ours, or newer', async (t) => {
  const file = newFile(t);
  await t.rejects(readBackup(file), { message: `${file} cannot be read as a backup (ENOENT)` });
  writeFileSync(file, 'plain');
  await t.rejects(readBackup(file), { name: 'BackupError', message: /cannot be read as a backup/ });
  const newer = JSON.stringify({ format: 'doorward-backup', version: 2 });
  for (const text of ['', 'one line', 'not json\nrest', '{}\nrest', `${newer}\nrest`, 'x'.repeat(20_000)]) {
    writeFileSync(file, zstdCompressSync(text));
    await t.rejects(readBackup(file), { message: `${file} is no backup of this release or an earlier one` });
  }
});

test('on a full disk there is no file, and the reason is told', async (t) => {
  const file = newFile(t);
  const image = new Blob([bytes]);
  const whole = image.stream();
  // The first look is for the checksum.
  const streams = [whole, failingStream()];
  image.stream = () => streams.shift() ?? whole;
  await t.rejects(writeBackup(file, { ...parts, image }), {
    name: 'DataFolderError',
    message: /cannot be used: no space is left on its disk/,
  });
  t.same(readdirSync(join(file, '..')), []);
});

function failingStream(): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(stream) {
      stream.enqueue(new Uint8Array(100_000));
    },
    pull(stream) {
      stream.error(Object.assign(new Error('write'), { code: 'ENOSPC' }));
    },
  });
}

test('killed while it writes, a process leaves no file of that name, and the next backup works', async (t) => {
  const file = newFile(t);
  const modulePath = new URL('../../src/adapters/backup-file.ts', import.meta.url).href;
  const script = `
    const { writeBackup } = await import(${JSON.stringify(modulePath)});
    const image = new Blob([Buffer.alloc(100_000, 'x')]);
    const stream = image.stream.bind(image);
    let looks = 0;
    image.stream = () => (looks++ === 0 ? stream() : endless());
    async function* endless() { for (;;) yield crypto.getRandomValues(new Uint8Array(60_000)); }
    await writeBackup(${JSON.stringify(file)}, { release: 'x', schema: 1, created_at: 'x', key_encryption_key: null,
      keyEncryptionKey: Buffer.alloc(32), image });`;
  const writer = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' });
  await eventually(() => {
    if (statSync(`${file}.part`).size < 100_000) throw new Error('it has written little so far');
  });
  writer.kill('SIGKILL');
  await once(writer, 'exit');
  t.same(readdirSync(join(file, '..')), ['a.backup.part']);
  await writeBackup(file, parts);
  t.same(readdirSync(join(file, '..')), ['a.backup']);
});
