import { isIP } from 'node:net';
import { deviceName } from './device-name.ts';
import type { MailTemplate } from './mail.ts';
import type { MailFacts } from './mail-facts.ts';
import { durationText, instantText } from './mail-language.ts';

/** What templates can write. All have all of them; null: not in this mail. */
export type MailVariables = Record<(typeof VARIABLES)[number], string | null>;

const VARIABLES = [
  ...(['site', 'email', 'page', 'link', 'code', 'good_for', 'good_until'] as const),
  ...(['when', 'browser', 'system', 'place', 'new_email', 'due'] as const),
];

/** The page on which the code of a mail is used. */
const PAGES: Record<MailTemplate, string> = {
  verify_email: 'verify',
  known_address: 'reset',
  reset_password: 'reset',
  invitation: 'reset',
  reset_forced: 'reset',
  password_changed: 'not-me',
  new_device: 'not-me',
  change_email: 'email-change',
  email_changed: 'email-undo',
  deletion_asked: 'deletion-undo',
  account_deleted: '',
};

/** @param site names the service in mails, such as `accounts.example.com` */
export type MailPlace = { site: string; pagesUrl: string };

/** Longer than any value that is meant; what is longer was made to be seen instead of the rest. */
const MAX_LENGTH = 500;

/**
 * The values of a mail's variables, each in one line of printable characters.
 * @param writtenAt by the database's clock, in milliseconds since the epoch
 */
export function mailVariables(
  { template, to, data }: MailFacts,
  { site, pagesUrl }: MailPlace,
  writtenAt: number,
  locale: string,
): MailVariables {
  const { link = null, code = null, goodForMs, at, ip, userAgent = null, newEmail = null, dueAt } = data;
  const page = `${pagesUrl}/${PAGES[template]}`;
  const device = deviceName(userAgent);
  const instant = (text: string) => instantText(new Date(text), locale);
  return printable({
    site,
    email: to,
    page,
    // In the fragment, which reaches neither the logs of a server nor a Referer.
    link: link === null ? null : `${page}#code=${encodeURIComponent(link)}`,
    code,
    good_for: goodForMs === undefined ? null : durationText(goodForMs, locale),
    good_until: goodForMs === undefined ? null : instantText(new Date(writtenAt + goodForMs), locale),
    when: at === undefined ? null : instant(at),
    browser: device.browser,
    system: device.system,
    place: ip && isIP(ip) ? ip : null,
    new_email: newEmail,
    due: dueAt === undefined ? null : instant(dueAt),
  });
}

function printable(variables: MailVariables): MailVariables {
  const lines = Object.entries(variables).map(([name, value]) => [name, value && oneLine(value)]);
  return Object.fromEntries(lines);
}

function oneLine(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, '').slice(0, MAX_LENGTH);
}
