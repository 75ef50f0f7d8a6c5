import type { Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { SIZES } from './support/axe.ts';
import { launchChromium } from './support/chromium.ts';
import { openClub } from './support/club.ts';
import { goTo, goToSessions, hear, join, newVisitor, seeHeading } from './support/visit.ts';

root.setTimeout(300_000);

/** What users may set in their browser: the spacing of WCAG 2.2, 1.4.12, and letters of twice the size. */
const USER_STYLES = [
  '* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important }',
  'html { font-size: 200% }',
];

const [club, browser] = await Promise.all([openClub(root), launchChromium(root)]);

/** Opens a page of the club on a small phone. */
async function onPhone(t: Test, options: object = {}): Promise<Page> {
  const context = await newVisitor(browser, club, { viewport: SIZES.phone, bypassCSP: true, ...options });
  t.teardown(() => context.close());
  return context.newPage();
}

async function fillCart(page: Page): Promise<void> {
  await join(page, newCredentials());
  for (const name of ['Reading lamp', 'Notebook', 'Brass key']) {
    await page.getByRole('button', { name: `Add to cart: ${name}` }).click();
    await hear(page, `${name} is in your cart.`);
  }
}

/** Fails if the page must be scrolled sideways, or if a user cannot get to a part of it. */
async function fits(t: Test, page: Page, name: string): Promise<void> {
  for (const css of USER_STYLES) {
    await page.addStyleTag({ content: css });
    t.strictSame(await page.evaluate(STICKING_OUT), [], `${name} with ${css}`);
    await page.evaluate('document.querySelector("style").remove()');
  }
}

/** For the page: what is wider than the window. The table of the cart may scroll by itself. */
const STICKING_OUT = `[...document.querySelectorAll('body *')]
  .filter((node) => node.checkVisibility() && !node.closest('.unseen, .skip, .scrolls *'))
  .filter((node) => node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((node) => node.outerHTML.slice(0, 80))`;

test('nothing sticks out on a phone with larger letters or more space between them', async (t) => {
  const page = await onPhone(t);
  await page.goto('/sign-in');
  await seeHeading(page, 'Welcome back');
  await fits(t, page, 'sign-in');
  await fillCart(page);
  await fits(t, page, 'catalogue');
  await goTo(page, 'Cart', 'Your cart');
  await fits(t, page, 'cart');
  await page.getByRole('button', { name: 'Buy for' }).click();
  await hear(page, 'Thank you.');
  await page.getByRole('button', { name: 'Use the spent token again' }).click();
  await hear(page, 'Payments answered 401');
  await fits(t, page, 'receipt');
  await goToSessions(page);
  await fits(t, page, 'sessions');
  await page.locator('summary').click();
  await fits(t, page, 'the open panel');
  await goTo(page, 'Account', 'Your account');
  await page.getByRole('button', { name: 'Delete my account' }).click();
  await fits(t, page, 'account');
  await page.goto('/reset');
  await page.getByLabel('Code').waitFor();
  await fits(t, page, 'reset');
});

test('the links at the top stay in one line, also with a number at the cart', async (t) => {
  const page = await onPhone(t);
  await fillCart(page);
  const tops =
    'new Set([...document.querySelectorAll("nav a")].map((a) => a.getBoundingClientRect().top)).size';
  t.equal(await page.evaluate(tops), 1);
  t.ok(Number(await page.evaluate('document.querySelector("nav").clientHeight')) < 50);
});

test('what has the focus is never below the status line', async (t) => {
  const page = await onPhone(t);
  await fillCart(page);
  await page.locator('summary').focus();
  let seen = 0;
  while ((await page.evaluate('document.activeElement.className')) !== 'skip') {
    await page.keyboard.press('Shift+Tab');
    const name: string = await page.evaluate('document.activeElement.textContent');
    t.equal(await page.evaluate(WHAT_COVERS), null, name);
    seen += 1;
  }
  t.ok(seen > 8, `${seen} controls`);
});

test('the button that sends the spent token stays in sight when the answer is longer than the screen', async (t) => {
  const page = await onPhone(t);
  await fillCart(page);
  await goTo(page, 'Cart', 'Your cart');
  await page.getByRole('button', { name: 'Buy for' }).click();
  await hear(page, 'Thank you.');
  await page.getByRole('button', { name: 'Use the spent token again' }).focus();
  await page.keyboard.press('Enter');
  await hear(page, 'Payments answered 401');
  t.match(await page.evaluate('document.activeElement.textContent'), 'Use the spent token again');
  t.equal(await page.evaluate(WHAT_COVERS), null);
});

/** For the page: what is above the upper edge of the element that has the focus. */
const WHAT_COVERS = `(() => {
  const node = document.activeElement;
  const { left, top, width } = node.getBoundingClientRect();
  const found = document.elementFromPoint(left + width / 2, top + 3);
  return node.contains(found) ? null : (found?.outerHTML ?? 'out of sight');
})()`;

test('the link that skips the header keeps what was typed, and the address', async (t) => {
  const page = await onPhone(t);
  await page.goto('/sign-up');
  await page.getByLabel('Password').fill('typed before');
  await page.getByRole('link', { name: 'Skip to the content' }).focus();
  await page.keyboard.press('Enter');
  t.equal(await page.evaluate('document.activeElement.id'), 'main');
  await page.keyboard.press('Tab');
  t.equal(
    await page.evaluate('document.activeElement.id'),
    'email',
    'the next control is the first of the page',
  );
  t.equal(await page.getByLabel('Password').inputValue(), 'typed before');
  t.equal(page.url(), `${club.origin}/sign-up`);
});

test('with colours of the user, the link of the page that is shown still looks different', async (t) => {
  const page = await onPhone(t, { forcedColors: 'active' });
  await page.goto('/');
  await seeHeading(page, 'Things from the club');
  const lines = await page.evaluate(
    '[...document.querySelectorAll("nav a")].map((link) => getComputedStyle(link).textDecorationLine)',
  );
  t.strictSame(lines, ['underline', 'none', 'none']);
});
