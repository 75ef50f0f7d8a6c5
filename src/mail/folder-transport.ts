import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createTransport } from 'nodemailer';
import type { Log } from '../core/log.ts';
import { CLOSED_SOURCES, composeMail } from './compose-mail.ts';
import type { Sender } from './mail-address.ts';
import type { MailTransport } from './mail-transport.ts';

const KEPT = 100;
/** Only for the user that runs the server: mails carry codes. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** Where mails are written to without a mail server. */
export function mailFolderOf(dataDir: string): string {
  return resolve(dataDir, 'mails');
}

/**
 * Writes mails to files instead of sending them, for trying the server out: `doorward mail show` prints the last one.
 * The newest 100 are kept.
 */
export function createFolderTransport(folder: string, from: Sender, log: Log): MailTransport {
  const composer = createTransport({ ...CLOSED_SOURCES, streamTransport: true, buffer: true });
  return {
    async send(mail) {
      const { message } = await composer.sendMail(composeMail(mail, from));
      const path = join(folder, `${mail.id}.eml`);
      mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
      // Under another name at first: nobody must read half a mail.
      writeFileSync(`${path}.part`, message as Buffer, { mode: FILE_MODE });
      renameSync(`${path}.part`, path);
      for (const old of listMails(folder).slice(KEPT)) rmSync(join(folder, old), { force: true });
      log.warn({ file: path }, 'SMTP_URL is not set, so a mail is in a file: see `doorward mail show`');
    },
    close: () => {},
  };
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
