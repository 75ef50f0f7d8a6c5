import type { MailTemplate } from './mail.ts';

/** A mail as it waits in the outbox, sealed. */
export type MailFacts = {
  template: MailTemplate;
  to: string;
  locale: string | null;
  data: FactsInMail;
};

/** What templates may say. Which members there are follows from the template. Instants are in the form of RFC 3339. */
export type FactsInMail = {
  link?: string | null;
  code?: string | null;
  goodForMs?: number;
  at?: string;
  ip?: string | null;
  userAgent?: string | null;
  newEmail?: string;
  dueAt?: string;
};

/** What the recipient reads. */
export type MailContent = { subject: string; text: string; html: string };
