import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** The socket on which a running server takes commands: its name in the data folder. */
export const COMMAND_SOCKET = 'doorward.sock';

/** The database: its name in the data folder. */
export const DATABASE_FOLDER = 'postgres';

const KEY_BYTES = 32;

/** The data folder cannot be used: its message says why and what to do. */
export class DataFolderError extends Error {
  override readonly name = 'DataFolderError';
}

/** Whether a server was started on the folder before. */
export function holdsDatabase(folder: string): boolean {
  return existsSync(join(folder, DATABASE_FOLDER));
}

/**
 * Locks the data folder for this process until it ends, even if it is killed.
 *
 * Two embedded databases on one folder would destroy the data. Node has no file locks, but its SQLite takes one that
 * the kernel releases even after kill -9. A file with a process id would not do: another process may have that id
 * later.
 * @returns a function that releases the folder
 * @throws DataFolderError that names the process which holds the folder, or another reason why it cannot be locked
 */
export function lockDataFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // The database's own files are readable by everyone, and a folder that existed before may be too.
  chmodSync(folder, 0o700);
  const holder = join(folder, 'doorward.pid');
  const lockFile = join(folder, 'doorward.lock');
  const lock = new DatabaseSync(lockFile, { timeout: 0 });
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (cause) {
    lock.close();
    if (!isTaken(cause))
      throw new DataFolderError(`${lockFile} cannot be locked: ${(cause as Error).message}`, { cause });
    const pid = existsSync(holder) ? ` (process ${readFileSync(holder, 'utf8').trim()})` : '';
    throw new DataFolderError(
      `${folder} is in use by another Doorward${pid}: stop that one, or set DATA_DIR to another folder`,
      { cause },
    );
  }
  writeFileSync(holder, `${process.pid}\n`);
  return () => lock.close();
}

/** SQLITE_BUSY, also in the low byte of extended codes. A full disk or a damaged file gives another code. */
function isTaken(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === 5;
}

/**
 * The key-encryption key of an embedded server: made at the first start, kept in the data folder, readable only by the
 * owner.
 * @returns 32 bytes
 * @throws DataFolderError when the file holds anything else, or is missing although there is a database
 */
export function keyEncryptionKeyOf(folder: string): Buffer {
  const file = join(folder, 'key-encryption-key');
  if (!existsSync(file)) {
    if (holdsDatabase(folder)) {
      throw new DataFolderError(
        `${file} is gone: put it back from a backup, or set KEY_ENCRYPTION_KEY to what it held`,
      );
    }
    // `wx` never overwrites an existing key: without that key, every signing key in the database is lost.
    writeFileSync(file, `${randomBytes(KEY_BYTES).toString('base64')}\n`, { mode: 0o600, flag: 'wx' });
  }
  chmodSync(file, 0o600);
  const key = Buffer.from(readFileSync(file, 'utf8').trim(), 'base64');
  if (key.length !== KEY_BYTES)
    throw new DataFolderError(
      `${file} does not hold ${KEY_BYTES} bytes in base64: put it back from a backup`,
    );
  return key;
}
