import { openAccounts } from '../accounts/open-accounts.ts';
import type { Platform } from '../adapters/platform.ts';
import { type Admin, openAdmin } from '../admin/open-admin.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { openCodes } from '../codes/open-codes.ts';
import { openMail } from '../mail/open-mail.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import type { openSessions } from '../sessions/open-sessions.ts';

type CommandFeatures = {
  outbox: OutboxService;
  audit: AuditService;
  sessions: ReturnType<typeof openSessions>;
};

/**
 * What operators can do, for a process that runs one command. Mails are only written down: a server sends them.
 * @throws MailTemplateError
 */
export function openCommandAdmin(
  platform: Platform,
  { outbox, audit, sessions: { service: sessions, history } }: CommandFeatures,
): { admin: Admin; close(): Promise<void> } {
  const mail = openMail(platform, outbox);
  const codes = openCodes(platform).service;
  const accounts = openAccounts(platform, {
    ...{ outbox, sessions, history, audit, codes },
    mail: mail.service,
  });
  const admin = openAdmin(platform, { outbox, sessions, audit, codes, accounts, mail: mail.service });
  return {
    admin,
    async close(): Promise<void> {
      // What this process has begun to deliver. A server does the rest.
      await outbox.close();
      await mail.close();
      await admin.close();
      await accounts.close();
    },
  };
}
