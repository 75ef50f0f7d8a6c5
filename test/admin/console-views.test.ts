import type { Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { checkAccessibility, SIZES } from '../browser/support/axe.ts';
import { goTo, newAccount, openConsole, openConsoleWorld, see, signIn } from './support/console-world.ts';
import { fakeAdminApi, MARKUP, mallory } from './support/fake-admin-api.ts';

root.setTimeout(300_000);

const world = await openConsoleWorld(root);
const [admin, nobody] = [await newAccount(world, ['admin']), await newAccount(world, [])];

/** For the page: what is wider than the window. A table may scroll by itself. */
const STICKING_OUT = `[...document.querySelectorAll('body *')]
  .filter((node) => node.checkVisibility() && !node.closest('.unseen, .skip, thead, .list *'))
  .filter((node) => node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((node) => node.outerHTML.slice(0, 80))`;

for (const [size, viewport] of Object.entries(SIZES)) {
  test(`axe finds nothing wrong with any view on a ${size}, light and dark, and nothing sticks out`, async (t) => {
    const { page } = await openConsole(t, world, { viewport, bypassCSP: true });
    await see(page, 'Sign in to the console');
    await signIn(page, { ...admin, password: 'not this one' });
    await page.getByRole('alert').waitFor();
    await check(t, page, 'sign-in, with an error');
    await signIn(page, nobody);
    await see(page, 'You are no operator');
    await check(t, page, 'no operator');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await see(page, 'Sign in to the console');
    await fakeAdminApi(page);
    await signIn(page, admin);
    await see(page, 'Overview');
    await page.getByText('The same as a table').click();
    await check(t, page, 'overview');
    await visitTabs(t, page);
    await visitUser(t, page);
  });
}

async function visitTabs(t: Test, page: Page): Promise<void> {
  await goTo(page, 'Users');
  await check(t, page, 'users');
  await page.getByRole('button', { name: 'New account' }).click();
  await checkDialog(t, page, 'new account');
  await goTo(page, 'Audit');
  await page.getByText('Details').nth(1).click();
  await check(t, page, 'audit');
  await goTo(page, 'Clients', 'Service clients');
  await check(t, page, 'clients');
  await page.getByRole('button', { name: 'New secret' }).click();
  await checkDialog(t, page, 'new secret');
  await goTo(page, 'Keys', 'Signing keys');
  await check(t, page, 'keys');
  await page.getByRole('button', { name: 'Rotate' }).click();
  await checkDialog(t, page, 'rotate');
  await goTo(page, 'Outbox');
  await check(t, page, 'outbox');
  await goTo(page, 'Settings');
  await check(t, page, 'settings');
}

async function visitUser(t: Test, page: Page): Promise<void> {
  await goTo(page, 'Users');
  await page.getByRole('link', { name: mallory.email }).click();
  await see(page, mallory.email);
  await check(t, page, 'user');
  await page.getByRole('button', { name: 'Delete…' }).click();
  await page.getByLabel('E-mail address of the account').fill('somebody@example.com');
  await page.getByRole('button', { name: 'Delete for good' }).click();
  await page.getByText('That is another address').waitFor();
  await checkDialog(t, page, 'delete');
}

async function check(t: Test, page: Page, name: string): Promise<void> {
  await checkAccessibility(t, page, name);
  t.strictSame(await page.evaluate(STICKING_OUT), [], name);
}

/** And closes it by the keyboard. */
async function checkDialog(t: Test, page: Page, name: string): Promise<void> {
  await page.getByRole('dialog').waitFor();
  await check(t, page, name);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

test('markup in names, user agents and reasons is shown as text, under a policy that nothing breaks', async (t) => {
  const { page, complaints } = await openConsole(t, world);
  await see(page, 'Sign in to the console');
  await fakeAdminApi(page);
  await signIn(page, admin);
  await see(page, 'Overview');
  for (const tab of ['Users', 'Audit']) {
    await goTo(page, tab);
    t.equal(await page.locator('main b, main img, main script').count(), 0, tab);
  }
  await goTo(page, 'Users');
  await page.getByRole('cell', { name: MARKUP }).waitFor();
  await page.getByRole('link', { name: mallory.email }).click();
  await see(page, mallory.email);
  await page.getByRole('cell', { name: MARKUP }).first().waitFor();
  t.equal(await page.locator('main b, main img, main script').count(), 0);
  t.equal(await page.title(), `${mallory.email} – Doorward console`);
  t.strictSame(complaints, []);
});

test('the view that was asked for has the focus on its heading, and the keyboard reaches all there is', async (t) => {
  const { page } = await openConsole(t, world);
  await fakeAdminApi(page);
  await signIn(page, admin);
  await see(page, 'Overview');
  await goTo(page, 'Keys', 'Signing keys');
  t.equal(await page.evaluate('document.activeElement.textContent'), 'Signing keys');
  await page.keyboard.press('Tab');
  t.equal(await page.evaluate('document.activeElement.textContent'), 'Rotate…');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  t.equal(await page.evaluate('document.activeElement.textContent'), 'Rotate…', 'the focus comes back');
});
