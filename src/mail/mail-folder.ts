import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const KEPT = 100;
/** Only for the user that runs the server: mails carry codes. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** Where mails are written to without a mail server. */
export function mailFolderOf(dataDir: string): string {
  return resolve(dataDir, 'mails');
}

/** The files in the folder, the newest first. Their names begin with the time (UUIDv7). */
export function listMails(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.eml'));
    return names.sort().reverse();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Writes a mail, and deletes all but the newest 100. @returns its path */
export function storeMail(folder: string, id: string, message: Buffer): string {
  const path = join(folder, `${id}.eml`);
  mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
  // Under another name at first: nobody must read half a mail.
  writeFileSync(`${path}.part`, message, { mode: FILE_MODE });
  renameSync(`${path}.part`, path);
  for (const old of listMails(folder).slice(KEPT)) rmSync(join(folder, old), { force: true });
  return path;
}
