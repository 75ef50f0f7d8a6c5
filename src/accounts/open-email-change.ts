import type { Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import { openSealedLane } from '../outbox/sealed-lane.ts';
import type { GuessLimit } from '../passwords/guess-limit.ts';
import type { AccountFeatures } from './account-features.ts';
import type { CredentialRules } from './credential-rules.ts';
import { emailChangeAskedLane } from './email-change-asked.ts';
import { createEmailChangeService } from './email-change-service.ts';
import { createEmailChangeStore } from './email-change-store.ts';
import type { MailLimit } from './mail-limit.ts';
import type { OwnerCheck } from './owner-check.ts';

/** What the parts of this room share. */
type Shared = { rules: CredentialRules; ownerCheck: OwnerCheck; guesses: GuessLimit; mailLimit: MailLimit };

/** The change of an account's address. */
export function openEmailChange(
  { config, keyEncryptionKey, guard, transact, clock }: Platform,
  { outbox, ...features }: AccountFeatures,
  { mailLimit, ...shared }: Shared,
) {
  const store = guardStore('email_changes', createEmailChangeStore(), guard);
  const lane = emailChangeAskedLane({ ...features, store, transact, mailLimit });
  return createEmailChangeService({
    ...{ ...features, ...shared, store, transact, clock },
    asked: openSealedLane(outbox, lane, {
      current: keyEncryptionKey,
      previous: config.KEY_ENCRYPTION_KEY_PREVIOUS,
    }),
  });
}
