import { randomBytes } from 'node:crypto';
import type { MailTemplate } from '../../src/mail/mail.ts';
import type { FactsInMail, MailFacts } from '../../src/mail/mail-facts.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

export const AT = '2026-11-26T20:38:00.000Z';
const USER_AGENT = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';

const deed = { at: AT, ip: '192.0.2.7', userAgent: USER_AGENT };

/** The mails: what each says beside a code, and for how long its code is good (null: it has none). */
export const MAILS: Record<MailTemplate, { goodForMs: number | null; data: FactsInMail; page: string }> = {
  verify_email: { goodForMs: DAY_MS, data: {}, page: 'verify' },
  known_address: { goodForMs: 10 * MINUTE_MS, data: {}, page: 'reset' },
  reset_password: { goodForMs: 10 * MINUTE_MS, data: {}, page: 'reset' },
  password_changed: { goodForMs: 7 * DAY_MS, data: deed, page: 'not-me' },
  change_email: { goodForMs: 10 * MINUTE_MS, data: {}, page: 'email-change' },
  email_changed: {
    goodForMs: 7 * DAY_MS,
    data: { ...deed, newEmail: 'new@example.com' },
    page: 'email-undo',
  },
  new_device: { goodForMs: 7 * DAY_MS, data: deed, page: 'not-me' },
  deletion_asked: { goodForMs: 7 * DAY_MS, data: { dueAt: AT }, page: 'deletion-undo' },
  invitation: { goodForMs: 7 * DAY_MS, data: {}, page: 'reset' },
  reset_forced: { goodForMs: DAY_MS, data: {}, page: 'reset' },
  account_deleted: { goodForMs: null, data: {}, page: '' },
};

export const TEMPLATES = Object.keys(MAILS) as MailTemplate[];
export const STYLES = ['link', 'code', 'both', 'none'] as const;
export type Style = (typeof STYLES)[number];

/** A mail of a template, with its code in this style. */
export function mailOf(
  template: MailTemplate,
  style: Style = 'both',
  changes: Partial<MailFacts> = {},
): MailFacts {
  const { goodForMs, data } = MAILS[template];
  const link = style === 'link' || style === 'both' ? randomBytes(32).toString('base64url') : null;
  const code = style === 'code' || style === 'both' ? '7K3M-9QXD' : null;
  return {
    ...{ template, to: 'ada@example.com', locale: 'en' },
    data: { ...data, ...(goodForMs !== null && { link, code, goodForMs }) },
    ...changes,
  };
}
