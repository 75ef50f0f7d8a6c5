import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { t as root, test } from 'tap';
import { build } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { checkAccessibility, SIZES } from './support/axe.ts';
import { launchChromium } from './support/chromium.ts';

/** Much longer than a busy machine needs. */
const GIVE_UP_AFTER_MS = 60_000;

type Teardown = { teardown(undo: () => unknown): void };

root.setTimeout(300_000);

/** A server that can be visited; the URL is its PUBLIC_URL. */
async function listen(t: Teardown, prefix: string): Promise<string> {
  const port = await freePort();
  const publicUrl = `http://localhost:${port}${prefix}`;
  const { app } = await build(t, { PORT: String(port), PUBLIC_URL: publicUrl, PATH_PREFIX: prefix });
  await app.listen({ port, host: 'localhost' });
  return publicUrl;
}

async function newPage(browser: Browser, options: BrowserContextOptions = {}): Promise<Page> {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(GIVE_UP_AFTER_MS);
  return page;
}

/** What the browser's console and network tab show in red: errors, warnings, requests that failed. */
function watchTroubles(page: Page): string[] {
  const troubles: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) troubles.push(message.text());
  });
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('requestfailed', (request) => {
    const { errorText } = request.failure() ?? {};
    // The test itself leaves a page while the last of its pictures are loading.
    if (errorText !== 'net::ERR_ABORTED') troubles.push(`${request.url()}: ${errorText}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) troubles.push(`${response.url()}: ${response.status()}`);
  });
  return troubles;
}

test('the page at / is styled, and each of its links opens, in Chromium', async (t) => {
  const browser = await launchChromium(t);
  for (const prefix of ['', '/auth']) {
    const publicUrl = await listen(t, prefix);
    const page = await newPage(browser);
    const troubles = watchTroubles(page);
    const links = page.getByRole('main').getByRole('link');
    await page.goto(publicUrl);
    t.equal(await page.title(), 'Doorward');
    t.equal(await page.evaluate('getComputedStyle(document.querySelector("ul")).listStyleType'), 'none');
    t.equal(await links.count(), 6);
    for (const link of await links.all()) {
      await link.click();
      await page.waitForURL(
        (url) => url.pathname.startsWith(`${prefix}/`) && url.pathname.length > prefix.length + 1,
      );
      t.equal(
        await page.evaluate('performance.getEntriesByType("navigation")[0].responseStatus'),
        200,
        page.url(),
      );
      await page.goto(publicUrl);
    }
    t.strictSame(troubles, [], 'and nothing goes wrong on the pages behind them');
    await page.close();
  }
});

test('axe finds nothing wrong with the page at /', async (t) => {
  const [browser, publicUrl] = await Promise.all([launchChromium(t), listen(t, '')]);
  for (const [size, viewport] of Object.entries(SIZES)) {
    const page = await newPage(browser, { viewport, bypassCSP: true });
    await page.goto(publicUrl);
    await checkAccessibility(t, page, size);
    await page.close();
  }
});

test('the page at /docs has our name alone, and works without an error in the console', async (t) => {
  const browser = await launchChromium(t);
  for (const prefix of ['', '/auth']) {
    const publicUrl = await listen(t, prefix);
    const page = await newPage(browser);
    const troubles = watchTroubles(page);
    await page.goto(`${publicUrl}/docs`);
    await page.getByRole('heading', { name: 'Doorward', level: 1 }).waitFor();
    t.equal(await page.title(), 'Doorward API');
    t.notMatch(await page.locator('body').innerText(), /swagger/i);
    const signUp = page.locator('.opblock', { hasText: '/signup' });
    await signUp.getByRole('button').first().click();
    await signUp.getByRole('heading', { name: 'Responses' }).waitFor();
    const live = page.locator('.opblock', { hasText: '/health/live' });
    await live.getByRole('button').first().click();
    await live.getByRole('button', { name: 'Try it out' }).click();
    await live.getByRole('button', { name: 'Execute' }).click();
    await live.locator('.live-responses-table', { hasText: '"status": "ok"' }).waitFor();
    t.strictSame(troubles, []);
    await page.close();
  }
});
