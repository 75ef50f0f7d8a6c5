import type { Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import { guardStore } from '../db/database-guard.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import type { GuessLimit } from '../passwords/guess-limit.ts';
import type { SessionService } from '../sessions/session-service.ts';
import type { CredentialRules } from './credential-rules.ts';
import { emailChangeAskedLane } from './email-change-asked.ts';
import { createEmailChangeService } from './email-change-service.ts';
import { createEmailChangeStore } from './email-change-store.ts';
import type { MailLimit } from './mail-limit.ts';
import type { OwnerCheck } from './owner-check.ts';

type Features = {
  outbox: OutboxService;
  sessions: SessionService;
  audit: AuditService;
  mail: MailService;
  codes: CodeService;
};

/** What the parts of this room share. */
type Shared = { rules: CredentialRules; ownerCheck: OwnerCheck; guesses: GuessLimit; mailLimit: MailLimit };

/** The change of an account's address. */
export function openEmailChange(
  { guard, transact, clock }: Platform,
  { outbox, ...features }: Features,
  { mailLimit, ...shared }: Shared,
) {
  const store = guardStore('email_changes', createEmailChangeStore(), guard);
  const lane = emailChangeAskedLane({ ...features, store, transact, mailLimit });
  return createEmailChangeService({
    ...{ ...features, ...shared, store, transact, clock },
    asked: outbox.openLane(lane),
  });
}
