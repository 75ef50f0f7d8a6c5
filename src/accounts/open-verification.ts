import type { Platform } from '../adapters/platform.ts';
import { warning } from '../core/log.ts';
import { guardStore } from '../db/database-guard.ts';
import { openSealedLane } from '../outbox/sealed-lane.ts';
import type { PasswordHasher } from '../passwords/password-hash.ts';
import type { AccountFeatures } from './account-features.ts';
import type { AccountStore } from './account-store.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { KnownDevices } from './known-device.ts';
import type { MailLimit } from './mail-limit.ts';
import type { PasswordCheck } from './password-check.ts';
import { signUpLane, verificationLane } from './sign-up-lane.ts';
import { createSignUpService } from './sign-up-service.ts';
import { createSignUpWork } from './sign-up-work.ts';
import { createVerificationMails } from './verification-mails.ts';
import { createVerificationService } from './verification-service.ts';
import { createVerificationStore } from './verification-store.ts';

/** What the accounts have already. */
type Common = {
  accounts: AccountStore;
  passwords: PasswordHasher;
  passwordCheck: PasswordCheck;
  devices: KnownDevices;
  rules: CredentialRules;
  mailLimit: MailLimit;
};

/** The verification of addresses, and the lanes of what is done after the answer. */
export function openVerification(
  { config, guard, transact, keyEncryptionKey, log }: Platform,
  { outbox, ...features }: AccountFeatures,
  common: Common,
) {
  const applicants = guardStore('applicants', createVerificationStore(), guard);
  const mails = createVerificationMails(features);
  const parts = { ...features, ...common, applicants, mails, transact };
  const work = createSignUpWork(parts);
  const keys = { current: keyEncryptionKey, previous: config.KEY_ENCRYPTION_KEY_PREVIOUS };
  return {
    signUps: createSignUpService({
      ...parts,
      verification: config.EMAIL_VERIFICATION,
      lane: openSealedLane(outbox, signUpLane(work.takeSignUp), keys),
    }),
    verification: createVerificationService({
      ...parts,
      isRequired: config.EMAIL_VERIFICATION === 'required',
      lane: openSealedLane(outbox, verificationLane(work.takeWish), keys),
      onAskError: warning(log, 'could not ask for another mail that verifies an address'),
    }),
  };
}
