import type { CodeService } from '../codes/code-service.ts';
import type { DatabaseClock } from '../core/clock.ts';
import type { Transaction } from '../db/database.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { AccountHolder } from './account-store.ts';
import { sendCodeMail } from './code-mail.ts';
import type { Visitor } from './visitor.ts';

type PasswordNoticeParts = { codes: CodeService; mail: MailService; clock: DatabaseClock };

export type PasswordNotice = ReturnType<typeof createPasswordNotice>;

/** Tells owners that their password was set. It counts for no limit: whoever did it cannot keep it from them. */
export function createPasswordNotice(parts: PasswordNoticeParts) {
  return {
    /** Writes the mail, in the transaction that sets the password. Its code is for owners who did not do that. */
    async send(
      transaction: Transaction,
      { id: userId, email, locale }: AccountHolder,
      { device: { ip, userAgent }, acceptLanguage }: Visitor,
    ): Promise<void> {
      if (!parts.mail.isOn) return;
      await sendCodeMail(transaction, parts, {
        template: 'password_changed',
        wish: { userId, purpose: 'not_me', email },
        locale: locale ?? acceptLanguage,
        more: { at: new Date(parts.clock.now()), ip, userAgent },
      });
    },
  };
}
