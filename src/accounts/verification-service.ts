import { timingSafeEqual } from 'node:crypto';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService, OpenCode } from '../codes/code-service.ts';
import { AppError } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import { type MailService, requireMail } from '../mail/mail-service.ts';
import type { SealedLane } from '../outbox/sealed-lane.ts';
import type { SessionRecord } from '../sessions/session-rules.ts';
import type { SessionService, StartedSession } from '../sessions/session-service.ts';
import type { MailWish } from './background-lane.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { DeviceMark, KnownDevices } from './known-device.ts';
import type { MailLimit } from './mail-limit.ts';
import type { PasswordCheck } from './password-check.ts';
import { readPresentedCode } from './presented-code.ts';
import type { User } from './user.ts';
import type { VerificationMails } from './verification-mails.ts';
import type { Applicant, VerificationStore } from './verification-store.ts';
import type { Visitor } from './visitor.ts';

type VerificationServiceParts = {
  applicants: VerificationStore;
  sessions: SessionService;
  codes: CodeService;
  rules: CredentialRules;
  passwordCheck: PasswordCheck;
  devices: KnownDevices;
  transact: Transact;
  audit: AuditService;
  mail: MailService;
  mails: VerificationMails;
  mailLimit: MailLimit;
  lane: SealedLane<typeof MailWish>;
  /** Whether nobody gets a session before the address is verified. */
  isRequired: boolean;
  /** Called when a mail that no answer waits for could not be asked for. */
  onAskError(error: unknown): void;
};

/** With what somebody shows that the account is theirs: the code shows no more than that they read its mailbox. */
export type OwnershipProof = {
  /** The live session of the request. */
  session: SessionRecord | null;
  /** SHA-256 of the secret of the browser. */
  browserHash: Buffer | null;
  password: string | undefined;
};

export type Verified = {
  user: User;
  /** The one that was started; null if the browser has one of this user already. */
  session: StartedSession | null;
  /** By which the browser is known again. */
  deviceCookie: string;
};

export type VerificationService = ReturnType<typeof createVerificationService>;

/** Shows whose an address is. */
export function createVerificationService(parts: VerificationServiceParts) {
  const { applicants, sessions, codes, rules, passwordCheck, devices } = parts;
  const { transact, audit, mail, mails, mailLimit, lane, isRequired, onAskError } = parts;

  return {
    /**
     * Verifies the address that a code was sent to. Somebody else may have made the account, with a password that they know;
     * so the browser that signed up, the password, or a session of the account is needed as well.
     * @throws AppError `validation_failed`; `invalid_code`; `password_required`, and the code stays good; `rate_limited`,
     *   `overloaded`, `unavailable`
     */
    async verify(
      presented: { code: string; email?: string },
      proof: OwnershipProof,
      visitor: Visitor,
    ): Promise<Verified> {
      requireMail(mail);
      const code = await codes.check('verify_email', readPresentedCode(presented, rules));
      const device = devices.read(visitor.deviceCookie);
      const owner = await getOwner(code);
      await requireOwner(owner, code, proof, device);
      const isSignedIn = proof.session?.userId === owner.id;
      const verified = await transact((transaction) => complete(transaction, code, visitor, isSignedIn));
      if (verified.session !== null) await sessions.warm(verified.session.generateToken);
      return { ...verified, deviceCookie: devices.remember(device, owner) };
    },

    /**
     * Sends a mail to the own address of somebody who is signed in. One that is verified gets none.
     * @throws AppError `not_signed_in` when the account is gone; `not_found` without mails; `rate_limited`, `unavailable`
     */
    async sendOwn({ userId, claims }: SessionRecord, languages: string | null): Promise<void> {
      requireMail(mail);
      await mailLimit.take(claims.email);
      await transact(async (transaction) => {
        const to = await applicants.findById(transaction, userId);
        if (to === null) throw new AppError('not_signed_in');
        if (!to.isVerified) await mails.askAgain(transaction, to, languages);
      });
    },

    /**
     * Takes a wish for a mail to any address without looking whether it has an account. The lane does the rest.
     * @throws AppError `validation_failed`; `not_found` without mails; `unavailable`
     */
    async ask(email: string, languages: string | null): Promise<void> {
      requireMail(mail);
      const { canonical } = rules.readEmail(email);
      await transact((transaction) => lane.send(transaction, { email: canonical, languages }));
    },

    /**
     * Refuses somebody who has just shown the right password of an account, if its address must be verified first, as if the
     * password were wrong. The owner gets another mail. The answer does not wait for that: it would take longer than that of
     * a wrong password.
     * @throws AppError `invalid_credentials`
     */
    requireVerified({ email, emailVerifiedAt }: User, { acceptLanguage }: Visitor): void {
      if (!isRequired || emailVerifiedAt !== null) return;
      transact((transaction) => lane.send(transaction, { email, languages: acceptLanguage })).catch(
        onAskError,
      );
      throw new AppError('invalid_credentials');
    },
  };

  async function getOwner({ userId, email }: OpenCode): Promise<Applicant> {
    const owner = await transact((transaction) => applicants.findById(transaction, userId));
    if (owner === null || !owner.isActive || owner.email !== email) throw new AppError('invalid_code');
    return owner;
  }

  async function requireOwner(
    owner: Applicant,
    code: OpenCode,
    { session, browserHash, password }: OwnershipProof,
    device: DeviceMark,
  ): Promise<void> {
    if (session?.userId === owner.id || isSame(code.browserHash, browserHash)) return;
    if (password === undefined)
      throw new AppError('password_required', { detail: 'Send the password of the account as well.' });
    const { email, passwordHash: hash } = owner;
    const knownAs = devices.knows(device, owner) ? device.id : null;
    if (await passwordCheck.matches({ email, hash, password, knownAs })) return;
    throw new AppError('password_required', { detail: 'That is not the password of the account.' });
  }

  async function complete(
    transaction: Transaction,
    code: OpenCode,
    { device, generateToken }: Visitor,
    isSignedIn: boolean,
  ): Promise<Pick<Verified, 'user' | 'session'>> {
    const { userId, email } = code;
    // The account first, as whatever else changes both: of two at a time, one waits for the other, and never both.
    const user = await applicants.verify(transaction, { id: userId, email });
    if (user === null) throw new AppError('invalid_code');
    await codes.spend(transaction, code);
    await sessions.claimsChanged(transaction, userId);
    const session = isSignedIn
      ? null
      : await sessions.start(transaction, userId, device, { replaces: generateToken });
    await audit.record(transaction, {
      ...{ kind: 'email.verified', userId, actorId: userId, device },
      ...(session !== null && { sessionId: session.id }),
    });
    return { user, session };
  }
}

function isSame(one: Buffer | null, other: Buffer | null): boolean {
  return one !== null && other !== null && timingSafeEqual(one, other);
}
