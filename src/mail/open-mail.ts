import { nothingToClose, type Platform } from '../adapters/platform.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import type { MailService } from './mail-service.ts';

/** Mails, through the outbox. */
export function openMail({ config }: Platform, _outbox: OutboxService) {
  const service: MailService = {
    isOn: config.SMTP_URL !== undefined || config.EMBEDDED,
    async send() {},
    async withdraw() {},
  };
  return { service, sweeps: [], close: nothingToClose };
}
