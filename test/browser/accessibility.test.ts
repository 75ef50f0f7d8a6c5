import type { Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { checkAccessibility, SIZES } from './support/axe.ts';
import { launchChromium } from './support/chromium.ts';
import { openClub } from './support/club.ts';
import { goTo, goToSessions, hear, join, newVisitor, seeHeading, submit } from './support/visit.ts';

root.setTimeout(300_000);

/** With a code of a link they have fewer fields. */
const MAIL_PAGES = ['/forgot', '/reset', '/verify', '/not-me', '/not-me#code=from-a-mail', '/email-change'];

test('axe finds nothing wrong with the club, in Chromium', async (t) => {
  const [club, browser] = await Promise.all([openClub(t), launchChromium(t)]);
  for (const [size, viewport] of Object.entries(SIZES)) {
    await t.test(`on a ${size}, light and dark`, async (t) => {
      const context = await newVisitor(browser, club, { viewport, bypassCSP: true });
      await visitAll(t, await context.newPage());
      await context.close();
    });
  }
});

async function visitAll(t: Test, page: Page): Promise<void> {
  await page.goto('/sign-in');
  await seeHeading(page, 'Welcome back');
  await checkAccessibility(t, page, 'sign-in');
  await page.goto('/sign-up');
  await submit(page, { email: 'nobody', password: 'short' }, 'Join');
  await page.getByRole('alert').filter({ hasText: /./ }).first().waitFor();
  await checkAccessibility(t, page, 'sign-up, with errors');
  await page.goto('/nowhere');
  await seeHeading(page, 'There is no such page');
  await checkAccessibility(t, page, 'no such page');
  await join(page, newCredentials());
  await page.getByRole('button', { name: 'Add to cart: Enamel mug' }).click();
  await hear(page, 'Enamel mug is in your cart.');
  await checkAccessibility(t, page, 'catalogue');
  await goTo(page, 'Cart', 'Your cart');
  await checkAccessibility(t, page, 'cart');
  await page.getByRole('button', { name: 'Buy for' }).click();
  await hear(page, 'Thank you.');
  await page.getByRole('button', { name: 'Use the spent token again' }).click();
  await hear(page, 'Payments answered 401');
  await checkAccessibility(t, page, 'receipt, and a token that was refused');
  await goToSessions(page);
  await checkAccessibility(t, page, 'sessions');
  await visitAccount(t, page);
  await goToSessions(page);
  await page.locator('summary').click();
  await checkAccessibility(t, page, 'sessions, with the panel as it was not before');
}

/** The account page, and what mails lead to. */
async function visitAccount(t: Test, page: Page): Promise<void> {
  await goTo(page, 'Account', 'Your account');
  await page.getByRole('button', { name: 'Delete my account' }).click();
  await page.getByRole('button', { name: 'Change the password' }).click();
  await page.getByRole('alert').filter({ hasText: /./ }).first().waitFor();
  await checkAccessibility(t, page, 'account, with an error and a question');
  for (const path of MAIL_PAGES) {
    await page.goto(path);
    await page.locator('main form').waitFor();
    await checkAccessibility(t, page, path);
  }
}
