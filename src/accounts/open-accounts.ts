import type { Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import { warning } from '../core/log.ts';
import { guardStore } from '../db/database-guard.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import { isCommonPassword } from '../passwords/common-passwords.ts';
import { createGuessLimit } from '../passwords/guess-limit.ts';
import { createGuessStore } from '../passwords/guess-store.ts';
import { createPasswordHasher } from '../passwords/password-hash.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { createAccountService } from './account-service.ts';
import { createAccountStore } from './account-store.ts';
import { createCredentialRules } from './credential-rules.ts';
import { createMailLimit } from './mail-limit.ts';
import { openVerification } from './open-verification.ts';
import { createPasswordCheck } from './password-check.ts';

type Features = {
  outbox: OutboxService;
  sessions: SessionService;
  audit: AuditService;
  mail: MailService;
  codes: CodeService;
};

/** Accounts, and the threads that hash their passwords. */
export function openAccounts(platform: Platform, features: Features) {
  const { config, database, guard, transact, log } = platform;
  const { sessions } = features;
  const passwords = createPasswordHasher({
    memoryKib: config.PASSWORD_HASH_MEMORY_KIB,
    iterations: config.PASSWORD_HASH_ITERATIONS,
    threads: config.PASSWORD_HASH_THREADS,
    onWorkerError: warning(log, 'a password hashing thread failed and was replaced'),
  });
  const store = guardStore('accounts', createAccountStore(database), guard);
  const guessStore = guardStore('guesses', createGuessStore(database), guard);
  const guesses = createGuessLimit(guessStore);
  const passwordCheck = createPasswordCheck({ passwords, guesses });
  const rules = createCredentialRules({
    minLength: config.PASSWORD_MIN_LENGTH,
    serviceNames: ['doorward', new URL(config.PUBLIC_URL).hostname],
    isCommon: isCommonPassword,
  });
  const mailLimit = createMailLimit(guesses, config.MAILS_PER_ADDRESS);
  const common = { accounts: store, passwords, passwordCheck, rules, mailLimit };
  const { signUps, verification } = openVerification(platform, features, common);
  const service = createAccountService({
    store,
    sessions,
    passwords,
    transact,
    passwordCheck,
    rules,
    signUps,
    verification,
    onRehashError: warning(log, 'could not store a stronger password hash'),
  });
  return {
    service,
    signUps,
    verification,
    hashQueue: passwords.queue,
    sweeps: [guessStore.sweep],
    close: passwords.close,
  };
}
