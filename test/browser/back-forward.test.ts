import type { Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { launchChromium } from './support/chromium.ts';
import { openClub } from './support/club.ts';
import { join, newVisitor, seeHeading, watchTokens } from './support/visit.ts';

root.setTimeout(300_000);

test('the back/forward cache, in Chromium', async (t) => {
  const [club, browser] = await Promise.all([openClub(t), launchChromium(t, { backForwardCache: true })]);
  await backFromCache(t, await (await newVisitor(browser, club)).newPage());
});

async function backFromCache(t: Test, page: Page): Promise<void> {
  await page.addInitScript(
    `addEventListener('pageshow', ({ persisted }) => { globalThis.wasCached = persisted; });`,
  );
  await join(page, newCredentials());
  const { asked } = watchTokens(page);
  const first = await jtiShown(page);
  await page.goto('/icon.svg');
  const before = asked();
  // There is no load event to wait for: nothing is loaded.
  await page.goBack({ waitUntil: 'commit' });
  await seeHeading(page, 'Things from the club');
  t.equal(await page.evaluate('globalThis.wasCached'), true, 'it does come from the cache');
  await page.locator('.claims dd:last-child').filter({ hasNotText: first }).waitFor();
  t.ok(asked() > before, 'and the page asked again');
}

/** The id of the token that the page shows. */
async function jtiShown(page: Page): Promise<string> {
  return (await page.locator('.claims dd').last().textContent()) ?? '';
}
