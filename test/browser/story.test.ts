import { readFile } from 'node:fs/promises';
import { decodeJwt } from 'jose';
import type { BrowserContext, Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { launchChromium } from './support/chromium.ts';
import { openClub } from './support/club.ts';
import { goTo, hear, join, newVisitor, seeHeading, submit, watchTokens } from './support/visit.ts';

root.setTimeout(300_000);

test('the club, in Chromium', async (t) => {
  const [club, browser] = await Promise.all([openClub(t), launchChromium(t)]);

  await t.test('the whole story: look, join, fill the cart, buy, sign out, sign in', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    const wrongs = complaintsOf(page);
    const credentials = newCredentials();

    await page.goto('/');
    await seeHeading(page, 'Things from the club');
    await page.getByRole('button', { name: 'Add to cart: Notebook' }).click();
    await seeHeading(page, 'Welcome back');
    t.match(page.url(), /\/sign-in\?next=\/$/, 'the cart wants to know who you are');
    await page.getByRole('link', { name: 'Join the club' }).click();
    await seeHeading(page, 'Join the club');
    await submit(page, credentials, 'Join');
    await seeHeading(page, 'Things from the club');
    await page.getByText(credentials.email).first().waitFor();

    await page.getByRole('button', { name: 'Add to cart: Notebook' }).click();
    await hear(page, 'Notebook is in your cart.');
    await page.getByRole('button', { name: 'Add to cart: Brass key' }).click();
    await hear(page, 'Brass key is in your cart.');
    await goTo(page, 'Cart', 'Your cart');
    await page.getByRole('button', { name: 'Remove: Brass key' }).click();
    await hear(page, 'Brass key is no longer in your cart.');
    await page.getByRole('button', { name: 'Buy for €12.50' }).click();
    await hear(page, /Thank you. You paid €12.50. Receipt [\da-f-]{36}\./);
    await page.getByText('Your cart is empty.').waitFor();
    await page.getByText('Spent at payments.').waitFor();

    await page.reload();
    await seeHeading(page, 'Your cart');
    t.pass('a reload keeps the user signed in');
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await hear(page, 'You are signed out');
    await page.goto('/cart');
    await seeHeading(page, 'Welcome back');
    await submit(page, { ...credentials, password: `${credentials.password}?` }, 'Sign in');
    await page.getByRole('alert').filter({ hasText: 'Wrong e-mail address or password' }).waitFor();
    await submit(page, credentials, 'Sign in');
    await seeHeading(page, 'Your cart');
    t.equal(new URL(page.url()).pathname, '/cart', 'and back to where they wanted to go');
    t.strictSame(
      wrongs.filter((text) => !/status of (401|404)/.test(text)),
      [],
      'no error in the console',
    );
    await context.close();
  });

  await t.test(
    'no script finds a token: not in storage, cookies, globals, history or the document',
    async (t) => {
      const context = await newVisitor(browser, club);
      const page = await context.newPage();
      const { tokens } = watchTokens(page);
      await join(page, newCredentials());
      await goTo(page, 'Cart', 'Your cart');
      await goTo(page, 'Sessions', 'Where you are signed in');
      const cookie = (await context.cookies()).find(({ name }) => name === '__Host-g_token');
      t.match(cookie, { httpOnly: true, secure: true, sameSite: 'Lax', path: '/' });
      t.ok(tokens.length >= 3 && new Set(tokens).size === tokens.length, 'a token for each route');
      t.ok(
        tokens.every((token) => decodeJwt(token).aud === 'shop'),
        'for the shop alone',
      );
      const secrets = [cookie?.value ?? '', ...tokens.map((token) => token.split('.')[2] ?? '')];
      t.ok(secrets.every((secret) => secret.length > 20));

      const source = await readFile(new URL('support/reachable.js', import.meta.url), 'utf8');
      const walk = source.trim().replace(/;$/, '');
      const planted = `(async () => { globalThis.planted = { deep: [new Map([['k', ${JSON.stringify(secrets[1])}]])] };
      const result = await (${walk})(${JSON.stringify(secrets)}); delete globalThis.planted; return result; })()`;
      t.match(await page.evaluate(planted), { found: [/planted/] }, 'the walk does find what can be found');
      const seen: { found: string[]; visited: number; cookie: string; kept: number[] } = await page.evaluate(
        `(${walk})(${JSON.stringify(secrets)})`,
      );
      t.strictSame(seen.found, []);
      t.ok(seen.visited > 1_000, `${seen.visited} objects`);
      t.equal(seen.cookie, '');
      t.strictSame(seen.kept, [0, 0, 0, 0, 0], 'storage, caches, service workers, databases');
      const { origins } = await context.storageState({ indexedDB: true });
      t.strictSame(origins, []);
      await context.close();
    },
  );

  await t.test('a one-time token buys once, and for the one who signed in only', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    const { email, password } = newCredentials();
    await join(page, { email, password });
    const emails = JSON.stringify([newCredentials().email, email, email]);
    const { type, statuses } = await page.evaluate<Bought>(`(${BUY_BY_HAND})(${emails})`);
    t.equal(type, 'one-time+jwt');
    t.strictSame(statuses, [403, 200, 401], 'for somebody else, for oneself, and again');
    await context.close();
  });

  await t.test('wrong input is told where it is, and read aloud', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    await page.goto('/sign-up');
    await submit(page, { email: newCredentials().email, password: 'short' }, 'Join');
    await page.getByRole('alert').filter({ hasText: 'Have a look at what is marked' }).waitFor();
    const password = page.getByLabel('Password');
    t.equal(await password.getAttribute('aria-invalid'), 'true');
    t.match(await page.evaluate(DESCRIBED), /At least 8 characters.*Use at least 8 characters\./);
    t.equal(await page.evaluate('document.activeElement.id'), 'password', 'the focus is there');
    await context.close();
  });

  await t.test('the keyboard alone is enough, and the focus follows the page', async (t) => {
    await usesKeyboard(t, await newVisitor(browser, club));
  });

  await t.test('sessions: this device, others, and an end to them', async (t) => {
    const credentials = newCredentials();
    const [here, there] = await Promise.all([newVisitor(browser, club), newVisitor(browser, club)]);
    const [mine, other] = await Promise.all([here.newPage(), there.newPage()]);
    await join(mine, credentials);
    await other.goto('/sign-in?next=/cart');
    await submit(other, credentials, 'Sign in');
    await seeHeading(other, 'Your cart');
    await goTo(mine, 'Sessions', 'Where you are signed in');
    await mine.getByRole('button', { name: /^End: Chrome on / }).click();
    await hear(mine, 'is signed out');
    await mine.getByText('You are signed in here only.').waitFor();
    await other.getByRole('link', { name: 'Sessions' }).click();
    await seeHeading(other, 'Welcome back');
    t.pass('the other device is out at its next route change');
    await Promise.all([here.close(), there.close()]);
  });
});

/** What the console and uncaught errors say. */
function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return complaints;
}

type Bought = { type: string; statuses: number[] };

/** For the page: what payments answers to one token, with each of these addresses in turn. */
const BUY_BY_HAND = `async (emails) => {
  const post = (url, body, token) => fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: 'Bearer ' + token }) },
    body: JSON.stringify(body),
  });
  const minted = await post('/auth/token', { single_use: true, audience: 'payments' });
  const token = (await minted.json()).access_token;
  const statuses = [];
  for (const email of emails)
    statuses.push((await post('/payments/buy', { email, amount_cents: 1250 }, token)).status);
  return { type: JSON.parse(atob(token.split('.')[0])).typ, statuses };
}`;

/** What is read aloud beside the label of the password. */
const DESCRIBED = `document.getElementById('password').getAttribute('aria-describedby').split(' ')
  .map((id) => document.getElementById(id).textContent).join(' ')`;

async function usesKeyboard(t: Test, context: BrowserContext): Promise<void> {
  const page = await context.newPage();
  const { email, password } = newCredentials();
  const focused = () =>
    page.evaluate<string>(
      `document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent`,
    );
  const tabTo = async (name: string) => {
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press('Tab');
      if ((await focused()).startsWith(name)) return;
    }
    throw new Error(`Tab never came to ${name}`);
  };
  await page.goto('/');
  await seeHeading(page, 'Things from the club');
  await page.getByRole('link', { name: 'Join' }).waitFor();
  await page.keyboard.press('Tab');
  t.equal(await focused(), 'Skip to the content');
  await tabTo('Join');
  await page.keyboard.press('Enter');
  await seeHeading(page, 'Join the club');
  await page.locator('h1:focus').filter({ hasText: 'Join the club' }).waitFor();
  t.pass('the focus is on the heading of the new page');
  await page.keyboard.press('Tab');
  await page.keyboard.type(email);
  await page.keyboard.press('Tab');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await seeHeading(page, 'Things from the club');
  await page.locator('h1:focus').filter({ hasText: 'Things from the club' }).waitFor();
  await tabTo('Add to cart: Brass key');
  await page.keyboard.press('Enter');
  await hear(page, 'Brass key is in your cart.');
  t.equal(await focused(), 'Add to cart: Brass key', 'the button keeps the focus');
  await page.goBack();
  await seeHeading(page, 'Things from the club');
  await context.close();
}
