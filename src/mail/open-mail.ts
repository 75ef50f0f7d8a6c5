import type { Platform } from '../adapters/platform.ts';
import type { Config } from '../config/config.ts';
import { within } from '../core/deadline.ts';
import type { Log } from '../core/log.ts';
import { tryLock } from '../db/locks.ts';
import type { Sweep } from '../db/sweep.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import { createFolderTransport } from './folder-transport.ts';
import { parseSender } from './mail-address.ts';
import { mailFolderOf } from './mail-folder.ts';
import { createMailSeal } from './mail-seal.ts';
import { createMailService, MAILS_AT_ONCE, mailLane } from './mail-service.ts';
import type { MailTransport } from './mail-transport.ts';
import { createRender } from './render-mail.ts';
import { createSmtpTransport } from './smtp-transport.ts';

/** What a mail under way gets at the end of the server. Then it fails, and goes out at the next start. */
const CLOSE_WITHIN_MS = 3_000;

/** How long operators can see that a mail could not be sent. Addresses that do not exist must not pile up. */
const KEEP_DEAD_MS = 30 * 24 * 3_600_000;

/**
 * Mails, through the outbox.
 * @throws MailTemplateError when a template cannot be used
 */
export function openMail({ config, keyEncryptionKey, clock, log }: Platform, outbox: OutboxService) {
  const isOn = config.SMTP_URL !== undefined || config.EMBEDDED;
  const outlet = isOn ? { transport: transportOf(config, log), render: createRender(config) } : null;
  const seal = createMailSeal(keyEncryptionKey, config.KEY_ENCRYPTION_KEY_PREVIOUS);
  const lane = outbox.openLane(mailLane({ seal, clock, outlet }));
  const sweep: Sweep = async (transaction, limit) => {
    if (!(await tryLock(transaction, 'sweepDeadMails'))) return 0;
    return lane.sweepDead(transaction, KEEP_DEAD_MS, limit);
  };
  return {
    service: createMailService({ isOn, seal, lane }),
    sweeps: [sweep],
    /** To be called before the outbox closes, which waits for everything that is under way. */
    async close(): Promise<void> {
      const late = () => new Error('the mails took too long');
      await within(lane.close(), CLOSE_WITHIN_MS, late).catch(() => {});
      outlet?.transport.close();
    },
  };
}

function transportOf({ SMTP_URL, MAIL_FROM, DATA_DIR }: Config, log: Log): MailTransport {
  const from = parseSender(MAIL_FROM);
  if (SMTP_URL === undefined) return createFolderTransport(mailFolderOf(DATA_DIR), from, log);
  return createSmtpTransport(SMTP_URL, from, MAILS_AT_ONCE);
}
