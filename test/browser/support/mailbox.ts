import type { Page } from 'playwright-core';
import type { CaughtMail, MailCatcher } from '../../support/mail-catcher.ts';

/** The pages of the club that mails lead to. */
export type MailPage = 'verify' | 'reset' | 'email-change' | 'email-undo' | 'not-me' | 'deletion-undo';

export type PageMail = CaughtMail & { link: string; code: string };

/** The next mail to this address that leads to this page; waits for it. Mails before it are dropped. */
export async function mailFor(catcher: MailCatcher, email: string, page: MailPage): Promise<PageMail> {
  for (;;) {
    const mail = await catcher.next(email);
    const { link, code } = mail;
    if (link !== null && code !== null && new URL(link).pathname === `/${page}`)
      return { ...mail, link, code };
  }
}

/** The calls that a page sends to Doorward, other than those for tokens. */
export function watchCalls(page: Page): string[] {
  const calls: string[] = [];
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith('/auth/') && pathname !== '/auth/token')
      calls.push(`${request.method()} ${pathname.slice('/auth'.length)}`);
  });
  return calls;
}

/** The part of the account page with this title. */
export function partOf(page: Page, title: string) {
  return page.getByRole('region', { name: title });
}
