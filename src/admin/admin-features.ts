import type { openAccounts } from '../accounts/open-accounts.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import type { SessionService } from '../sessions/session-service.ts';

/** The features below that operators use. */
export type AdminFeatures = {
  outbox: OutboxService;
  sessions: SessionService;
  audit: AuditService;
  mail: MailService;
  codes: CodeService;
  accounts: ReturnType<typeof openAccounts>;
};
