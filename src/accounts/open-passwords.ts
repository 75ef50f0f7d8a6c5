import type { Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import { openSealedLane } from '../outbox/sealed-lane.ts';
import type { PasswordHasher } from '../passwords/password-hash.ts';
import type { AccountFeatures } from './account-features.ts';
import type { AccountStore } from './account-store.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { KnownDevices } from './known-device.ts';
import type { MailLimit } from './mail-limit.ts';
import type { OwnerCheck } from './owner-check.ts';
import { createTakeForgottenPassword, forgottenPasswordLane } from './password-forgotten.ts';
import { createPasswordNotice } from './password-notice.ts';
import { createPasswordService } from './password-service.ts';
import { createPasswordStore } from './password-store.ts';

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
  { outbox, ...features }: AccountFeatures,
  { mailLimit, ...shared }: Shared,
) {
  const { codes, mail } = features;
  const store = guardStore('passwords', createPasswordStore(), guard);
  const take = createTakeForgottenPassword({ store, codes, mail, mailLimit, transact });
  const service = createPasswordService({
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
  /** `sendCode` does what the lane does, at once. */
  return { service, sendCode: take };
}
