import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { PGlite } from '@electric-sql/pglite';
import packageJson from '../../package.json' with { type: 'json' };
import { lastMigrationOfPGlite } from '../db/migrate-pglite.ts';
import type { Migration } from '../db/migrations.ts';
import { type BackupReceipt, writeBackup } from './backup-file.ts';
import { DataFolderError } from './data-folder.ts';

/** Beside the data that they are of: a disk has room for them, or the migration does not begin. */
const FOLDER = 'backups';
const KEPT = 3;

type BackupSource = {
  client: PGlite;
  dataFolder: string;
  /** The one in use. */
  keyEncryptionKey: Buffer;
  /** Whether it comes from the settings: then a backup does not hold it. */
  isKeyFromSettings: boolean;
};

/** Makes backups of an open embedded database, while it is in use. */
export function createEmbeddedBackup({
  client,
  dataFolder,
  keyEncryptionKey,
  isKeyFromSettings,
}: BackupSource) {
  /** All that was committed when the call began is in the file, and of each transaction all or nothing. */
  async function backup(file: string, mayReplace = false): Promise<BackupReceipt> {
    const schema = await lastMigrationOfPGlite(client);
    const created_at = new Date().toISOString();
    // No statement runs meanwhile, and what a running transaction has written so far is undone when the copy is opened.
    const image = await client.dumpDataDir('none');
    const key_encryption_key = isKeyFromSettings ? null : keyEncryptionKey.toString('base64');
    const told = { release: packageJson.version, schema, created_at, key_encryption_key };
    return writeBackup(file, { ...told, keyEncryptionKey, image }, mayReplace);
  }

  return {
    backup: (file: string) => backup(file),

    /**
     * The way back from a migration. The last three are kept.
     * @returns the file
     * @throws DataFolderError
     */
    async backupBefore({ name }: Migration): Promise<string> {
      const folder = join(dataFolder, FOLDER);
      const file = join(folder, `before-${name}.backup`);
      try {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        await backup(file, true);
        prune(folder);
        return file;
      } catch (error) {
        const { message } = error as Error;
        throw new DataFolderError(`Nothing was migrated, because no backup could be made first: ${message}`, {
          cause: error,
        });
      }
    },
  };
}

function prune(folder: string): void {
  const files = readdirSync(folder)
    .filter((name) => name.startsWith('before-'))
    .toSorted();
  for (const name of files.slice(0, -KEPT)) rmSync(join(folder, name));
}
