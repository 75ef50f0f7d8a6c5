import { createHash, randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { createAccountService } from '../../src/accounts/account-service.ts';
import type { AccountStore } from '../../src/accounts/account-store.ts';
import { createCredentialRules } from '../../src/accounts/credential-rules.ts';
import { createFailedSignIns } from '../../src/accounts/failed-sign-ins.ts';
import { createKnownDevices } from '../../src/accounts/known-device.ts';
import { createMailLimit } from '../../src/accounts/mail-limit.ts';
import { createOwnerCheck } from '../../src/accounts/owner-check.ts';
import { createPasswordCheck } from '../../src/accounts/password-check.ts';
import { createTakeForgottenPassword, forgottenPasswordLane } from '../../src/accounts/password-forgotten.ts';
import { createPasswordNotice } from '../../src/accounts/password-notice.ts';
import { createPasswordService } from '../../src/accounts/password-service.ts';
import { createPasswordStore } from '../../src/accounts/password-store.ts';
import { createSignInNotice } from '../../src/accounts/sign-in-notice.ts';
import type { Visitor } from '../../src/accounts/visitor.ts';
import { createCodeService } from '../../src/codes/code-service.ts';
import { createCodeStore } from '../../src/codes/code-store.ts';
import type { CodePurpose } from '../../src/codes/one-time-code.ts';
import { eq } from '../../src/db/drizzle.ts';
import { users } from '../../src/db/schema.ts';
import type { Mail } from '../../src/mail/mail.ts';
import type { MailService } from '../../src/mail/mail-service.ts';
import { createGuessLimit } from '../../src/passwords/guess-limit.ts';
import { createGuessStore } from '../../src/passwords/guess-store.ts';
import { createLeakedPasswords } from '../../src/passwords/leaked-passwords.ts';
import type { PasswordHasher } from '../../src/passwords/password-hash.ts';
import { createWordList } from '../../src/passwords/word-list.ts';
import { openSessions } from './services.ts';

export const CLIENT = '192.0.2.7';

/** What a test may replace at a replica. */
type ReplicaChanges = {
  mail?: Partial<MailService>;
  accounts?: Partial<AccountStore>;
  passwords?: Partial<PasswordHasher>;
  mailsPerHour?: number;
};

/** Quick, and no secret: what is tested is who may set a password, not how it is kept. */
export const quickHash = (password: string) => createHash('sha256').update(password).digest('hex');
const quickHasher: PasswordHasher = {
  requireRoom: async () => {},
  hash: async (password) => quickHash(password),
  verify: async (phc, password) => phc === quickHash(password),
  lacksKey: () => false,
  learn: () => {},
  needsRehash: () => false,
  queue: () => ({ running: 0, queued: 0 }),
  close: async () => {},
};

export const makePassword = () => randomBytes(18).toString('base64url');

/** Somebody at a browser of their own. */
export function visit(changes: Partial<Visitor> = {}): Visitor {
  const device = { ip: CLIENT, userAgent: 'Lynx' };
  return { device, generateToken: null, deviceCookie: null, acceptLanguage: null, ...changes };
}

/** Everything that sets passwords, on a real PostgreSQL, for any number of replicas. The mails are kept, not sent. */
export async function openPasswords(t: Test) {
  const opened = await openSessions(t);
  const { database, transact, accounts: accountStore } = opened;
  const issuer = 'https://auth.example.com';
  const devices = createKnownDevices({ issuer, keyEncryptionKey: randomBytes(32) });
  const mails: Mail[] = [];

  function createReplica(changes: ReplicaChanges = {}) {
    const replica = opened.createReplica();
    const { sessions, audit, outbox, clock } = replica;
    const guesses = createGuessLimit(createGuessStore(database));
    const codes = createCodeService({ store: createCodeStore(database), style: 'both', guesses, transact });
    const send: MailService['send'] = async (_, one) => void mails.push(one);
    const mail: MailService = { isOn: true, send, withdraw: async () => {}, ...changes.mail };
    const passwords = { ...quickHasher, ...changes.passwords };
    const passwordCheck = createPasswordCheck({ passwords, guesses });
    const failures = createFailedSignIns(audit, (email) => email);
    const none = createWordList([]);
    const rules = createCredentialRules(
      { minLength: 8, serviceNames: none, blockedWords: none, isCommon: () => false },
      createLeakedPasswords(undefined),
    );
    const accounts = { ...accountStore, ...changes.accounts };
    const store = createPasswordStore();
    const mailLimit = createMailLimit(guesses, changes.mailsPerHour ?? 10);
    const take = createTakeForgottenPassword({ store, codes, mail, mailLimit, transact });
    const shared = { sessions, passwords, rules, audit, transact, devices };
    const service = createPasswordService({
      ...shared,
      ...{ accounts, store, codes, mail },
      ownerCheck: createOwnerCheck({ store: accounts, passwordCheck, failures, clock }),
      notice: createPasswordNotice({ codes, mail, clock }),
      lane: outbox.openLane(forgottenPasswordLane(take)),
    });
    const signInNotice = createSignInNotice({
      ...{ audit, mailLimit, codes, mail, clock, isWanted: false },
    });
    const signIn = createAccountService({
      ...shared,
      ...{ store: accounts, passwordCheck, failures, notice: signInNotice },
      signUps: { welcome: async () => {} },
      verification: { requireVerified: () => {} },
      leakWatch: { look: () => {}, close: async () => {} },
      missingPasswords: { note: () => {} },
      onRehashError: () => {},
    });
    return { ...replica, codes, passwords: service, accounts: signIn };
  }

  const replica = createReplica();
  const rowOf = async (userId: string) => {
    const [row] = await database.select().from(users).where(eq(users.id, userId));
    if (row === undefined) throw new Error('there is no such user');
    return row;
  };

  return {
    ...opened,
    ...replica,
    createReplica,
    mails,
    rowOf,
    /** Signs up, with a new address and a new password. */
    async addAccount() {
      const [email, password] = [`${randomBytes(6).toString('hex')}@example.com`, makePassword()];
      const { user, session } = await replica.accounts.signUp({ email, password }, visit());
      return { ...user, password, session, visitor: visit({ generateToken: session.generateToken }) };
    },
    /** A code of a mail. */
    async issue(
      { id, email }: { id: string; email: string },
      purpose: CodePurpose,
      context: Record<string, string> = {},
    ) {
      const { link, typed } = await transact((transaction) =>
        replica.codes.issue(transaction, { userId: id, purpose, email, context }),
      );
      return { link: String(link), typed: String(typed) };
    },
    /** The code in the last mail. */
    lastLink(): string {
      const data = mails.at(-1)?.data;
      if (data === undefined || !('link' in data)) throw new Error('there is no mail with a code');
      return String(data.link);
    },
    /** @returns the session of a generate token, alive or null */
    find: (generateToken: string) => replica.sessions.find(generateToken, CLIENT),
  };
}
