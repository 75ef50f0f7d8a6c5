import type { Transaction } from '../db/database.ts';
import type { Mail, MailTemplate } from './mail.ts';

/** What features send mails by. */
export type MailService = {
  /** Whether mails can be sent. Otherwise routes that need one answer 404. */
  isOn: boolean;
  /** Writes a mail in the transaction; it goes out once that has been committed. */
  send<Template extends MailTemplate>(transaction: Transaction, mail: Mail<Template>): Promise<void>;
  /** Takes back what waits for a user, of whom nothing must be kept. What is under way goes out. */
  withdraw(transaction: Transaction, userId: string): Promise<void>;
};
