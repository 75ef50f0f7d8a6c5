import type { CodeService } from '../codes/code-service.ts';
import { CODE_LIFE_MS } from '../codes/one-time-code.ts';
import type { DatabaseClock } from '../core/clock.ts';
import type { Transaction } from '../db/database.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { PasswordOwner } from './password-store.ts';
import type { Visitor } from './visitor.ts';

type PasswordNoticeParts = { codes: CodeService; mail: MailService; clock: DatabaseClock };

export type PasswordNotice = ReturnType<typeof createPasswordNotice>;

/** Tells owners that their password was set. It counts for no limit: whoever did it cannot keep it from them. */
export function createPasswordNotice({ codes, mail, clock }: PasswordNoticeParts) {
  return {
    /** Writes the mail, in the transaction that sets the password. Its code is for owners who did not do that. */
    async send(
      transaction: Transaction,
      { id: userId, email, locale }: PasswordOwner,
      { device, acceptLanguage }: Visitor,
    ): Promise<void> {
      if (!mail.isOn) return;
      const purpose = 'not_me';
      const { link, typed } = await codes.issue(transaction, { userId, purpose, email });
      await mail.send(transaction, {
        template: 'password_changed',
        userId,
        to: email,
        locale: locale ?? acceptLanguage,
        data: {
          ...{ link, code: typed, goodForMs: CODE_LIFE_MS[purpose] },
          ...{ at: new Date(clock.now()), ...device },
        },
      });
    },
  };
}
