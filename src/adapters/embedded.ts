import { once } from 'node:events';
import { chmodSync, existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { PGlite } from '@electric-sql/pglite';
import { createMemoryCache } from '../cache/memory-cache.ts';
import { NO_HINTS } from '../cache/redis-hints.ts';
import type { Clock } from '../core/clock.ts';
import { operations, publishCalls } from '../core/trace-channels.ts';
import { loadPGliteDriver } from '../db/drizzle.ts';
import { lastMigrationOfPGlite, migratePGlite } from '../db/migrate-pglite.ts';
import { pendingAfter } from '../db/migrations.ts';
import * as schema from '../db/schema.ts';
import type { Adapters } from './adapters.ts';
import {
  COMMAND_SOCKET,
  DATABASE_FOLDER,
  DataFolderError,
  keyEncryptionKeyOf,
  lockDataFolder,
  refuseHalfRestored,
  toFolderError,
} from './data-folder.ts';
import { createEmbeddedBackup } from './embedded-backup.ts';
import { openPGliteFolder } from './pglite-folder.ts';

const { drizzle } = loadPGliteDriver();

type EmbeddedSettings = {
  dataFolder: string;
  /** From the environment; if undefined, a key is made and kept in the data folder. */
  keyEncryptionKey?: Buffer | undefined;
  /** Called before a new database is made, which takes seconds. */
  onNewDatabase?: (() => void) | undefined;
};

/** An embedded database has no connections that could die, and no pool that could be too large. */
async function nothingToDo(): Promise<void> {}

/**
 * PGlite and an in-process cache: one process, no other software.
 * @throws DataFolderError when another process has the folder, or it cannot be used
 */
export async function openEmbedded(settings: EmbeddedSettings, clock: Clock): Promise<Adapters> {
  const { dataFolder } = settings;
  const unlock = lockDataFolder(dataFolder);
  try {
    refuseHalfRestored(dataFolder);
    const keyEncryptionKey = settings.keyEncryptionKey ?? keyEncryptionKeyOf(dataFolder);
    const client = await openPGlite(join(dataFolder, DATABASE_FOLDER), settings.onNewDatabase);
    const database = drizzle(client, { schema });
    const isKeyFromSettings = settings.keyEncryptionKey !== undefined;
    const { backup, backupBefore } = createEmbeddedBackup({
      client,
      dataFolder,
      keyEncryptionKey,
      isKeyFromSettings,
    });
    return {
      database,
      cache: publishCalls(operations.redis, '', createMemoryCache(clock)),
      hints: NO_HINTS,
      renewDatabase: nothingToDo,
      prepare: nothingToDo,
      checkUse: nothingToDo,
      pingDatabase: () => client.query('select 1'),
      keyEncryptionKey,
      commandSocket: join(dataFolder, COMMAND_SOCKET),
      location: dataFolder,
      lastMigration: () => lastMigrationOfPGlite(client),
      migrate: (say) => migrateData(client, backupBefore, say),
      backup,
      close: async () => {
        await client.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw toFolderError(dataFolder, error);
  }
}

type BackupBefore = ReturnType<typeof createEmbeddedBackup>['backupBefore'];

/** A new database has nothing to lose. */
async function migrateData(
  client: PGlite,
  backupBefore: BackupBefore,
  say: (line: string) => void,
): Promise<void> {
  const last = await lastMigrationOfPGlite(client);
  const pending = pendingAfter(last);
  const [next] = pending;
  if (next === undefined) return;
  if (last > 0) say(`The data was backed up before it is migrated: ${await backupBefore(next)}`);
  await migratePGlite(client, pending);
}

async function openPGlite(folder: string, onNew?: () => void): Promise<PGlite> {
  if (!existsSync(folder)) {
    onNew?.();
    await makeDatabase(folder);
  }
  return openPGliteFolder(folder);
}

/**
 * Makes the database under another name and renames it, so that a first start that is killed leaves nothing that looks
 * like a database. It runs in a thread, because it takes some 500 MB that are only freed when the thread ends.
 */
async function makeDatabase(folder: string): Promise<void> {
  const draft = `${folder}.new`;
  rmSync(draft, { recursive: true, force: true });
  const thread = new Worker(new URL('./empty-database.ts', import.meta.url), { workerData: draft });
  await once(thread, 'exit').catch((cause: Error) => {
    // Half a database is of no use, and may have filled the disk.
    rmSync(draft, { recursive: true, force: true });
    // An error from a thread has lost its class.
    throw new DataFolderError(cause.message, { cause });
  });
  // Not only the data folder around it: that may belong to another user, and be shared with a group.
  chmodSync(draft, 0o700);
  renameSync(draft, folder);
}
