import { randomBytes, randomUUID } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { t as root, test } from 'tap';
import { readBackup, writeBackup } from '../../src/adapters/backup-file.ts';
import { openEmbedded } from '../../src/adapters/embedded.ts';
import { restoreEmbedded } from '../../src/adapters/restore-embedded.ts';
import { sql } from '../../src/db/drizzle.ts';
import { readMigrations } from '../../src/db/migrations.ts';

const temporary = mkdtempSync(join(tmpdir(), 'doorward-backup-'));
root.teardown(() => rmSync(temporary, { recursive: true, force: true }));

const newPath = () => join(temporary, randomUUID());

type Count = { count: number };

/** A user with an open session and one that has ended. */
const someone = sql.raw(`
  with ada as (
    insert into users (id, email, email_as_typed, password_hash)
    values (gen_random_uuid(), gen_random_uuid(), 'x', 'x') returning id)
  insert into sessions (id, user_id, generate_token, expires_at, idle_expires_at, ended_at)
  select gen_random_uuid(), ada.id, sha256(gen_random_uuid()::text::bytea), now() + interval '1 day', now() + interval '1 day', ended
  from ada, (values (null::timestamptz), (now())) as two (ended)`);

/** A first start takes seconds, so tests take copies of one folder, or restore one backup. */
const original = newPath();
const file = newPath();
const first = await openEmbedded({ dataFolder: original }, Date.now);
const said: string[] = [];
await first.migrate((line) => said.push(line));
await first.database.execute(someone);
const receipt = await first.backup?.(file);
await first.database.execute(someone);
await first.close();

const wish = { file, settingsKeys: [], mayReplace: false, keepSessions: false };

async function countIn({ database }: Pick<typeof first, 'database'>, what: string) {
  const counted = await database.execute(sql.raw(`select count(*)::int as count from ${what}`));
  return (counted as unknown as { rows: Count[] }).rows[0]?.count;
}

/** What the folder holds, as its next server would find it. */
async function look(dataFolder: string, keyEncryptionKey?: Buffer) {
  const adapters = await openEmbedded({ dataFolder, keyEncryptionKey }, Date.now);
  const count = (what: string) => countIn(adapters, what);
  const found = {
    users: await count('users'),
    open: await count('sessions where ended_at is null'),
    restored: await count(`sessions where end_reason = 'restored' and version = 2`),
    key: adapters.keyEncryptionKey,
    lastMigration: await adapters.lastMigration(),
  };
  await adapters.close();
  return found;
}

test('a new database is not backed up before its first migration', async (t) => {
  t.same(said, []);
  t.notOk(existsSync(join(original, 'backups')));
  t.match(receipt, { file, holds_key: true });
});

test('a restore brings back what was there then, with its key, and ends all sessions', async (t) => {
  const dataFolder = newPath();
  const restored = await restoreEmbedded({ ...wish, dataFolder });
  t.match(restored, {
    data_folder: dataFolder,
    release: '0.1.0',
    sessions_ended: 1,
    replaced: null,
    created_at: receipt?.created_at,
  });
  t.match(await look(dataFolder), { users: 1, open: 0, restored: 1, key: first.keyEncryptionKey });
  const adapters = await openEmbedded({ dataFolder }, Date.now);
  const noted = `revocations, sessions where kind = 'session' and end_reason = 'restored'
    and subject = substring(sha256(sessions.id::text::bytea) for 8)`;
  t.equal(await countIn(adapters, noted), 1, 'services learn that from the revocation feed');
  await adapters.close();
  t.equal(statSync(join(dataFolder, 'postgres')).mode & 0o777, 0o700);
  t.equal(statSync(join(dataFolder, 'key-encryption-key')).mode & 0o777, 0o600);
});

test('sessions can be kept, and data that is there is moved aside, not lost', async (t) => {
  const dataFolder = newPath();
  cpSync(original, dataFolder, { recursive: true });
  await t.rejects(restoreEmbedded({ ...wish, dataFolder }), {
    name: 'DataFolderError',
    message: /holds data: .*--replace/,
  });
  t.match(await look(dataFolder), { users: 2, open: 2 });
  const restored = await restoreEmbedded({ ...wish, dataFolder, mayReplace: true, keepSessions: true });
  t.equal(restored.sessions_ended, 0);
  t.match(await look(dataFolder), { users: 1, open: 1, restored: 0 });
  t.equal(statSync(restored.replaced ?? '').mode & 0o777, 0o700);
  t.match(await look(restored.replaced ?? ''), { users: 2, open: 2, key: first.keyEncryptionKey });
});

test('a folder that is in use is refused', async (t) => {
  const dataFolder = newPath();
  cpSync(original, dataFolder, { recursive: true });
  const running = await openEmbedded({ dataFolder }, Date.now);
  await t.rejects(restoreEmbedded({ ...wish, dataFolder, mayReplace: true }), {
    name: 'DataFolderError',
    message: /in use by another Doorward/,
  });
  await running.close();
});

test('a restore that was cut short keeps a server from beginning anew, and is done again', async (t) => {
  const dataFolder = newPath();
  mkdirSync(dataFolder);
  writeFileSync(join(dataFolder, 'restore-under-way'), '');
  await t.rejects(openEmbedded({ dataFolder }, Date.now), {
    name: 'DataFolderError',
    message: /did not come to its end/,
  });
  t.notOk(existsSync(join(dataFolder, 'postgres')));
  await restoreEmbedded({ ...wish, dataFolder });
  t.match(await look(dataFolder), { users: 1 });
});

test('without a place for the data the reason is told, and the draft is gone', async (t) => {
  const dataFolder = newPath();
  mkdirSync(join(dataFolder, 'key-encryption-key.new', 'in-the-way'), { recursive: true });
  await t.rejects(restoreEmbedded({ ...wish, dataFolder }), { name: 'DataFolderError' });
  await t.rejects(openEmbedded({ dataFolder }, Date.now), { message: /did not come to its end/ });
  rmSync(join(dataFolder, 'key-encryption-key.new'), { recursive: true });
  await restoreEmbedded({ ...wish, dataFolder });
  t.match(await look(dataFolder), { users: 1 });
});

test('a key from the settings is not in the backup, and must be there again at the restore', async (t) => {
  const [dataFolder, target, ownFile, keyEncryptionKey] = [newPath(), newPath(), newPath(), randomBytes(32)];
  cpSync(original, dataFolder, { recursive: true });
  const adapters = await openEmbedded({ dataFolder, keyEncryptionKey }, Date.now);
  t.match(await adapters.backup?.(ownFile), { holds_key: false });
  await adapters.close();
  const own = { ...wish, file: ownFile, dataFolder: target };
  await t.rejects(restoreEmbedded(own), {
    name: 'BackupError',
    message: /does not hold the key-encryption key: set KEY_ENCRYPTION_KEY/,
  });
  await t.rejects(restoreEmbedded({ ...own, settingsKeys: [randomBytes(32)] }), {
    message: /another KEY_ENCRYPTION_KEY.*KEY_ENCRYPTION_KEY_PREVIOUS/,
  });
  t.notOk(existsSync(target));
  await restoreEmbedded({ ...own, settingsKeys: [randomBytes(32), keyEncryptionKey] });
  t.notOk(existsSync(join(target, 'key-encryption-key')));
  t.match(await look(target, keyEncryptionKey), { users: 2 });
});

test('a backup that holds its key is refused under another one in the settings', async (t) => {
  const dataFolder = newPath();
  await t.rejects(restoreEmbedded({ ...wish, dataFolder, settingsKeys: [randomBytes(32)] }), {
    message: /or none, since the file holds it/,
  });
  t.notOk(existsSync(dataFolder));
});

test('a backup of an unknown schema, or that is not what it says, changes nothing', async (t) => {
  const { head, image } = await readBackup(file);
  const forge = async (schema: number, bytes: string | Buffer<ArrayBuffer>) => {
    const forged = newPath();
    await writeBackup(forged, {
      ...head,
      schema,
      keyEncryptionKey: first.keyEncryptionKey,
      image: new Blob([bytes]),
    });
    return forged;
  };
  const dataFolder = newPath();
  await t.rejects(restoreEmbedded({ ...wish, dataFolder, file: await forge(head.schema + 1, image) }), {
    name: 'BackupError',
    message: /whose schema this release does not know/,
  });
  t.notOk(existsSync(dataFolder));
  const earlier = readMigrations()[2]?.madeAt ?? 0;
  await t.rejects(restoreEmbedded({ ...wish, dataFolder, file: await forge(earlier, image) }), {
    name: 'BackupError',
    message: /does not hold what it says/,
  });
  await t.rejects(restoreEmbedded({ ...wish, dataFolder, file: await forge(head.schema, 'no tar') }), {
    name: 'DataFolderError',
  });
  t.notOk(readdirSync(dataFolder).some((name) => name.startsWith('postgres')));
});

test('older data is backed up before it is migrated, and only then; three such backups are kept', async (t) => {
  const dataFolder = newPath();
  cpSync(original, dataFolder, { recursive: true });
  const backups = join(dataFolder, 'backups');
  mkdirSync(backups);
  for (const name of ['before-0001_a.backup', 'before-0002_b.backup', 'before-0003_c.backup', 'mine.txt'])
    writeFileSync(join(backups, name), '');
  const newest = readMigrations().at(-1);
  const adapters = await openEmbedded({ dataFolder }, Date.now);
  const lines: string[] = [];
  await adapters.migrate((line) => lines.push(line));
  t.same(lines, [], 'there is nothing to do');
  await adapters.database.execute(sql`drop table revocations`);
  await adapters.database.execute(sql`drop function number_revocations`);
  await adapters.database.execute(
    sql`delete from drizzle.__drizzle_migrations where created_at = ${newest?.madeAt}`,
  );
  await adapters.migrate((line) => lines.push(line));
  const backup = join(backups, `before-${newest?.name}.backup`);
  t.same(lines, [`The data was backed up before it is migrated: ${backup}`]);
  t.same(readdirSync(backups).toSorted(), [
    'before-0002_b.backup',
    'before-0003_c.backup',
    `before-${newest?.name}.backup`,
    'mine.txt',
  ]);
  t.equal(await adapters.lastMigration(), newest?.madeAt);
  await adapters.close();

  const target = newPath();
  await restoreEmbedded({ ...wish, file: backup, dataFolder: target, keepSessions: true });
  t.match(
    await look(target),
    { users: 2, open: 2, lastMigration: readMigrations().at(-2)?.madeAt },
    'the way back',
  );
  const without = { ...wish, file: backup, dataFolder: target, mayReplace: true };
  t.equal((await restoreEmbedded(without)).sessions_ended, 2, 'which has no revocations yet');
});

test('without a backup nothing is migrated', async (t) => {
  const dataFolder = newPath();
  cpSync(original, dataFolder, { recursive: true });
  writeFileSync(join(dataFolder, 'backups'), 'in the way');
  const adapters = await openEmbedded({ dataFolder }, Date.now);
  await adapters.database.execute(sql`delete from drizzle.__drizzle_migrations where id > 2`);
  const before = await adapters.lastMigration();
  await t.rejects(
    adapters.migrate(() => {}),
    { name: 'DataFolderError', message: /^Nothing was migrated, because no backup could be made first: / },
  );
  t.equal(await adapters.lastMigration(), before);
  await adapters.close();
  t.equal(readFileSync(join(dataFolder, 'backups'), 'utf8'), 'in the way');
});

test('a database without any schema yet is backed up and restored too', async (t) => {
  const [dataFolder, target, empty] = [newPath(), newPath(), newPath()];
  const adapters = await openEmbedded({ dataFolder }, Date.now);
  t.equal(await adapters.lastMigration(), 0);
  await adapters.backup?.(empty);
  await adapters.close();
  t.match(await restoreEmbedded({ ...wish, file: empty, dataFolder: target }), { sessions_ended: 0 });
  t.ok(existsSync(join(target, 'postgres')));
});
