import type { Page } from 'playwright-core';
import { t as root, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { launchChromium } from './support/chromium.ts';
import { openClub } from './support/club.ts';
import {
  goTo,
  goToSessions,
  hear,
  join,
  newVisitor,
  seeHeading,
  submit,
  watchTokens,
} from './support/visit.ts';

const minute = 60_000;

root.setTimeout(300_000);

test('time, tabs and outages, in Chromium', async (t) => {
  const [club, browser] = await Promise.all([openClub(t), launchChromium(t)]);

  await t.test('the token is refreshed at 29 minutes, by itself, and not before', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    await page.clock.install();
    const { asked } = watchTokens(page);
    await join(page, newCredentials());
    const first = await jtiShown(page);
    const before = asked();
    await page.clock.pauseAt(new Date(Date.now() + 5 * minute));
    await page.clock.fastForward(23 * minute);
    t.equal(asked(), before, 'at 28 minutes');
    const refreshed = page.waitForResponse('**/auth/token');
    await page.clock.fastForward(minute + 1_000);
    t.equal((await refreshed).status(), 200, 'at 29 minutes');
    t.equal(asked(), before + 1);
    await page.clock.resume();
    await page.locator('.claims dd:last-child').filter({ hasNotText: first }).waitFor();
    await context.close();
  });

  await t.test('a sign-out reaches the other tab, and so does another user', async (t) => {
    const context = await newVisitor(browser, club);
    const [here, there] = await Promise.all([context.newPage(), context.newPage()]);
    const [ada, bob] = [newCredentials(), newCredentials()];
    await join(here, ada);
    await there.goto('/cart');
    await seeHeading(there, 'Your cart');
    const { asked } = watchTokens(there);
    await here.getByRole('button', { name: 'Sign out', exact: true }).click();
    await hear(here, 'You are signed out, in all tabs');
    await seeHeading(there, 'Welcome back');
    t.ok(asked() <= 1, 'told by the other tab; the one call is that of the route change');
    await here.goto('/sign-up');
    await submit(here, bob, 'Join');
    await there.getByText(bob.email).first().waitFor();
    await seeHeading(there, 'Your cart');
    t.equal(await there.getByText(ada.email).count(), 0, 'nothing is left of the last user');
    await context.close();
  });

  await t.test('nobody is signed out while the auth server is away, and all goes on after it', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    await page.clock.install();
    await join(page, newCredentials());
    await club.server().stop('SIGKILL');
    await goTo(page, 'Cart', 'Your cart');
    await page.clock.fastForward(10_000);
    await goTo(page, 'Catalogue', 'Things from the club');
    await page.getByRole('button', { name: 'Add to cart: Brass key' }).click();
    await hear(page, 'Brass key is in your cart.');
    await page.clock.fastForward(10_000);
    await goTo(page, 'Cart', 'Your cart');
    await page.getByText('Brass key').waitFor();
    t.pass('20 seconds without it: the shop goes on');
    await page.getByRole('link', { name: 'Account' }).click();
    await seeHeading(page, 'Just a moment');
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await hear(page, 'The club cannot be reached right now.');
    t.equal(await page.getByRole('link', { name: 'Sign in' }).count(), 0, 'a sign-out that failed is none');

    await club.restart();
    const refreshed = page.waitForResponse((response) => isTokenFor(response.url()) && response.ok());
    await page.clock.fastForward(minute);
    await refreshed;
    await goTo(page, 'Cart', 'Your cart');
    await goToSessions(page);
    t.pass('and everything is back');
    await context.close();
  });

  await t.test('after 36 minutes offline, the page asks as soon as the network is back', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    await page.clock.install();
    await join(page, newCredentials());
    await context.setOffline(true);
    for (let tries = 0; tries < 7; tries += 1) {
      const failed = page.waitForEvent('requestfailed', (request) => isTokenFor(request.url()));
      await page.clock.fastForward(tries === 0 ? 30 * minute : minute);
      await failed;
    }
    await page.clock.pauseAt(new Date(await page.evaluate(() => Date.now() + 1_000)));
    const refreshed = page.waitForResponse((response) => isTokenFor(response.url()) && response.ok());
    await context.setOffline(false);
    t.equal((await refreshed).status(), 200, 'while the clock of the page stands still');
    await context.close();
  });

  await t.test('a page that loads while the auth server is away waits for it', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    await join(page, newCredentials());
    await club.server().stop('SIGKILL');
    await page.goto('/cart');
    await seeHeading(page, 'Just a moment');
    await page.getByText('The sign-in service does not answer.').waitFor();
    await club.restart();
    await seeHeading(page, 'Your cart');
    t.pass('by itself');
    await context.close();
  });
});

function isTokenFor(url: string): boolean {
  return new URL(url).pathname === '/auth/token';
}

/** The id of the token that the page shows. */
async function jtiShown(page: Page): Promise<string> {
  return (await page.locator('.claims dd').last().textContent()) ?? '';
}
