import { randomBytes } from 'node:crypto';
import { t as root, type Test } from 'tap';
import { createAccountService } from '../../src/accounts/account-service.ts';
import type { AccountStore } from '../../src/accounts/account-store.ts';
import { createCredentialRules } from '../../src/accounts/credential-rules.ts';
import { createFailedSignIns } from '../../src/accounts/failed-sign-ins.ts';
import { createKnownDevices } from '../../src/accounts/known-device.ts';
import { createMailLimit } from '../../src/accounts/mail-limit.ts';
import { createPasswordCheck } from '../../src/accounts/password-check.ts';
import { createSignInNotice } from '../../src/accounts/sign-in-notice.ts';
import type { Visitor } from '../../src/accounts/visitor.ts';
import { createAuditService } from '../../src/audit/audit-service.ts';
import { createAuditStore } from '../../src/audit/audit-store.ts';
import { createCodeService } from '../../src/codes/code-service.ts';
import { createCodeStore } from '../../src/codes/code-store.ts';
import { createDatabaseClock } from '../../src/core/clock.ts';
import { sessions as sessionRows, users } from '../../src/db/schema.ts';
import type { Mail } from '../../src/mail/mail.ts';
import type { MailService } from '../../src/mail/mail-service.ts';
import { createGuessLimit, type GuessLimit } from '../../src/passwords/guess-limit.ts';
import { createGuessStore } from '../../src/passwords/guess-store.ts';
import { createLeakedPasswords } from '../../src/passwords/leaked-passwords.ts';
import { createPasswordHasher, type PasswordHasher } from '../../src/passwords/password-hash.ts';
import { createWordList } from '../../src/passwords/word-list.ts';
import type { SessionService } from '../../src/sessions/session-service.ts';
import { openSessions } from './services.ts';

export const WEAK = { memoryKib: 64, iterations: 1, threads: 1 };
const STRONG = { memoryKib: 128, iterations: 2, threads: 1 };
export const email = 'ada@example.com';
export const client = '192.0.2.1';
export const device = { ip: '192.0.2.1', userAgent: 'Lynx' };

export const makePassword = () => randomBytes(16).toString('base64url');
export const visit = (generateToken: string | null = null, deviceCookie: string | null = null): Visitor => ({
  ...{ device, generateToken, deviceCookie, acceptLanguage: 'de' },
});

function createHasher(settings: typeof WEAK): PasswordHasher {
  const hasher = createPasswordHasher(settings);
  root.teardown(hasher.close);
  return hasher;
}

export const weak = createHasher(WEAK);
export const strong = createHasher(STRONG);

/** Parts that a test may replace. */
type Changes = {
  store?: Partial<AccountStore>;
  sessions?: Partial<SessionService>;
  passwords?: Partial<PasswordHasher>;
  mail?: Partial<MailService>;
  notice?: { isWanted: boolean };
  guesses?: GuessLimit;
};

/** The account service of one replica, on a real PostgreSQL and with mails that are kept. */
export async function setUp(t: Test) {
  const opened = await openSessions(t);
  const { database, transact, accounts: accountStore } = opened;
  const { sessions } = opened.createReplica();
  const audit = createAuditService(createAuditStore(database), { note: () => {} }, Date.now);
  const codes = createCodeService({
    store: createCodeStore(database),
    style: 'both',
    guesses: createGuessLimit(createGuessStore(database)),
    transact,
  });
  const issuer = 'https://auth.example.com';
  const devices = createKnownDevices({ issuer, keyEncryptionKey: randomBytes(32) });
  const mails: Mail[] = [];
  const mail: MailService = {
    isOn: true,
    send: async (_, one) => void mails.push(one),
    withdraw: async () => {},
  };
  const verified: unknown[] = [];
  const hashed: string[] = [];
  const rehashErrors: unknown[] = [];

  function createService(hasher: PasswordHasher, changes: Changes = {}) {
    const counted: PasswordHasher = {
      ...hasher,
      verify: (phc, password) => {
        verified.push(phc);
        return hasher.verify(phc, password);
      },
      hash: (password) => {
        hashed.push(password);
        return hasher.hash(password);
      },
    };
    const passwords = { ...counted, ...changes.passwords };
    const guesses = changes.guesses ?? createGuessLimit(createGuessStore(database));
    return createAccountService({
      store: { ...accountStore, ...changes.store },
      sessions: { ...sessions, ...changes.sessions },
      passwords,
      passwordCheck: createPasswordCheck({ passwords, guesses }),
      audit,
      failures: createFailedSignIns(audit, (email) => email),
      devices,
      notice: createSignInNotice({
        ...{ audit, isWanted: true, ...changes.notice },
        mailLimit: createMailLimit(guesses, 3),
        mail: { ...mail, ...changes.mail },
        codes,
        clock: createDatabaseClock(Date.now),
      }),
      signUps: { welcome: async () => {} },
      verification: { requireVerified: () => {} },
      rules: createCredentialRules(
        {
          minLength: 8,
          serviceNames: createWordList([]),
          blockedWords: createWordList([]),
          isCommon: (text) => text === 'password1234',
        },
        createLeakedPasswords(undefined),
      ),
      leakWatch: { look: () => {}, close: async () => {} },
      missingPasswords: { note: () => {} },
      transact,
      onRehashError: (error) => void rehashErrors.push(error),
    });
  }

  const rowsOf = async () => ({
    users: await database.$count(users),
    sessions: await database.$count(sessionRows),
  });
  const hashOf = async () => (await accountStore.findByEmail(email))?.passwordHash;
  const accounts = createService(weak);
  return {
    ...opened,
    ...{ sessions, accountStore, verified, hashed, rehashErrors, mails, codes },
    ...{ createService, accounts, rowsOf, hashOf },
  };
}
