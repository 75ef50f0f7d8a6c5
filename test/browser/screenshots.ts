/**
 * `npx node test/run.ts test/browser/screenshots.ts` takes a picture of each page of the club, light and dark, phone
 * and desktop, for a person to look at. SCREENSHOTS names the folder; no folder, no pictures. CLUB is the origin of a
 * club that is already running, such as that of `npm run demo`.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { type Test, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { launchChromium } from './support/chromium.ts';
import { openClub } from './support/club.ts';

const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };

const { SCREENSHOTS: folder, CLUB: runningAt } = process.env;

test('pictures to look at', { skip: folder === undefined, timeout: 300_000 }, (t) =>
  takeAll(t, folder ?? ''),
);

async function takeAll(t: Test, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  const origin = runningAt ?? (await openClub(t)).origin;
  const browser = await launchChromium(t);
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const context = await browser.newContext({
        viewport,
        isMobile: size === 'phone',
        colorScheme,
        baseURL: origin,
      });
      const page = await context.newPage();
      const take = async (name: string) => {
        // On a whole page, the status line would cover what is below it.
        if (size === 'desktop') await page.evaluate('scrollTo(0, 0)');
        await page.screenshot({
          path: join(to, `${name}-${size}-${colorScheme}.jpg`),
          // On a phone: what one sees without scrolling, with the line of the panel.
          fullPage: size === 'desktop',
          type: 'jpeg',
          quality: 55,
        });
      };
      await visitAll(page, origin, take);
      await context.close();
    }
  }
}

async function visitAll(page: Page, origin: string, take: (name: string) => Promise<unknown>): Promise<void> {
  const { email, password } = newCredentials();
  await page.goto('/');
  await page.getByRole('link', { name: 'Join' }).waitFor();
  await page.getByRole('heading', { name: 'Reading lamp' }).waitFor();
  await take('guest');
  await page.goto('/sign-up');
  await page.getByLabel('E-mail address').fill('ada');
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Join' }).click();
  await page.locator('.error:not(:empty)').first().waitFor();
  await take('sign-up-errors');
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Join' }).click();
  await page.getByRole('heading', { name: 'Things from the club' }).waitFor();
  await page.getByRole('button', { name: 'Add to cart: Reading lamp' }).click();
  await page.getByText('is in your cart').waitFor();
  await page.locator('.claims dt').first().waitFor({ state: 'attached' });
  await take('catalogue');
  await page.getByRole('button', { name: 'Add to cart: Notebook' }).click();
  await page.getByText('Notebook is in your cart').waitFor();
  await page.getByRole('link', { name: 'Cart' }).click();
  await page.getByRole('heading', { name: 'Pay' }).waitFor();
  await take('cart');
  await page.getByRole('button', { name: 'Buy for' }).click();
  await page.getByText('Thank you').waitFor();
  await page.getByRole('button', { name: 'Use the spent token again' }).click();
  await page.getByText('Payments answered 401').waitFor();
  await take('spent-token');
  await signInElsewhere(origin, { email, password });
  await page.getByRole('link', { name: 'Account' }).click();
  await page.getByRole('heading', { name: 'Your account' }).waitFor();
  await take('account');
  await page.getByRole('link', { name: 'See where you are signed in' }).click();
  await page.getByRole('heading', { name: 'Other devices' }).waitFor();
  await take('sessions');
  await visitAccount(page, take);
  await page.goto('/sessions');
  await page.locator('summary').click();
  await take('panel');
  await page.locator('summary').click();
  await page.getByRole('button', { name: 'Sign out', exact: true }).first().click();
  await page.getByText('You are signed out, in all tabs').waitFor();
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Welcome back' }).waitFor();
  await take('sign-in');
}

/** The account page, and what mails lead to. */
async function visitAccount(page: Page, take: (name: string) => Promise<unknown>): Promise<void> {
  await page.goto('/account');
  await page.getByRole('button', { name: 'Delete my account' }).click();
  await take('account-delete');
  for (const path of ['forgot', 'reset', 'verify', 'email-change', 'email-undo', 'not-me', 'deletion-undo']) {
    await page.goto(`/${path}`);
    await page.locator('main form').waitFor();
    await take(path);
    await page.goto(`/${path}#code=from-a-mail`);
    await page.locator('main form').waitFor();
    await take(`${path}-link`);
  }
}

async function signInElsewhere(origin: string, credentials: object): Promise<void> {
  for (const agent of [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) Safari/605',
    'Mozilla/5.0 (X11; Linux) Firefox/140.0',
  ]) {
    const response = await fetch(`${origin}/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': agent },
      body: JSON.stringify(credentials),
    });
    if (!response.ok) throw new Error(`sign-in answered ${response.status}`);
  }
}
