import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService, OpenCode, PresentedCode } from '../codes/code-service.ts';
import { isLinkCode } from '../codes/one-time-code.ts';
import type { DatabaseClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import { type MailService, requireMail } from '../mail/mail-service.ts';
import type { SealedLane } from '../outbox/sealed-lane.ts';
import type { GuessLimit } from '../passwords/guess-limit.ts';
import type { SessionRecord } from '../sessions/session-rules.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { sendCodeMail } from './code-mail.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { EmailChangeAsked } from './email-change-asked.ts';
import type { ChangedAddress, EmailChangeStore, NewAddress } from './email-change-store.ts';
import type { OwnerCheck } from './owner-check.ts';
import type { User } from './user.ts';
import type { Visitor } from './visitor.ts';

/** Each may be a mail to a stranger. */
const ASK_BUDGET = { most: 10, windowMs: 3_600_000 };

type Asker = Pick<Visitor, 'device' | 'acceptLanguage'>;

/** What the former address is told of whoever changed it. */
type Told = {
  device: { ip: string | null; userAgent: string | null };
  acceptLanguage: string | null;
};

type EmailChangeParts = {
  store: EmailChangeStore;
  transact: Transact;
  rules: CredentialRules;
  ownerCheck: OwnerCheck;
  guesses: GuessLimit;
  codes: CodeService;
  sessions: SessionService;
  audit: AuditService;
  mail: MailService;
  clock: DatabaseClock;
  /** The outbox lane that sends the code to the new address. */
  asked: SealedLane<typeof EmailChangeAsked>;
};

export type EmailChangeService = ReturnType<typeof createEmailChangeService>;

/** The change of an account's address: the new mailbox proves itself, and the former one may undo that for a week. */
export function createEmailChangeService(parts: EmailChangeParts) {
  const { store, transact, rules, ownerCheck, guesses, codes, sessions, audit, mail, clock, asked } = parts;

  return {
    /**
     * Has a code sent to the new address, if no other account has it. Whether one has is not told, nor to be seen by the time
     * that this takes.
     * @throws AppError `not_found` when no mails can be sent; `validation_failed`; `rate_limited` after many; those of
     *   `ownerCheck.require`; `unavailable`
     */
    async ask(
      session: SessionRecord,
      { email, password }: { email: string; password?: string },
      { device, acceptLanguage: language }: Asker,
    ): Promise<void> {
      requireMail(mail);
      const { canonical, asTyped } = rules.readEmail(email);
      await ownerCheck.require(session, password, device);
      const { userId } = session;
      await guesses.take({ kind: 'email_change', id: userId }, ASK_BUDGET);
      await transact((transaction) =>
        asked.send(transaction, { userId, email: canonical, asTyped, language }),
      );
    },

    /**
     * Makes the address that the code went to the account's. Every other session ends, and the former address gets a mail
     * with a code that undoes this.
     * @param text the code of the link, or the one for typing
     * @throws AppError `not_found` when no mails can be sent; `invalid_code`, also when the address was taken meanwhile;
     *   `unavailable`
     */
    async confirm(session: SessionRecord, text: string, asker: Asker): Promise<User> {
      requireMail(mail);
      const { userId } = session;
      const code = await codes.check(
        'change_email',
        isLinkCode(text) ? { link: text } : { userId, typed: text },
      );
      if (code.userId !== userId) throw new AppError('invalid_code');
      await sessions.endSurplus(userId, session.id, 'email_changed', asker.device);
      return transact((transaction) => confirmWith(transaction, code, session, asker));
    },

    /**
     * Gives an account another address in the transaction of an operator, who has shown it to nobody: it is not verified.
     * The former address gets the mail with a code that undoes this.
     * @throws AppError `email_taken`, also when it is reserved; `not_signed_in` when the account is gone
     */
    async changeBy(transaction: Transaction, address: NewAddress): Promise<void> {
      const changed = await store.change(transaction, address, 'email_taken');
      await codes.spendAll(transaction, address.userId);
      // Neither the network nor the browser of the operator is anything to the user.
      const nowhere = { ip: null, userAgent: null };
      if (mail.isOn) await tellFormer(transaction, changed, { device: nowhere, acceptLanguage: null });
    },

    /**
     * Brings the former address back, to which the code was sent. Whoever changed it may know the password: it is dropped,
     * every session ends, and a code to set a new one goes to that address.
     * @throws AppError `not_found` when no mails can be sent; `invalid_code`; `email_taken` when another account has the
     *   address, which happens only to accounts that were not made by sign-up; `unavailable`
     */
    async undo(presented: PresentedCode, asker: Asker): Promise<void> {
      requireMail(mail);
      const code = await codes.check('undo_email_change', presented);
      await sessions.endSurplus(code.userId, null, 'disowned', asker.device);
      await transact((transaction) => undoWith(transaction, code, asker));
    },
  };

  async function confirmWith(
    transaction: Transaction,
    code: OpenCode,
    { id: sessionId, userId }: SessionRecord,
    asker: Asker,
  ): Promise<User> {
    await sessions.requireOpen(transaction, userId, sessionId);
    await codes.spend(transaction, code);
    // Who has asked for an address must not learn that another account has it.
    const changed = await store.change(transaction, addressOf(code), 'invalid_code');
    await codes.spendAll(transaction, userId);
    await sessions.endAllIn(transaction, userId, sessionId, 'email_changed', asker.device);
    await audit.record(transaction, {
      ...{ kind: 'email.changed', userId, actorId: userId, sessionId, device: asker.device },
      details: { from: changed.former.email, to: changed.user.email },
    });
    await tellFormer(transaction, changed, asker);
    return changed.user;
  }

  async function tellFormer(
    transaction: Transaction,
    { user, former }: ChangedAddress,
    { device: { ip, userAgent }, acceptLanguage }: Told,
  ): Promise<void> {
    const context = { as_typed: former.asTyped };
    await sendCodeMail(transaction, parts, {
      template: 'email_changed',
      wish: { userId: user.id, purpose: 'undo_email_change', email: former.email, context },
      locale: user.locale ?? acceptLanguage,
      more: { at: new Date(clock.now()), ip, userAgent, newEmail: user.emailAsTyped },
    });
  }

  async function undoWith(
    transaction: Transaction,
    code: OpenCode,
    { device, acceptLanguage }: Asker,
  ): Promise<void> {
    const { userId, email } = code;
    await codes.spend(transaction, code);
    const { former, user } = await store.change(transaction, addressOf(code), 'email_taken');
    await store.dropPassword(transaction, userId);
    await codes.spendAll(transaction, userId);
    await sessions.endAllIn(transaction, userId, null, 'disowned', device);
    await audit.record(transaction, {
      ...{ kind: 'email.change_undone', userId, actorId: null, device },
      details: { from: former.email, to: email },
    });
    await sendCodeMail(transaction, parts, {
      template: 'reset_password',
      wish: { userId, purpose: 'reset_password', email },
      locale: user.locale ?? acceptLanguage,
      more: {},
    });
  }
}

/** What a code that was sent to an address makes the account's address. */
function addressOf({ userId, email, context }: OpenCode) {
  return { userId, email, asTyped: String(context.as_typed) };
}
