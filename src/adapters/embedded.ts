import { once } from 'node:events';
import { chmodSync, existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { PGlite } from '@electric-sql/pglite';
import { createMemoryCache } from '../cache/memory-cache.ts';
import type { Clock } from '../core/clock.ts';
import { loadPGliteDriver } from '../db/drizzle.ts';
import { MIGRATIONS_FOLDER } from '../db/migrations.ts';
import * as schema from '../db/schema.ts';
import type { Adapters } from './adapters.ts';
import {
  COMMAND_SOCKET,
  DATABASE_FOLDER,
  DataFolderError,
  keyEncryptionKeyOf,
  lockDataFolder,
  toFolderError,
} from './data-folder.ts';
import { openPGliteFolder } from './pglite-folder.ts';

const { drizzle, migrate } = loadPGliteDriver();

type EmbeddedSettings = {
  dataFolder: string;
  /** From the environment; if undefined, a key is made and kept in the data folder. */
  keyEncryptionKey?: Buffer | undefined;
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
    const keyEncryptionKey = settings.keyEncryptionKey ?? keyEncryptionKeyOf(dataFolder);
    const client = await openPGlite(join(dataFolder, DATABASE_FOLDER));
    const database = drizzle(client, { schema });
    return {
      database,
      cache: createMemoryCache(clock),
      renewDatabase: nothingToDo,
      prepare: nothingToDo,
      pingDatabase: () => client.query('select 1'),
      keyEncryptionKey,
      commandSocket: join(dataFolder, COMMAND_SOCKET),
      location: dataFolder,
      migrate: () => migrate(database, { migrationsFolder: MIGRATIONS_FOLDER }),
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

async function openPGlite(folder: string): Promise<PGlite> {
  if (!existsSync(folder)) await makeDatabase(folder);
  return openPGliteFolder(folder);
}

/**
 * Makes the database under another name and renames it, so that a first start that is killed leaves nothing that looks
 * like a database. It runs in a thread, because it takes some 500 MB that are only freed when the thread ends.
 */
async function makeDatabase(folder: string): Promise<void> {
  const draft = `${folder}.new`;
  rmSync(draft, { recursive: true, force: true });
  const thread = new Worker(new URL('./embedded-initdb.ts', import.meta.url), { workerData: draft });
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
