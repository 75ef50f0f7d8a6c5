import type { CodeService } from '../codes/code-service.ts';
import type { Transaction } from '../db/database.ts';
import type { MailService } from '../mail/mail-service.ts';
import { sendCodeMail } from './code-mail.ts';

/** Who gets a mail. */
export type Addressee = {
  id: string;
  /** Canonical. */
  email: string;
  /** The language that the user chose; null: none. */
  locale: string | null;
};

type VerificationMailsParts = { codes: CodeService; mail: MailService };

export type VerificationMails = ReturnType<typeof createVerificationMails>;

/** The mails about whose address it is. Each has a code, which is good once the transaction has been committed. */
export function createVerificationMails(parts: VerificationMailsParts) {
  return {
    askToVerify,

    /**
     * The same mail again. Its code is bound to the browser that made the account, whoever asks: another one may belong to the
     * owner of the address, and must not verify an account with the password of somebody else.
     */
    async askAgain(transaction: Transaction, to: Addressee, languages: string | null): Promise<void> {
      const browserHash = await parts.codes.findBrowserHash(transaction, to.id, 'verify_email');
      await askToVerify(transaction, to, browserHash, languages);
    },

    /** To the owner of an account whose address somebody has signed up with. */
    async tellOwner(transaction: Transaction, to: Addressee, languages: string | null): Promise<void> {
      await sendCodeMail(transaction, parts, {
        template: 'known_address',
        wish: { userId: to.id, email: to.email, purpose: 'reset_password' },
        locale: to.locale ?? languages,
        more: {},
      });
    },
  };

  /**
   * The first mail to the address of a new account.
   * @param browserHash of the browser that signs up: there, the code is enough
   * @param languages the `Accept-Language` of the request
   */
  async function askToVerify(
    transaction: Transaction,
    to: Addressee,
    browserHash: Buffer | null,
    languages: string | null,
  ): Promise<void> {
    await sendCodeMail(transaction, parts, {
      template: 'verify_email',
      wish: { userId: to.id, email: to.email, purpose: 'verify_email', browserHash },
      locale: to.locale ?? languages,
      more: {},
    });
  }
}
