import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import type { SessionHistory } from '../sessions/session-history.ts';
import type { SessionService } from '../sessions/session-service.ts';

/** The features below that accounts are built on. */
export type AccountFeatures = {
  outbox: OutboxService;
  sessions: SessionService;
  history: SessionHistory;
  audit: AuditService;
  mail: MailService;
  codes: CodeService;
};
