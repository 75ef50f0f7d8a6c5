import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService, OpenCode, PresentedCode } from '../codes/code-service.ts';
import type { CodePurpose } from '../codes/one-time-code.ts';
import { AppError } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import { type MailService, requireMail } from '../mail/mail-service.ts';
import type { SealedLane } from '../outbox/sealed-lane.ts';
import type { PasswordHasher } from '../passwords/password-hash.ts';
import type { Device } from '../sessions/device.ts';
import type { SessionRecord } from '../sessions/session-rules.ts';
import type { SessionService, StartedSession } from '../sessions/session-service.ts';
import type { AccountHolder, AccountStore } from './account-store.ts';
import type { MailWish } from './background-lane.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { KnownDevices } from './known-device.ts';
import type { OwnerCheck } from './owner-check.ts';
import type { PasswordNotice } from './password-notice.ts';
import type { PasswordStore } from './password-store.ts';
import type { User } from './user.ts';
import type { Visitor } from './visitor.ts';

type PasswordServiceParts = {
  accounts: AccountStore;
  store: PasswordStore;
  sessions: SessionService;
  passwords: PasswordHasher;
  codes: CodeService;
  mail: MailService;
  rules: CredentialRules;
  ownerCheck: OwnerCheck;
  notice: PasswordNotice;
  devices: KnownDevices;
  audit: AuditService;
  transact: Transact;
  lane: SealedLane<typeof MailWish>;
};

/** The codes that set a new password: all that were sent to the address of the account, and say so. */
const RESET_PURPOSES: CodePurpose[] = ['reset_password', 'invitation', 'verify_email', 'not_me'];

export type PasswordChange = {
  /** Undefined: the session must have signed in a short while ago. */
  currentPassword: string | undefined;
  newPassword: string;
};

export type PasswordReset = { presented: PresentedCode; password: string };

/** Whoever has just set a password is signed in with it. */
export type SignedInAnew = { user: User; session: StartedSession; deviceCookie: string };

type NewPassword = { passwordHash: string; reason: 'password_reset' | 'password_changed' };

/** What the transaction that sets a password leaves behind. */
type PasswordSet = { session: StartedSession; credentialsVersion: number };

export type PasswordService = ReturnType<typeof createPasswordService>;

/** New passwords: for those who have forgotten theirs, and for those who want another one. */
export function createPasswordService(parts: PasswordServiceParts) {
  const { accounts, store, sessions, passwords, codes, mail, rules, ownerCheck } = parts;
  const { notice, devices, audit, transact, lane } = parts;

  return {
    /**
     * Takes a wish for a new password, without looking whether the address has an account. The lane does the rest.
     * @throws AppError `not_found` when no mails can be sent; `validation_failed`, `unavailable`
     */
    async forgot(email: string, languages: string | null): Promise<void> {
      requireMail(mail);
      const { canonical } = rules.readEmail(email);
      await transact((transaction) => lane.send(transaction, { email: canonical, languages }));
    },

    /**
     * Sets a new password with the code of a mail. All sessions end, and a fresh one starts. The address is verified by that.
     * What somebody else did before that who did not own the address is undone: their sessions and their codes end too.
     * @throws AppError `invalid_code`, also for a banned account; `validation_failed`, and the code stays good;
     *   `rate_limited`, `overloaded`, `unavailable`
     */
    async reset({ presented, password }: PasswordReset, visitor: Visitor): Promise<SignedInAnew> {
      await passwords.requireRoom();
      const code = await codes.check(RESET_PURPOSES, presented);
      await rules.requireGoodPassword(password, code.email);
      const passwordHash = await passwords.hash(password);
      await sessions.endSurplus(code.userId, null, 'password_reset', visitor.device);
      const set = await transact((transaction) => resetWith(transaction, code, passwordHash, visitor));
      return signedInAnew(code.userId, set, visitor);
    },

    /**
     * Sets another password. All sessions end, and a fresh one takes the place of this one.
     * @throws AppError `invalid_credentials`, `reauthentication_required`; `not_signed_in` when the session has ended
     *   meanwhile; `validation_failed`, `rate_limited`, `overloaded`, `unavailable`
     */
    async change(
      session: SessionRecord,
      { currentPassword, newPassword }: PasswordChange,
      visitor: Visitor,
    ): Promise<SignedInAnew> {
      await passwords.requireRoom();
      await ownerCheck.require(session, currentPassword, visitor.device);
      await rules.requireGoodPassword(newPassword, session.claims.email, '/new_password');
      const passwordHash = await passwords.hash(newPassword);
      const { userId } = session;
      await sessions.endSurplus(userId, session.id, 'password_changed', visitor.device);
      const set = await transact((transaction) => changeWith(transaction, session, passwordHash, visitor));
      return signedInAnew(userId, set, visitor);
    },

    /**
     * Ends the session that a mail was about, or all of them if it was about none. The code stays good, so that a new
     * password can be set with it next.
     * @throws AppError `invalid_code`, `validation_failed`, `rate_limited`, `unavailable`
     */
    async disown(presented: PresentedCode, device: Device): Promise<void> {
      const code = await codes.check('not_me', presented);
      const { userId, context } = code;
      const { session_id: sessionId = null } = context;
      if (sessionId === null) await sessions.endSurplus(userId, null, 'disowned', device);
      await transact(async (transaction) => {
        if (sessionId === null) await sessions.endAllIn(transaction, userId, null, 'disowned', device);
        else await sessions.endOneIn(transaction, userId, sessionId, 'disowned', device);
        await audit.record(transaction, {
          ...{ kind: 'session.disowned', userId, actorId: null, device },
          ...(sessionId !== null && { sessionId }),
        });
      });
    },
  };

  async function resetWith(
    transaction: Transaction,
    code: OpenCode,
    passwordHash: string,
    visitor: Visitor,
  ): Promise<PasswordSet> {
    const owner = await store.findLocked(transaction, code.userId);
    // The code proves one mailbox, and the account may have another one by now.
    if (owner === null || !owner.isActive || owner.email !== code.email) throw new AppError('invalid_code');
    await codes.spend(transaction, code);
    // The owner of the address says that somebody else made the account.
    const isForeign = code.purpose === 'verify_email';
    if (isForeign) await store.clear(transaction, owner.id);
    const told = isForeign ? { ...owner, locale: null } : owner;
    const set = await setPassword(transaction, told, { passwordHash, reason: 'password_reset' }, visitor);
    await audit.record(transaction, {
      ...{ kind: 'password.reset', userId: owner.id, actorId: null, sessionId: set.session.id },
      ...{ device: visitor.device, details: { code: code.purpose, was_verified: owner.isVerified } },
    });
    return set;
  }

  async function changeWith(
    transaction: Transaction,
    session: SessionRecord,
    passwordHash: string,
    visitor: Visitor,
  ): Promise<PasswordSet> {
    const owner = await store.findLocked(transaction, session.userId);
    if (owner === null || !owner.isActive) throw new AppError('not_signed_in');
    // Whatever sets a password ends all sessions, so it is still the password that was checked.
    await sessions.requireOpen(transaction, owner.id, session.id);
    const set = await setPassword(transaction, owner, { passwordHash, reason: 'password_changed' }, visitor);
    await audit.record(transaction, {
      ...{ kind: 'password.changed', userId: owner.id, actorId: owner.id, sessionId: set.session.id },
      device: visitor.device,
    });
    return set;
  }

  /** The order matters: no session of before is left, and no code, and those of the new password come last. */
  async function setPassword(
    transaction: Transaction,
    owner: AccountHolder,
    { passwordHash, reason }: NewPassword,
    visitor: Visitor,
  ): Promise<PasswordSet> {
    const { device, generateToken: replaces } = visitor;
    const credentialsVersion = await store.setPassword(transaction, owner.id, passwordHash);
    await codes.spendAll(transaction, owner.id);
    if (reason === 'password_reset' && !owner.isVerified) await store.setVerified(transaction, owner.id);
    await sessions.endAllIn(transaction, owner.id, null, reason, device);
    const session = await sessions.start(transaction, owner.id, device, { replaces });
    await notice.send(transaction, owner, visitor);
    return { session, credentialsVersion };
  }

  async function signedInAnew(
    userId: string,
    { session, credentialsVersion }: PasswordSet,
    visitor: Visitor,
  ): Promise<SignedInAnew> {
    await sessions.warm(session.generateToken);
    const user = await accounts.findById(userId);
    if (user === null) throw new AppError('not_signed_in');
    const device = devices.read(visitor.deviceCookie);
    return { user, session, deviceCookie: devices.remember(device, { id: userId, credentialsVersion }) };
  }
}
