import { createTransport } from 'nodemailer';
import type { Log } from '../core/log.ts';
import { CLOSED_SOURCES, composeMail } from './compose-mail.ts';
import type { Sender } from './mail-address.ts';
import { storeMail } from './mail-folder.ts';
import type { MailTransport } from './mail-transport.ts';

/** Writes mails to files instead of sending them, for trying the server out: `doorward mail show` prints the last one. */
export function createFolderTransport(folder: string, from: Sender, log: Log): MailTransport {
  const composer = createTransport({ ...CLOSED_SOURCES, streamTransport: true, buffer: true });
  return {
    async send(mail) {
      const { message } = await composer.sendMail(composeMail(mail, from));
      const file = storeMail(folder, mail.id, message as Buffer);
      log.warn({ file }, 'SMTP_URL is not set, so a mail is in a file: see `doorward mail show`');
    },
    close: () => {},
  };
}
