import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { t as root, type Test, test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import type { Adapters } from '../../src/adapters/adapters.ts';
import { keyEncryptionKeyOf, lockDataFolder } from '../../src/adapters/data-folder.ts';
import { openEmbedded } from '../../src/adapters/embedded.ts';
import { createTransact } from '../../src/db/database-guard.ts';

const modulePath = new URL('../../src/adapters/embedded.ts', import.meta.url).href;
const user = {
  id: randomUUID(),
  email: 'ada@example.com',
  emailAsTyped: 'Ada@example.com',
  passwordHash: 'x',
};

const temporary = mkdtempSync(join(tmpdir(), 'doorward-embedded-'));
root.teardown(() => rmSync(temporary, { recursive: true, force: true }));

/** The folder of a server that ran once and has one user. A first start takes seconds, so tests take copies of one. */
const original = join(temporary, 'original');
const first = await openEmbedded({ dataFolder: original }, Date.now);
await first.migrate(() => {});
await createTransact(first.database)((transaction) =>
  createAccountStore(first.database).insert(transaction, user),
);
const firstCacheAnswer = await first.cache.putIfAbsent('a', '1', 60_000);
await first.close();

function copyOfFolder(): string {
  const folder = join(temporary, randomUUID());
  cpSync(original, folder, { recursive: true });
  return folder;
}

function findUser({ database }: Adapters) {
  return createAccountStore(database).findByEmail(user.email);
}

/** A server in a process of its own that holds the folder and commits one more user, until it is killed. */
async function openElsewhere(t: Test, folder: string, email: string): Promise<ChildProcess> {
  const script = `
    const { openEmbedded } = await import(${JSON.stringify(modulePath)});
    const { database } = await openEmbedded({ dataFolder: ${JSON.stringify(folder)} }, Date.now);
    await database.execute(${JSON.stringify(
      `insert into users (id, email, email_as_typed, password_hash) values ('${randomUUID()}', '${email}', 'x', 'x')`,
    )});
    console.log('open');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

test('has a database and a cache, and says where its data is', async (t) => {
  t.equal(first.location, original);
  t.equal(firstCacheAnswer, true);
  t.equal(first.keyEncryptionKey.length, 32);
});

test('data and key are there again after a restart, and migrating again changes nothing', async (t) => {
  const dataFolder = copyOfFolder();
  const adapters = await openEmbedded({ dataFolder }, Date.now);
  await adapters.migrate(() => {});
  await adapters.pingDatabase();
  t.match(await findUser(adapters), user);
  t.same(adapters.keyEncryptionKey, first.keyEncryptionKey);
  await adapters.close();
});

test('a key from the settings is used, and none is made', async (t) => {
  const dataFolder = copyOfFolder();
  rmSync(join(dataFolder, 'key-encryption-key'));
  const keyEncryptionKey = randomBytes(32);
  const adapters = await openEmbedded({ dataFolder, keyEncryptionKey }, Date.now);
  await adapters.close();
  t.equal(adapters.keyEncryptionKey, keyEncryptionKey);
  t.notOk(existsSync(join(dataFolder, 'key-encryption-key')));
});

test('a second process is refused by name; after kill -9 the next one finds all that was committed', async (t) => {
  const dataFolder = copyOfFolder();
  const email = 'bob@example.com';
  const holder = await openElsewhere(t, dataFolder, email);
  await t.rejects(openEmbedded({ dataFolder }, Date.now), {
    name: 'DataFolderError',
    message: new RegExp(`\\(process ${holder.pid}\\)`),
  });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const adapters = await openEmbedded({ dataFolder }, Date.now);
  t.match(await createAccountStore(adapters.database).findByEmail(email), { email });
  await adapters.close();
});

test('a damaged key is refused before anything is started, and the folder given back', async (t) => {
  const dataFolder = join(temporary, randomUUID());
  lockDataFolder(dataFolder)();
  writeFileSync(join(dataFolder, 'key-encryption-key'), 'damaged');
  await t.rejects(openEmbedded({ dataFolder }, Date.now), { name: 'DataFolderError' });
  t.notOk(existsSync(join(dataFolder, 'postgres')));
  lockDataFolder(dataFolder)();
});

test('a damaged database is refused with what to do, and the folder given back', async (t) => {
  const dataFolder = copyOfFolder();
  writeFileSync(join(dataFolder, 'postgres', 'global', 'pg_control'), randomBytes(8192));
  await t.rejects(openEmbedded({ dataFolder }, Date.now), {
    name: 'DataFolderError',
    message: `${join(dataFolder, 'postgres')} does not open as a database. Copy the whole folder to a safe place first; then put a backup in its place`,
  });
  lockDataFolder(dataFolder)();
});

test('a new database that cannot be made is not taken for a damaged one', async (t) => {
  const dataFolder = join(temporary, randomUUID());
  lockDataFolder(dataFolder)();
  keyEncryptionKeyOf(dataFolder);
  symlinkSync(join(dataFolder, 'nowhere', 'at', 'all'), join(dataFolder, 'postgres'));
  await t.rejects(openEmbedded({ dataFolder }, Date.now), {
    name: 'DataFolderError',
    message: /^\S+postgres.new cannot be used: a part of this path is a file\. /,
  });
  lockDataFolder(dataFolder)();
});
