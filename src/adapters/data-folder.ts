import { randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { hindranceOf } from './folder-hindrance.ts';

/** The socket on which a running server takes commands: its name in the data folder. */
export const COMMAND_SOCKET = 'doorward.sock';

/** The database: its name in the data folder. */
export const DATABASE_FOLDER = 'postgres';

const KEY_FILE = 'key-encryption-key';
/** It is there while the data is exchanged. */
const UNDER_RESTORE = 'restore-under-way';

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
    makeFolder(folder);
    closeToOthers(folder);
    const lock = takeLock(folder);
    noteHolder(folder, lock);
    return () => lock.close();
  } catch (error) {
    throw toFolderError(folder, error);
  }
}

/** With its parents. Node's own way (`recursive`) tries for ever where a parent is there and refuses, as in /proc. */
function makeFolder(path: string): void {
  const parent = dirname(path);
  // A link that leads nowhere is there, too: nothing is made in its place.
  if (lstatSync(parent, { throwIfNoEntry: false }) === undefined) makeFolder(parent);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
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
    return readOrMakeKey(folder, join(folder, KEY_FILE));
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
    writeKey(file, randomBytes(KEY_BYTES).toString('base64'));
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
function writeKey(file: string, key: string): void {
  const draft = `${file}.new`;
  rmSync(draft, { force: true });
  writeFileSync(draft, `${key}\n`, { mode: 0o600, flag: 'wx', flush: true });
  renameSync(draft, file);
}

/** Puts a database, and its key if there is one, in the place of what the folder holds. */
export type Exchange = {
  dataFolder: string;
  /** The new database, in a folder beside its place. */
  draft: string;
  /** The key-encryption key in base64; null if it comes from the settings. */
  key: string | null;
  /** Makes the name of the folder to which the present data goes. */
  now: Date;
};

/**
 * Exchanges the data of a folder. If the process is killed in between, no server starts on the folder until it has been
 * done again: it would begin with an empty database.
 * @returns where the data that was there is now; null if there was none
 * @throws DataFolderError
 */
export function exchangeData({ dataFolder, draft, key, now }: Exchange): string | null {
  try {
    const mark = join(dataFolder, UNDER_RESTORE);
    writeFileSync(mark, '', { flush: true });
    const aside = moveAside(dataFolder, now);
    if (key !== null) writeKey(join(dataFolder, KEY_FILE), key);
    renameSync(draft, join(dataFolder, DATABASE_FOLDER));
    rmSync(mark);
    return aside;
  } catch (error) {
    throw toFolderError(dataFolder, error);
  }
}

function moveAside(folder: string, now: Date): string | null {
  const names = [DATABASE_FOLDER, KEY_FILE].filter((name) => existsSync(join(folder, name)));
  if (names.length === 0) return null;
  const aside = join(folder, `replaced-${now.toISOString().replaceAll(/[:.]/g, '-')}`);
  mkdirSync(aside, { mode: 0o700 });
  for (const name of names) renameSync(join(folder, name), join(aside, name));
  return aside;
}

/** @throws DataFolderError when a restore was cut short in the folder */
export function refuseHalfRestored(folder: string): void {
  if (!existsSync(join(folder, UNDER_RESTORE))) return;
  throw new DataFolderError(
    `A restore in ${folder} did not come to its end: run "doorward restore" again. The data that was there is in ${join(folder, 'replaced-…')}`,
  );
}
