import { randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { hindranceOf } from './folder-hindrance.ts';

/** The socket on which a running server takes commands: its name in the data folder. */
export const COMMAND_SOCKET = 'doorward.sock';

/** The database: its name in the data folder. */
export const DATABASE_FOLDER = 'postgres';

const KEY_BYTES = 32;
const WRITABLE_BY_EVERYONE = 0o002;

/** The data folder cannot be used: its message says why and what to do. */
export class DataFolderError extends Error {
  override readonly name = 'DataFolderError';
}

/** Whether a server was started on the folder before. */
export function holdsDatabase(folder: string): boolean {
  return existsSync(join(folder, DATABASE_FOLDER));
}

/**
 * Why a folder cannot be used although its data is sound: an operator who takes a full disk for damage would throw good
 * data away.
 * @param reason what a system call, SQLite or PostgreSQL said
 * @returns null when the reason is none that lies outside of the data
 */
export function hinderedFolder(path: string, reason: string, cause: unknown): DataFolderError | null {
  const hindrance = hindranceOf(reason, process.getuid?.());
  return hindrance === null ? null : new DataFolderError(`${path} cannot be used: ${hindrance}`, { cause });
}

/** The error of a failed system call in the folder as a DataFolderError; any other error as it is. */
export function toFolderError(folder: string, error: unknown): unknown {
  if (error instanceof DataFolderError || !(error instanceof Error && 'code' in error)) return error;
  const path = 'path' in error ? String(error.path) : folder;
  return unusable(path, 'used', `${error.code} ${error.message}`, error);
}

/** What is in the way; if that is none of the usual things, what was said. */
function unusable(path: string, purpose: 'used' | 'locked', reason: string, cause: Error): DataFolderError {
  return (
    hinderedFolder(path, reason, cause) ??
    new DataFolderError(`${path} cannot be ${purpose}: ${cause.message}`, { cause })
  );
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
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    closeToOthers(folder);
    const lock = takeLock(folder);
    noteHolder(folder, lock);
    return () => lock.close();
  } catch (error) {
    throw toFolderError(folder, error);
  }
}

/** A folder that existed before may be open to others. The files of the database were readable by everyone. */
function closeToOthers(folder: string): void {
  try {
    chmodSync(folder, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    checkForeignFolder(folder);
  }
}

/** Volumes of orchestrators often belong to root, and to a group that this process is in. */
function checkForeignFolder(folder: string): void {
  accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  const { uid, mode } = statSync(folder);
  if (mode & WRITABLE_BY_EVERYONE) {
    throw new DataFolderError(
      `${folder} belongs to user ${uid}, and everyone may write to it: set DATA_DIR to a folder of the user that runs this`,
    );
  }
}

function holderFile(folder: string): string {
  return join(folder, 'doorward.pid');
}

function takeLock(folder: string): DatabaseSync {
  const file = join(folder, 'doorward.lock');
  // SQLite says only that it cannot open the file.
  if (existsSync(file)) accessSync(file, constants.R_OK | constants.W_OK);
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return lock;
  } catch (cause) {
    lock.close();
    if (isTaken(cause)) throw takenBy(folder, cause);
    throw unusable(file, 'locked', (cause as Error).message, cause as Error);
  }
}

function noteHolder(folder: string, lock: DatabaseSync): void {
  try {
    writeFileSync(holderFile(folder), `${process.pid}\n`);
  } catch (error) {
    lock.close();
    throw error;
  }
}

function takenBy(folder: string, cause: unknown): DataFolderError {
  const holder = holderFile(folder);
  const pid = existsSync(holder) ? ` (process ${readFileSync(holder, 'utf8').trim()})` : '';
  return new DataFolderError(
    `${folder} is in use by another Doorward${pid}: stop that one, or set DATA_DIR to another folder`,
    { cause },
  );
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
  try {
    return readOrMakeKey(folder, join(folder, 'key-encryption-key'));
  } catch (error) {
    throw toFolderError(folder, error);
  }
}

function readOrMakeKey(folder: string, file: string): Buffer {
  if (!existsSync(file)) {
    if (holdsDatabase(folder)) {
      throw new DataFolderError(
        `${file} is gone: put it back from a backup, or set KEY_ENCRYPTION_KEY to what it held`,
      );
    }
    makeKey(file);
  }
  chmodSync(file, 0o600);
  const key = Buffer.from(readFileSync(file, 'utf8').trim(), 'base64');
  if (key.length !== KEY_BYTES)
    throw new DataFolderError(
      `${file} does not hold ${KEY_BYTES} bytes in base64: put it back from a backup`,
    );
  return key;
}

/** Written under another name first: on a full disk, half a key would be left, and refused from then on. */
function makeKey(file: string): void {
  const draft = `${file}.new`;
  rmSync(draft, { force: true });
  const text = `${randomBytes(KEY_BYTES).toString('base64')}\n`;
  writeFileSync(draft, text, { mode: 0o600, flag: 'wx', flush: true });
  renameSync(draft, file);
}
