import type { Platform } from '../adapters/platform.ts';
import type { Config } from '../config/config.ts';
import { within } from '../core/deadline.ts';
import type { Log } from '../core/log.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import { createFolderTransport } from './folder-transport.ts';
import { parseSender } from './mail-address.ts';
import { mailFolderOf } from './mail-folder.ts';
import { createMailSeal } from './mail-seal.ts';
import { createMailService, MAILS_AT_ONCE, mailLane } from './mail-service.ts';
import { type MailTransport, noTransport } from './mail-transport.ts';
import { createRender } from './render-mail.ts';
import { createSmtpTransport } from './smtp-transport.ts';

/** What a mail under way gets at the end of the server. Then it fails, and goes out at the next start. */
const CLOSE_WITHIN_MS = 3_000;

/**
 * Mails, through the outbox.
 * @throws MailTemplateError when a template cannot be used
 */
export function openMail({ config, keyEncryptionKey, clock, log }: Platform, outbox: OutboxService) {
  const isOn = config.SMTP_URL !== undefined || config.EMBEDDED;
  const transport = isOn ? transportOf(config, log) : noTransport;
  const render = isOn ? createRender(config) : refuse;
  const seal = createMailSeal(keyEncryptionKey, config.KEY_ENCRYPTION_KEY_PREVIOUS);
  const lane = outbox.openLane(mailLane({ seal, clock, transport, render }));
  return {
    service: createMailService({ isOn, seal, lane }),
    sweeps: [],
    /** To be called before the outbox closes, which waits for everything that is under way. */
    async close(): Promise<void> {
      const late = () => new Error('the mails took too long');
      await within(lane.close(), CLOSE_WITHIN_MS, late).catch(() => {});
      transport.close();
    },
  };
}

function transportOf({ SMTP_URL, MAIL_FROM, DATA_DIR }: Config, log: Log): MailTransport {
  const from = parseSender(MAIL_FROM);
  if (SMTP_URL === undefined) return createFolderTransport(mailFolderOf(DATA_DIR), from, log);
  return createSmtpTransport(SMTP_URL, from, MAILS_AT_ONCE);
}

/** Mails that were written while there was a mail server wait for one. */
function refuse(): never {
  throw new Error('SMTP_URL is not set, and a mail waits for a mail server');
}
