import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { launchChromium } from './support/chromium.ts';
import { openClub } from './support/club.ts';
import { goTo, hear, join, newVisitor, seeHeading, submit } from './support/visit.ts';

const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };

root.setTimeout(300_000);

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
  await check(t, page, 'sign-in');
  await page.goto('/sign-up');
  await submit(page, { email: 'nobody', password: 'short' }, 'Join');
  await page.getByRole('alert').filter({ hasText: /./ }).waitFor();
  await check(t, page, 'sign-up, with errors');
  await page.goto('/nowhere');
  await seeHeading(page, 'There is no such page');
  await check(t, page, 'no such page');
  await join(page, newCredentials());
  await page.getByRole('button', { name: 'Add to cart: Enamel mug' }).click();
  await hear(page, 'Enamel mug is in your cart.');
  await check(t, page, 'catalogue');
  await goTo(page, 'Cart', 'Your cart');
  await check(t, page, 'cart');
  await page.getByRole('button', { name: 'Buy for' }).click();
  await hear(page, 'Thank you.');
  await check(t, page, 'empty cart');
  await goTo(page, 'Sessions', 'Where you are signed in');
  await check(t, page, 'sessions');
}

async function check(t: Test, page: Page, name: string): Promise<void> {
  await page.addScriptTag({ path: axePath });
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await findsNothing(t, page, `${name}, ${colorScheme}`);
  }
  const width = await page.evaluate<[number, number]>('[document.documentElement.scrollWidth, innerWidth]');
  t.ok(width[0] <= width[1], `${name}: nothing sticks out`);
}

async function findsNothing(t: Test, page: Page, name: string): Promise<void> {
  const { violations, passes } = await page.evaluate<AxeResults>('axe.run()');
  t.strictSame(
    violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
    [],
    name,
  );
  t.ok(passes.length > 10, `${name}: ${passes.length} rules were kept`);
}
