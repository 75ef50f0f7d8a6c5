/**
 * `SCREENSHOTS=folder npx node test/run.ts test/admin/console-screenshots.ts` takes a picture of each view of the console,
 * light and dark, phone and desktop, for a person to look at. No folder, no pictures.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { type Test, test } from 'tap';
import {
  type ConsoleWorld,
  goTo,
  newAccount,
  openConsole,
  openConsoleWorld,
  see,
  signIn,
} from './support/console-world.ts';
import { fakeAdminApi, mallory } from './support/fake-admin-api.ts';

const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };

const { SCREENSHOTS: folder } = process.env;

test('pictures to look at', { skip: folder === undefined, timeout: 300_000 }, async (t) => {
  await mkdir(folder ?? '', { recursive: true });
  const world = await openConsoleWorld(t);
  const admin = await newAccount(world, ['admin'], 'ada@example.com');
  for (const colorScheme of ['light', 'dark'] as const)
    for (const [size, viewport] of Object.entries(SIZES))
      await takeAll(t, world, { admin, name: `${size}-${colorScheme}`, options: { viewport, colorScheme } });
});

type Wish = { admin: { email: string; password: string }; name: string; options: object };

async function takeAll(t: Test, world: ConsoleWorld, { admin, name, options }: Wish): Promise<void> {
  const { page } = await openConsole(t, world, options);
  const take = (view: string) => takeOne(page, `${view}-${name}`);
  await see(page, 'Sign in to the console');
  await take('sign-in');
  await fakeAdminApi(page);
  await signIn(page, admin);
  await see(page, 'Overview');
  await take('overview');
  for (const [tab, heading] of [
    ...[['Users'], ['Audit'], ['Clients', 'Service clients'], ['Keys', 'Signing keys'], ['Outbox']],
    ['Settings'],
  ] as [string, string?][]) {
    await goTo(page, tab, heading);
    await take(tab.toLowerCase());
  }
  await goTo(page, 'Users');
  await page.getByRole('link', { name: mallory.email }).click();
  await see(page, mallory.email);
  await take('user');
  await page.getByRole('button', { name: 'Delete…' }).click();
  await take('delete');
}

async function takeOne(page: Page, name: string): Promise<void> {
  const path = join(folder ?? '', name);
  const isLossless = process.env.FORMAT === 'png';
  const format = isLossless ? { type: 'png' as const } : { type: 'jpeg' as const, quality: 55 };
  await page.screenshot({ ...format, path: `${path}.${isLossless ? 'png' : 'jpg'}`, fullPage: true });
}
