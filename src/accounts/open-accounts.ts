import type { Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import { readBlocklist } from '../config/blocklist-file.ts';
import type { Config } from '../config/config.ts';
import { warning } from '../core/log.ts';
import { guardStore } from '../db/database-guard.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import { isCommonPassword } from '../passwords/common-passwords.ts';
import { createGuessLimit } from '../passwords/guess-limit.ts';
import { createGuessStore } from '../passwords/guess-store.ts';
import { createLeakedPasswords } from '../passwords/leaked-passwords.ts';
import { createPasswordHasher } from '../passwords/password-hash.ts';
import { createWordList } from '../passwords/word-list.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { createAccountService } from './account-service.ts';
import { createAccountStore } from './account-store.ts';
import { createCredentialRules } from './credential-rules.ts';
import { emailChangeAskedLane } from './email-change-asked.ts';
import { createEmailChangeService } from './email-change-service.ts';
import { createEmailChangeStore } from './email-change-store.ts';
import { createLeakStore } from './leak-store.ts';
import { createLeakWatch } from './leak-watch.ts';
import { createOwnerCheck } from './owner-check.ts';
import { createPasswordCheck } from './password-check.ts';

type Features = {
  outbox: OutboxService;
  sessions: SessionService;
  audit: AuditService;
  mail: MailService;
  codes: CodeService;
};

/** Accounts, and the threads that hash their passwords. */
export function openAccounts(platform: Platform, { outbox, sessions, audit, mail, codes }: Features) {
  const { config, database, guard, transact, clock, log } = platform;
  const rules = openRules(config);
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
  const leakWatch = createLeakWatch({
    leaked: createLeakedPasswords(config.PWNED_PASSWORDS_URL),
    store: guardStore('leaks', createLeakStore(), guard),
    ...{ transact, audit },
    onError: warning(log, 'could not note that a password is leaked'),
  });
  const service = createAccountService({
    ...{ store, sessions, passwords, transact, passwordCheck, rules, leakWatch },
    onRehashError: warning(log, 'could not store a stronger password hash'),
  });
  const emailChangeStore = guardStore('email_changes', createEmailChangeStore(), guard);
  const mailsPerAddress = config.MAILS_PER_ADDRESS;
  const lane = { transact, store: emailChangeStore, codes, mail, guesses, mailsPerAddress };
  const emailChange = createEmailChangeService({
    ...{ store: emailChangeStore, transact, rules, guesses, codes, sessions, audit, mail, clock },
    ownerCheck: createOwnerCheck({ store, passwordCheck, clock }),
    asked: outbox.openLane(emailChangeAskedLane(lane)),
  });
  return {
    ...{ service, emailChange, leakWatch, hashQueue: passwords.queue, sweeps: [guessStore.sweep] },
    async close(): Promise<void> {
      await leakWatch.close();
      await passwords.close();
    },
  };
}

function openRules(config: Config) {
  const blocklist = readBlocklist(config.PASSWORD_BLOCKLIST_FILE);
  const policy = {
    minLength: config.PASSWORD_MIN_LENGTH,
    serviceNames: createWordList(['doorward', new URL(config.PUBLIC_URL).hostname]),
    blockedWords: createWordList(blocklist),
    isCommon: isCommonPassword,
  };
  return createCredentialRules(policy, createLeakedPasswords(config.PWNED_PASSWORDS_URL));
}
