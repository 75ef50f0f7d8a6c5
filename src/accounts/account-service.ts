import { v7 as uuidv7 } from 'uuid';
import type { AuditService } from '../audit/audit-service.ts';
import { channels, tellOutcome } from '../core/channels.ts';
import { AppError } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { PasswordHasher } from '../passwords/password-hash.ts';
import { normalizePassword } from '../passwords/password-policy.ts';
import type { SessionService, StartedSession } from '../sessions/session-service.ts';
import { type AccountStore, FIRST_CREDENTIALS_VERSION, type FoundAccount } from './account-store.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { FailedSignIns, GuessNotes } from './failed-sign-ins.ts';
import type { KnownDevices } from './known-device.ts';
import type { LeakWatch } from './leak-watch.ts';
import type { MissingPasswords } from './missing-password.ts';
import type { PasswordCheck } from './password-check.ts';
import type { NoticeMail, SignInNotice } from './sign-in-notice.ts';
import type { SignUpService } from './sign-up-service.ts';
import type { User } from './user.ts';
import type { VerificationService } from './verification-service.ts';
import type { Visitor } from './visitor.ts';

export type Credentials = { email: string; password: string };

type AccountServiceParts = {
  store: AccountStore;
  sessions: SessionService;
  passwords: PasswordHasher;
  transact: Transact;
  passwordCheck: PasswordCheck;
  rules: CredentialRules;
  signUps: Pick<SignUpService, 'welcome'>;
  verification: Pick<VerificationService, 'requireVerified'>;
  devices: KnownDevices;
  notice: SignInNotice;
  audit: AuditService;
  failures: FailedSignIns;
  leakWatch: LeakWatch;
  missingPasswords: Pick<MissingPasswords, 'note'>;
  /** Called when a stronger hash could not be stored; the sign-in itself succeeded. */
  onRehashError(error: unknown): void;
};

type SignedIn = {
  user: User;
  session: StartedSession;
  /** For the cookie by which the device is known from now on. */
  deviceCookie: string;
};

export type AccountService = ReturnType<typeof createAccountService>;

/** Sign-up and sign-in: the only two ways in. */
export function createAccountService(parts: AccountServiceParts) {
  const { store, sessions, passwords, passwordCheck, rules, signUps, verification } = parts;
  const { devices, notice, audit, failures, leakWatch, transact } = parts;

  return {
    /**
     * Makes an account and signs it in, both or neither.
     * @throws AppError `validation_failed`, `email_taken`, `overloaded`, `unavailable`
     */
    signUp: (credentials: Credentials, visitor: Visitor): Promise<SignedIn> =>
      tellOutcome(channels.signUp, () => signUp(credentials, visitor)),

    /**
     * Checks the password and starts a session. An unknown address costs as many hashes, so its time is the same.
     * @throws AppError `validation_failed`, `invalid_credentials`, `rate_limited` after many wrong ones, `overloaded`,
     *   `unavailable`
     */
    signIn: (credentials: Credentials, visitor: Visitor): Promise<SignedIn> =>
      tellOutcome(channels.signIn, () =>
        failures.watch({ device: visitor.device }, (notes) => signIn(credentials, visitor, notes)),
      ),
  };

  async function signUp({ email, password }: Credentials, visitor: Visitor): Promise<SignedIn> {
    await passwords.requireRoom();
    const address = rules.readEmail(email);
    await rules.requireGoodPassword(password, address.canonical);
    const passwordHash = await passwords.hash(password);
    const values = { id: uuidv7(), email: address.canonical, emailAsTyped: address.asTyped, passwordHash };
    const { user, session } = await transact(async (transaction) => {
      const user = await store.insert(transaction, values);
      if (user === null) throw new AppError('email_taken');
      const sessionId = uuidv7();
      await recordSignUp(transaction, user.id, sessionId, visitor);
      const session = await startSession(transaction, user.id, sessionId, visitor);
      await signUps.welcome(transaction, user, visitor);
      return { user, session };
    });
    await sessions.warm(session.generateToken);
    const known = { id: user.id, credentialsVersion: FIRST_CREDENTIALS_VERSION };
    return {
      user,
      session,
      deviceCookie: devices.remember(devices.read(visitor.deviceCookie), known),
    };
  }

  async function signIn(
    { email, password }: Credentials,
    visitor: Visitor,
    notes: GuessNotes,
  ): Promise<SignedIn> {
    await passwords.requireRoom();
    const { canonical } = rules.readEmail(email);
    const found = await store.findByEmail(canonical);
    notes.about(canonical, found);
    const device = devices.read(visitor.deviceCookie);
    const isKnown = devices.knows(device, found);
    // No password is right for a banned account, so that it is counted like one that does not exist.
    const hash = found?.status === 'active' ? found.passwordHash : null;
    const knownAs = isKnown ? device.id : null;
    const matches = await passwordCheck.matches({ email: canonical, hash, password, knownAs });
    if (found === null || !matches) {
      parts.missingPasswords.note(found, visitor.acceptLanguage);
      throw new AppError('invalid_credentials');
    }
    notes.otherwise('not_verified');
    verification.requireVerified(found, visitor);
    notes.otherwise('account_changed');
    await strengthenHash(found.id, String(hash), password).catch(parts.onRehashError);
    const mail = isKnown ? null : await notice.reserveMail(canonical);
    const session = await transact((transaction) => startChecked(transaction, found, visitor, mail));
    await sessions.warm(session.generateToken);
    leakWatch.look(found, password, { sessionId: session.id, device: visitor.device });
    const { passwordHash, credentialsVersion, ...user } = found;
    return { user, session, deviceCookie: devices.remember(device, found) };
  }

  /**
   * The event goes first: it is on its way while the session is written, and so costs no round trip.
   * @throws AppError `invalid_credentials` when the account was changed after its password was checked
   */
  async function startChecked(
    transaction: Transaction,
    account: FoundAccount,
    visitor: Visitor,
    mail: NoticeMail | null,
  ): Promise<StartedSession> {
    if (!(await store.stillHolds(transaction, account))) throw new AppError('invalid_credentials');
    const sessionId = uuidv7();
    await notice.record(transaction, { account, sessionId, visitor, mail });
    return startSession(transaction, account.id, sessionId, visitor);
  }

  function startSession(
    transaction: Transaction,
    userId: string,
    id: string,
    { device, generateToken }: Visitor,
  ): Promise<StartedSession> {
    return sessions.start(transaction, userId, device, { id, replaces: generateToken });
  }

  function recordSignUp(
    transaction: Transaction,
    userId: string,
    sessionId: string,
    { device }: Visitor,
  ): Promise<void> {
    const event = { kind: 'account.created', userId, actorId: userId, sessionId, device } as const;
    return audit.record(transaction, event);
  }

  /** Also when the hash may be of another form of the password, which cannot be typed on every keyboard. */
  async function strengthenHash(userId: string, oldHash: string, password: string): Promise<void> {
    if (!passwords.needsRehash(oldHash) && password === normalizePassword(password)) return;
    await store.replacePasswordHash(userId, oldHash, await passwords.hash(password));
  }
}
