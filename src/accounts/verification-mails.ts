import type { CodeService, CodeWish } from '../codes/code-service.ts';
import { CODE_LIFE_MS } from '../codes/one-time-code.ts';
import type { Transaction } from '../db/database.ts';
import type { CodeInMail } from '../mail/mail.ts';
import type { MailService } from '../mail/mail-service.ts';

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
export function createVerificationMails({ codes, mail }: VerificationMailsParts) {
  return {
    askToVerify,

    /**
     * The same mail again. Its code is bound to the browser that made the account, whoever asks: another one may belong to the
     * owner of the address, and must not verify an account with the password of somebody else.
     */
    async askAgain(transaction: Transaction, to: Addressee, languages: string | null): Promise<void> {
      const browserHash = await codes.findBrowserHash(transaction, to.id, 'verify_email');
      await askToVerify(transaction, to, browserHash, languages);
    },

    /** To the owner of an account whose address somebody has signed up with. */
    async tellOwner(transaction: Transaction, to: Addressee, languages: string | null): Promise<void> {
      const data = await issue(transaction, { ...wishFor(to), purpose: 'reset_password' });
      await mail.send(transaction, { ...headOf(to, languages), template: 'known_address', data });
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
    const data = await issue(transaction, { ...wishFor(to), purpose: 'verify_email', browserHash });
    await mail.send(transaction, { ...headOf(to, languages), template: 'verify_email', data });
  }

  async function issue(transaction: Transaction, wish: CodeWish): Promise<CodeInMail> {
    const { link, typed } = await codes.issue(transaction, wish);
    return { link, code: typed, goodForMs: CODE_LIFE_MS[wish.purpose] };
  }
}

function wishFor({ id, email }: Addressee) {
  return { userId: id, email };
}

function headOf({ id, email, locale }: Addressee, languages: string | null) {
  return { userId: id, to: email, locale: locale ?? languages };
}
