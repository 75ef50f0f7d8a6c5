import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import type { DatabaseClock } from '../core/clock.ts';
import type { Transaction } from '../db/database.ts';
import type { MailService } from '../mail/mail-service.ts';
import { sendCodeMail } from './code-mail.ts';
import type { MailLimit } from './mail-limit.ts';
import type { Visitor } from './visitor.ts';

/** What becomes of the mail about a sign-in from a new device; `off`: there are no such mails. */
export type NoticeMail = 'sent' | 'too_many' | 'off';

/** A sign-in that is about to be committed. */
export type SignIn = {
  account: { id: string; email: string; locale: string | null };
  sessionId: string;
  visitor: Visitor;
  /** Null: the device is known. */
  mail: NoticeMail | null;
};

type SignInNoticeParts = {
  audit: AuditService;
  codes: CodeService;
  mail: MailService;
  mailLimit: MailLimit;
  clock: DatabaseClock;
  /** `NEW_DEVICE_MAIL` */
  isWanted: boolean;
};

export type SignInNotice = ReturnType<typeof createSignInNotice>;

/** Writes down each sign-in, and tells the owner of one from a device that was not seen before. */
export function createSignInNotice(parts: SignInNoticeParts) {
  const { audit, mail, mailLimit, clock, isWanted } = parts;

  return {
    /**
     * Takes a mail from the hour's budget of the address. Call it before the transaction.
     * @throws AppError `unavailable`
     */
    async reserveMail(email: string): Promise<NoticeMail> {
      if (!isWanted || !mail.isOn) return 'off';
      // A sign-in does not fail because somebody had many mails sent to its owner.
      return (await mailLimit.tryTake(email)) ? 'sent' : 'too_many';
    },

    /** Writes what happened, and the mail if one was reserved, in the transaction that starts the session. */
    async record(transaction: Transaction, signIn: SignIn): Promise<void> {
      const { account, sessionId, visitor, mail } = signIn;
      await audit.record(transaction, {
        kind: 'session.started',
        userId: account.id,
        actorId: account.id,
        sessionId,
        device: visitor.device,
        details: mail === null ? { new_device: false } : { new_device: true, mail },
      });
      if (mail === 'sent') await sendMail(transaction, signIn);
    },
  };

  async function sendMail(transaction: Transaction, { account, sessionId, visitor }: SignIn): Promise<void> {
    const { id: userId, email, locale } = account;
    const { ip, userAgent } = visitor.device;
    const wish = { userId, purpose: 'not_me', email, context: { session_id: sessionId } } as const;
    await sendCodeMail(transaction, parts, {
      template: 'new_device',
      wish,
      locale: locale ?? visitor.acceptLanguage,
      more: { at: new Date(clock.now()), ip, userAgent },
    });
  }
}
