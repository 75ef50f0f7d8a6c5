import { randomBytes, randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { createCredentialRules } from '../../src/accounts/credential-rules.ts';
import { createKnownDevices } from '../../src/accounts/known-device.ts';
import { createMailLimit } from '../../src/accounts/mail-limit.ts';
import type { PasswordGuess } from '../../src/accounts/password-check.ts';
import type { SignUp } from '../../src/accounts/sign-up-lane.ts';
import { createSignUpWork } from '../../src/accounts/sign-up-work.ts';
import { createVerificationMails } from '../../src/accounts/verification-mails.ts';
import { createVerificationService } from '../../src/accounts/verification-service.ts';
import { createVerificationStore } from '../../src/accounts/verification-store.ts';
import { createAuditService } from '../../src/audit/audit-service.ts';
import { createAuditStore } from '../../src/audit/audit-store.ts';
import { createCodeService } from '../../src/codes/code-service.ts';
import { createCodeStore } from '../../src/codes/code-store.ts';
import type { Mail } from '../../src/mail/mail.ts';
import { createGuessLimit } from '../../src/passwords/guess-limit.ts';
import { createGuessStore } from '../../src/passwords/guess-store.ts';
import { createLeakedPasswords } from '../../src/passwords/leaked-passwords.ts';
import { createWordList } from '../../src/passwords/word-list.ts';
import { openSessions } from './services.ts';

const device = { ip: '192.0.2.1', userAgent: 'Lynx' };
export const visitor = { device, generateToken: null, deviceCookie: null, acceptLanguage: null };

/**
 * Sign-ups and verification on a real PostgreSQL, without HTTP and with passwords that are their own hash.
 * @param mostMails to an address in an hour
 */
export async function openSignUps(t: Test, mostMails = 1_000) {
  const opened = await openSessions(t);
  const { database, transact } = opened;
  const { sessions } = opened.createReplica();
  const mails: Mail[] = [];
  const mail = {
    isOn: true,
    send: async (_: unknown, one: Mail) => void mails.push(one),
    withdraw: async () => {},
  };
  const guesses = createGuessLimit(createGuessStore(database));
  const codes = createCodeService({ store: createCodeStore(database), style: 'both', guesses, transact });
  const parts = {
    ...{ transact, sessions, codes, mail },
    accounts: createAccountStore(database),
    applicants: createVerificationStore(),
    audit: createAuditService(createAuditStore(database), { note: () => {} }, Date.now),
    mails: createVerificationMails({ codes, mail }),
    mailLimit: createMailLimit(guesses, mostMails),
  };
  const none = createWordList([]);
  const issuer = 'https://auth.example.com';
  const verificationParts = {
    ...parts,
    devices: createKnownDevices({ issuer, keyEncryptionKey: randomBytes(32) }),
    rules: createCredentialRules(
      { minLength: 8, serviceNames: none, blockedWords: none, isCommon: () => false },
      createLeakedPasswords(undefined),
    ),
    passwordCheck: { matches: async ({ hash, password }: PasswordGuess) => hash === password },
    lane: { send: async () => {} },
    isRequired: true,
    onAskError: (_error: unknown): void => {},
  };
  const verificationWith = (changes: Partial<typeof verificationParts>) =>
    createVerificationService({ ...verificationParts, ...changes });
  /** The code of the last mail to the address. */
  const lastLinkTo = (email: string): string => {
    const data = mails.findLast(({ to }) => to === email)?.data as { link: string };
    return data.link;
  };
  const work = createSignUpWork(parts);
  const verification = verificationWith({});
  return { ...opened, ...parts, work, verification, verificationWith, sent: mails, lastLinkTo };
}

/** A sign-up with a new address, or the one given. */
export function newSignUp(email = `${randomUUID()}@example.com`): SignUp & { secretHash: Buffer } {
  const secretHash = randomBytes(32);
  return {
    id: randomUUID(),
    email,
    emailAsTyped: email,
    passwordHash: randomBytes(16).toString('hex'),
    browserHash: secretHash.toString('hex'),
    device,
    languages: 'de',
    secretHash,
  };
}
