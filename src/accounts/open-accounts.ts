import type { Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import { warning } from '../core/log.ts';
import { guardStore } from '../db/database-guard.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import { isCommonPassword } from '../passwords/common-passwords.ts';
import { openGuessLimit } from '../passwords/open-guess-limit.ts';
import { createPasswordHasher } from '../passwords/password-hash.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { createAccountService } from './account-service.ts';
import { createAccountStore } from './account-store.ts';
import { createCredentialRules } from './credential-rules.ts';
import { createKnownDevices } from './known-device.ts';
import { createMailLimit } from './mail-limit.ts';
import { openPasswords } from './open-passwords.ts';
import { openVerification } from './open-verification.ts';
import { createOwnerCheck } from './owner-check.ts';
import { createPasswordCheck } from './password-check.ts';
import { createSignInNotice } from './sign-in-notice.ts';

type Features = {
  outbox: OutboxService;
  sessions: SessionService;
  audit: AuditService;
  mail: MailService;
  codes: CodeService;
};

/** Accounts, and the threads that hash their passwords. */
export function openAccounts(platform: Platform, features: Features) {
  const { sessions, audit, mail, codes } = features;
  const { config, database, guard, transact, log, clock } = platform;
  const passwords = createPasswordHasher({
    memoryKib: config.PASSWORD_HASH_MEMORY_KIB,
    iterations: config.PASSWORD_HASH_ITERATIONS,
    threads: config.PASSWORD_HASH_THREADS,
    onWorkerError: warning(log, 'a password hashing thread failed and was replaced'),
  });
  const store = guardStore('accounts', createAccountStore(database), guard);
  const { service: guesses, sweeps } = openGuessLimit(platform);
  const passwordCheck = createPasswordCheck({ passwords, guesses });
  const rules = createCredentialRules({
    minLength: config.PASSWORD_MIN_LENGTH,
    serviceNames: ['doorward', new URL(config.PUBLIC_URL).hostname],
    isCommon: isCommonPassword,
  });
  const devices = createKnownDevices({
    issuer: config.PUBLIC_URL,
    keyEncryptionKey: platform.keyEncryptionKey,
    previousKeyEncryptionKey: config.KEY_ENCRYPTION_KEY_PREVIOUS,
  });
  const ownerCheck = createOwnerCheck({ store, passwordCheck, clock });
  const mailLimit = createMailLimit(guesses, config.MAILS_PER_ADDRESS);
  const { signUps, verification } = openVerification(platform, features, {
    ...{ accounts: store, passwords, passwordCheck, devices, rules, mailLimit },
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
      mailLimit,
      clock,
      isWanted: config.NEW_DEVICE_MAIL,
    }),
    audit,
    onRehashError: warning(log, 'could not store a stronger password hash'),
  });
  const passwordService = openPasswords(platform, features, {
    ...{ accounts: store, passwords, rules, devices, ownerCheck, mailLimit },
  });
  return {
    service,
    rules,
    passwords: passwordService,
    signUps,
    verification,
    hashQueue: passwords.queue,
    sweeps,
    close: passwords.close,
  };
}
