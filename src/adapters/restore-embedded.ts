import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { PGlite } from '@electric-sql/pglite';
import { lastMigrationOfPGlite } from '../db/migrate-pglite.ts';
import { readMigrations } from '../db/migrations.ts';
import { BackupError, type BackupHead, isMadeUnder, readBackup } from './backup-file.ts';
import {
  DATABASE_FOLDER,
  DataFolderError,
  exchangeData,
  holdsDatabase,
  lockDataFolder,
} from './data-folder.ts';
import { openPGliteFolder } from './pglite-folder.ts';

type RestoreWish = {
  file: string;
  dataFolder: string;
  /** From the settings: the current key and the previous one, as far as they are set. */
  settingsKeys: Buffer[];
  /** Whether data that is there may be moved aside. */
  mayReplace: boolean;
  /** Otherwise all sessions end: users who have signed out since the backup would be signed in again. */
  keepSessions: boolean;
};

/** What became of a restore. */
export type Restored = {
  data_folder: string;
  created_at: string;
  release: string;
  /** How many were ended. */
  sessions_ended: number;
  /** Where the data that was there is now. */
  replaced: string | null;
};

/**
 * Makes the data of an embedded server what it was when a backup was made. The file is checked, and its database opened,
 * before anything of the present data is touched; that is moved, never deleted.
 * @throws BackupError for a file that cannot be restored here; DataFolderError when the folder is in use, or in the way
 */
export async function restoreEmbedded(wish: RestoreWish): Promise<Restored> {
  const { head, image } = await readBackup(wish.file);
  requireKnownSchema(wish.file, head);
  const key = keyToWrite(wish, head);
  const { dataFolder } = wish;
  const unlock = lockDataFolder(dataFolder);
  try {
    if (holdsDatabase(dataFolder) && !wish.mayReplace) throw occupied(dataFolder);
    const draft = join(dataFolder, `${DATABASE_FOLDER}.restored`);
    const sessionsEnded = await openImage(draft, image, head, wish);
    const replaced = exchangeData({ dataFolder, draft, key, now: new Date() });
    const { created_at, release } = head;
    return { data_folder: dataFolder, created_at, release, sessions_ended: sessionsEnded, replaced };
  } finally {
    unlock();
  }
}

/** An older one is migrated at the next start. */
function requireKnownSchema(file: string, { schema, release }: BackupHead): void {
  if (schema === 0 || readMigrations().some(({ madeAt }) => madeAt === schema)) return;
  throw new BackupError(
    `${file} was made by release ${release}, whose schema this release does not know: run that release`,
  );
}

/** @returns the key for the data folder; null if the one in the settings is the right one */
function keyToWrite({ file, settingsKeys }: RestoreWish, head: BackupHead): string | null {
  if (settingsKeys.some((key) => isMadeUnder(head, key))) return null;
  if (settingsKeys.length > 0) {
    throw new BackupError(
      `${file} was made under another KEY_ENCRYPTION_KEY than the one set: set the one from then, ${head.key_encryption_key === null ? 'or add it as KEY_ENCRYPTION_KEY_PREVIOUS' : 'or none, since the file holds it'}`,
    );
  }
  if (head.key_encryption_key !== null) return head.key_encryption_key;
  throw new BackupError(
    `${file} does not hold the key-encryption key: set KEY_ENCRYPTION_KEY to the one from then`,
  );
}

function occupied(dataFolder: string): DataFolderError {
  return new DataFolderError(
    `${dataFolder} holds data: set DATA_DIR to another folder, or add --replace, which moves that data to a folder beside it`,
  );
}

/** Opens the database of the backup in a folder of its own. @returns how many sessions were ended in it */
async function openImage(
  draft: string,
  image: Buffer<ArrayBuffer>,
  { schema }: BackupHead,
  wish: RestoreWish,
): Promise<number> {
  rmSync(draft, { recursive: true, force: true });
  try {
    const client = await openPGliteFolder(draft, new Blob([image]));
    const ended = await check(client, schema, wish).finally(() => client.close());
    // The data folder around it may be shared with a group.
    chmodSync(draft, 0o700);
    return ended;
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
}

async function check(client: PGlite, schema: number, { file, keepSessions }: RestoreWish): Promise<number> {
  if ((await lastMigrationOfPGlite(client)) !== schema)
    throw new BackupError(`${file} does not hold what it says: use another backup`);
  if (keepSessions || schema === 0) return 0;
  const { affectedRows = 0 } = await client.query((await hasFeed(client)) ? END_AND_NOTE : END);
  return affectedRows;
}

const END = `
  update sessions set ended_at = now(), end_reason = 'restored', version = version + 1
  where ended_at is null and expires_at > now() and idle_expires_at > now()`;

/** Services forget what the lost database told them: tokens of users who had signed out would hold again. */
const END_AND_NOTE = `
  with ended as (${END} returning id)
  insert into revocations (kind, subject)
  select 'session', substring(sha256(convert_to(id::text, 'UTF8')) for 8) from ended`;

/** A backup of an earlier release has no revocations. */
async function hasFeed(client: PGlite): Promise<boolean> {
  const { rows } = await client.query<{ table: string | null }>(
    `select to_regclass('revocations') as "table"`,
  );
  return rows.some(({ table }) => table !== null);
}
