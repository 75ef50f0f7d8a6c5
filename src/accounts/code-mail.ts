import type { CodeService, CodeWish } from '../codes/code-service.ts';
import type { Transaction } from '../db/database.ts';
import type { CodeInMail, Mail, MailTemplate } from '../mail/mail.ts';
import type { MailService } from '../mail/mail-service.ts';

type CodeTemplate = Exclude<MailTemplate, 'account_deleted'>;

export type CodeMail<Template extends CodeTemplate> = {
  template: Template;
  /** The code, and whom it goes to. */
  wish: CodeWish;
  /** The language that the user chose, or `Accept-Language`; null: English. */
  locale: string | null;
  /** What the mail says beside the code. */
  more: Omit<Mail<Template>['data'], keyof CodeInMail>;
};

/** Makes a code and writes the mail with it, in one transaction: neither is there alone. */
export async function sendCodeMail<Template extends CodeTemplate>(
  transaction: Transaction,
  { codes, mail }: { codes: CodeService; mail: MailService },
  { template, wish, locale, more }: CodeMail<Template>,
): Promise<void> {
  const { link, typed, goodForMs } = await codes.issue(transaction, wish);
  const data = { link, code: typed, goodForMs, ...more } as Mail<Template>['data'];
  await mail.send(transaction, { template, userId: wish.userId, to: wish.email, locale, data });
}
