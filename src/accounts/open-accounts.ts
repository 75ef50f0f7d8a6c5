import type { Platform } from '../adapters/platform.ts';
import { createPseudonyms } from '../cache/cache-seal.ts';
import { warning } from '../core/log.ts';
import { guardStore } from '../db/database-guard.ts';
import { createLeakedPasswords } from '../passwords/leaked-passwords.ts';
import { openGuessLimit } from '../passwords/open-guess-limit.ts';
import { openPasswordHash } from '../passwords/open-password-hash.ts';
import type { AccountFeatures } from './account-features.ts';
import { createAccountService } from './account-service.ts';
import { createAccountStore } from './account-store.ts';
import { createFailedSignIns } from './failed-sign-ins.ts';
import { createKnownDevices } from './known-device.ts';
import { createLeakStore } from './leak-store.ts';
import { createLeakWatch } from './leak-watch.ts';
import { createMailLimit } from './mail-limit.ts';
import { openMissingPasswords } from './missing-password.ts';
import { openCredentialRules } from './open-credential-rules.ts';
import { openEmailChange } from './open-email-change.ts';
import { openPasswords } from './open-passwords.ts';
import { openProfile } from './open-profile.ts';
import { openVerification } from './open-verification.ts';
import { createOwnerCheck } from './owner-check.ts';
import { createPasswordCheck } from './password-check.ts';
import { createSignInNotice } from './sign-in-notice.ts';

/** Accounts, and the threads that hash their passwords. Call `start` before the first sign-in. */
export function openAccounts(platform: Platform, features: AccountFeatures) {
  const { sessions, audit, mail, codes } = features;
  const { config, database, guard, transact, log, clock } = platform;
  const { hasher: passwords, ...hashing } = openPasswordHash(platform);
  const store = guardStore('accounts', createAccountStore(database), guard);
  const { service: guesses, sweeps } = openGuessLimit(platform);
  const passwordCheck = createPasswordCheck({ passwords, guesses });
  const leaked = createLeakedPasswords(config.PWNED_PASSWORDS_URL);
  const rules = openCredentialRules(config, leaked);
  const leakWatch = createLeakWatch({
    ...{ leaked, transact, audit },
    store: guardStore('leaks', createLeakStore(), guard),
    onError: warning(log, 'could not note that a password is leaked'),
  });
  const devices = createKnownDevices({
    issuer: config.PUBLIC_URL,
    keyEncryptionKey: platform.keyEncryptionKey,
    previousKeyEncryptionKey: config.KEY_ENCRYPTION_KEY_PREVIOUS,
  });
  const nameOf = createPseudonyms(config.PUBLIC_URL, platform.keyEncryptionKey);
  const failures = createFailedSignIns(audit, (email) => nameOf(`sign-in ${email}`));
  const ownerCheck = createOwnerCheck({ store, passwordCheck, failures, clock });
  const mailLimit = createMailLimit(guesses, config.MAILS_PER_ADDRESS);
  const { signUps, verification } = openVerification(platform, features, {
    ...{ accounts: store, passwords, passwordCheck, devices, rules, mailLimit },
  });
  const { service: passwordService, sendCode } = openPasswords(platform, features, {
    ...{ accounts: store, passwords, rules, devices, ownerCheck, mailLimit },
  });
  const missingPasswords = openMissingPasswords({
    ...{ sendCode, mailIsOn: mail.isOn },
    mailLimit: createMailLimit(guesses, 1, 'missing-password'),
    onError: warning(log, 'could not write to the owner of an account without a password'),
  });
  const service = createAccountService({
    store,
    sessions,
    passwords,
    transact,
    passwordCheck,
    rules,
    signUps,
    verification,
    devices,
    notice: createSignInNotice({
      audit,
      codes,
      mail,
      mailLimit: createMailLimit(guesses, config.MAILS_PER_ADDRESS, 'warning'),
      clock,
      isWanted: config.NEW_DEVICE_MAIL,
    }),
    audit,
    failures,
    leakWatch,
    missingPasswords,
    onRehashError: warning(log, 'could not store a stronger password hash'),
  });
  const emailChange = openEmailChange(platform, features, { rules, ownerCheck, guesses, mailLimit });
  const profile = openProfile(platform, features, { accounts: store, ownerCheck, guesses });
  return {
    ...profile,
    ...{ service, rules, emailChange, leakWatch },
    passwords: passwordService,
    hasher: passwords,
    signUps,
    verification,
    hashQueue: passwords.queue,
    sweeps: [...sweeps, ...profile.sweeps],
    start: hashing.start,
    async close(): Promise<void> {
      await missingPasswords.close();
      await leakWatch.close();
      await hashing.close();
    },
  };
}
