import type { Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import { guardStore } from '../db/database-guard.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import { openSealedLane } from '../outbox/sealed-lane.ts';
import type { PasswordHasher } from '../passwords/password-hash.ts';
import type { SessionService } from '../sessions/session-service.ts';
import type { AccountStore } from './account-store.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { KnownDevices } from './known-device.ts';
import type { MailLimit } from './mail-limit.ts';
import type { OwnerCheck } from './owner-check.ts';
import { createTakeForgottenPassword, forgottenPasswordLane } from './password-forgotten.ts';
import { createPasswordNotice } from './password-notice.ts';
import { createPasswordService } from './password-service.ts';
import { createPasswordStore } from './password-store.ts';

type Features = {
  outbox: OutboxService;
  sessions: SessionService;
  audit: AuditService;
  mail: MailService;
  codes: CodeService;
};

/** What the parts of this room share. */
type Shared = {
  accounts: AccountStore;
  passwords: PasswordHasher;
  rules: CredentialRules;
  devices: KnownDevices;
  ownerCheck: OwnerCheck;
  mailLimit: MailLimit;
};

/** New passwords. */
export function openPasswords(
  { config, keyEncryptionKey, guard, transact, clock }: Platform,
  { outbox, ...features }: Features,
  { mailLimit, ...shared }: Shared,
) {
  const { codes, mail } = features;
  const store = guardStore('passwords', createPasswordStore(), guard);
  const take = createTakeForgottenPassword({ store, codes, mail, mailLimit, transact });
  return createPasswordService({
    ...features,
    ...shared,
    store,
    transact,
    notice: createPasswordNotice({ codes, mail, clock }),
    lane: openSealedLane(outbox, forgottenPasswordLane(take), {
      current: keyEncryptionKey,
      previous: config.KEY_ENCRYPTION_KEY_PREVIOUS,
    }),
  });
}
