import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import type { Test } from 'tap';

const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Sizes of a small phone's and of a desktop's window. */
export const SIZES = { phone: { width: 320, height: 640 }, desktop: { width: 1280, height: 800 } };

/** Fails if axe finds anything wrong with the page, light or dark, or if it is wider than the window. Needs `bypassCSP`. */
export async function checkAccessibility(t: Test, page: Page, name: string): Promise<void> {
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
