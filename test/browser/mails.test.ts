/**
 * The HTML of all mails in a browser, as a mail program shows it: on a small phone, light and dark. SCREENSHOTS names a
 * folder for pictures to look at; without it none are taken.
 */
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { createRender } from '../../src/mail/render-mail.ts';
import { AT, mailOf, TEMPLATES } from '../mail/all-mails.ts';
import { SIZES } from './support/axe.ts';
import { launchChromium } from './support/chromium.ts';

root.setTimeout(300_000);

const { SCREENSHOTS: folder } = process.env;
const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const render = createRender(loadConfig({ PUBLIC_URL: 'https://accounts.some-rather-long-name.example' }));
const browser: Browser = await launchChromium(root);

/** Long, and without a place where a line could end. */
const LONG = `${'long'.repeat(15)}@${'very-long-name.'.repeat(8)}example`;

const htmlOf = (template: (typeof TEMPLATES)[number], locale: string) => {
  const { data } = mailOf(template);
  const facts = mailOf(template, 'both', {
    locale,
    to: LONG,
    data: { ...data, ...(data.newEmail && { newEmail: LONG }) },
  });
  return render(facts, Date.parse(AT)).html;
};

/** A page without scripts of its own that fails the test when the mail asks for anything. */
async function openMailPage(t: Test): Promise<Page> {
  const context = await browser.newContext({ viewport: SIZES.phone, bypassCSP: true });
  t.teardown(() => context.close());
  const page = await context.newPage();
  await page.route('**/*', (route) => {
    t.fail(`the mail asks for ${route.request().url()}`);
    return route.abort();
  });
  return page;
}

/** What axe finds. Landmarks are for pages: a mail is a part of one. */
async function findings(page: Page): Promise<string[]> {
  const rules = { region: { enabled: false }, 'landmark-one-main': { enabled: false } };
  const { violations, passes } = await page.evaluate<AxeResults>(
    `axe.run({ rules: ${JSON.stringify(rules)} })`,
  );
  const isContrastChecked = passes.some(({ id }) => id === 'color-contrast');
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  return isContrastChecked ? found : [...found, 'the contrast could not be measured'];
}

for (const locale of ['en', 'de']) {
  for (const template of TEMPLATES) {
    test(`${template} in ${locale} fits a small phone and can be read, light and dark`, async (t) => {
      const page = await openMailPage(t);
      await page.setContent(htmlOf(template, locale));
      await page.addScriptTag({ path: axePath });
      const grounds: string[] = [];
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        t.strictSame(await findings(page), [], colorScheme);
        const width = await page.evaluate<number>('document.documentElement.scrollWidth');
        t.ok(width <= SIZES.phone.width, `${colorScheme}: nothing sticks out`);
        grounds.push(await page.evaluate<string>('getComputedStyle(document.body).backgroundColor'));
        if (folder) await picture(page, `${template}-${locale}-${colorScheme}`);
      }
      t.not(grounds[0], grounds[1], 'dark is another ground');
    });
  }
}

async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(String(folder), { recursive: true });
  await page.screenshot({ path: join(String(folder), `${name}.png`), fullPage: true });
}
