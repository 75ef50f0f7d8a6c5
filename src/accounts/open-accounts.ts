import type { Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import { warning } from '../core/log.ts';
import { guardStore } from '../db/database-guard.ts';
import type { MailService } from '../mail/mail-service.ts';
import { isCommonPassword } from '../passwords/common-passwords.ts';
import { createGuessLimit } from '../passwords/guess-limit.ts';
import { createGuessStore } from '../passwords/guess-store.ts';
import { createPasswordHasher } from '../passwords/password-hash.ts';
import type { SessionHistory } from '../sessions/session-history.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { createAccountService } from './account-service.ts';
import { createAccountStore } from './account-store.ts';
import { createCredentialRules } from './credential-rules.ts';
import { createDeletionService } from './deletion-service.ts';
import { createDeletionStore } from './deletion-store.ts';
import { createExportService } from './export-service.ts';
import { createExportStore } from './export-store.ts';
import { createOwnerCheck } from './owner-check.ts';
import { createPasswordCheck } from './password-check.ts';
import { createProfileService } from './profile-service.ts';
import { createProfileStore } from './profile-store.ts';

type Features = {
  sessions: SessionService;
  history: SessionHistory;
  audit: AuditService;
  mail: MailService;
  codes: CodeService;
};

/** Accounts, and the threads that hash their passwords. */
export function openAccounts(
  { config, database, guard, transact, clock, log }: Platform,
  { sessions, history, audit, mail, codes }: Features,
) {
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
  const service = createAccountService({
    store,
    sessions,
    passwords,
    transact,
    passwordCheck,
    rules,
    onRehashError: warning(log, 'could not store a stronger password hash'),
  });
  const profileStore = guardStore('profiles', createProfileStore(), guard);
  const profiles = createProfileService({ accounts: store, store: profileStore, audit, transact });
  const deletions = createDeletionService({
    store: guardStore('deletions', createDeletionStore(), guard),
    ownerCheck: createOwnerCheck({ store, passwordCheck, clock }),
    ...{ sessions, codes, audit, mail, transact },
    delayMs: config.ACCOUNT_DELETION_DELAY,
  });
  const exports = createExportService({
    store: guardStore('exports', createExportStore(), guard),
    limit: guesses,
    ...{ history, codes, audit, transact, clock },
  });
  return {
    ...{ service, profiles, deletions, exports, rules },
    hashQueue: passwords.queue,
    sweeps: [guessStore.sweep, deletions.sweep],
    close: passwords.close,
  };
}
