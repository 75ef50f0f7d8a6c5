import { readFile } from 'node:fs/promises';
import { decodeJwt } from 'jose';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { type Credentials, newCredentials } from '../helper.ts';
import { launchChromium } from './support/chromium.ts';
import { type Club, openClub } from './support/club.ts';
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
    await hear(page, 'Notebook waits for you.');
    await goTo(page, 'Cart (1 item)', 'Welcome back');
    t.match(page.url(), /\/sign-in\?next=\/cart$/, 'the cart wants to know who you are');
    await page.getByRole('link', { name: 'Join the club' }).click();
    await seeHeading(page, 'Join the club');
    await page.getByText('You find your 1 item in the cart').waitFor();
    await submit(page, credentials, 'Join');
    await seeHeading(page, 'Your cart');
    await page.getByRole('row', { name: /^Notebook 1 €12.50/ }).waitFor();
    t.pass('what the guest wanted is in the cart');
    await page.getByText(credentials.email).first().waitFor();

    await goTo(page, 'Catalogue', 'Things from the club');
    await page.getByRole('button', { name: 'Add to cart: Brass key' }).click();
    await hear(page, 'Brass key is in your cart. You have 2 items there.');
    await goTo(page, 'Cart (2 items)', 'Your cart');
    await page.getByRole('button', { name: 'Remove: Brass key' }).click();
    await hear(page, 'Brass key is no longer in your cart.');
    await page.getByRole('button', { name: 'Buy for €12.50' }).click();
    await hear(page, /Thank you. You paid €12.50. Receipt [\dA-F]{4}-[\dA-F]{4}\./);
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
      await goToSessions(page);
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

  await t.test('the page sends a spent token again, and shows the refusal', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    const { tokens } = watchTokens(page);
    await join(page, newCredentials());
    await page.getByRole('button', { name: 'Add to cart: Reading lamp' }).click();
    await hear(page, 'Reading lamp is in your cart.');
    await goTo(page, 'Cart', 'Your cart');
    await page.getByRole('button', { name: 'Buy for €49.00' }).press('Enter');
    await page.getByRole('heading', { name: 'You paid €49.00' }).and(page.locator(':focus')).waitFor();
    const receipt = page.getByRole('region', { name: 'You paid €49.00' });
    t.match(await receipt.textContent(), /Receipt[\dA-F]{4}-[\dA-F]{4}Bought1 × Reading lampOn\d/);
    const refused = page.waitForResponse('**/payments/buy');
    const again = receipt.getByRole('button', { name: 'Use the spent token again' });
    await again.press('Enter');
    t.equal((await refused).status(), 401);
    const sent = (await (await refused).request().headerValue('authorization'))?.slice(7) ?? '';
    t.ok(tokens.includes(sent), 'it is the token that has paid');
    await hear(page, 'Payments answered 401: The token is not accepted.');
    const text = (await receipt.textContent()) ?? '';
    t.match(text, `Bearer ${sent.slice(0, 8)}…${sent.slice(-4)}`);
    t.notMatch(await page.content(), sent.slice(20, -20), 'the whole token is nowhere');
    t.match(text, /Came back 401 refused.*"code": "token_inactive".*lets each one-time token pass/s);
    await again.and(page.locator(':focus')).waitFor();
    await page.getByText('Refused at payments when it was used again.').waitFor();
    await context.close();
  });

  await t.test('wrong input is told where it is, and read aloud', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    await page.goto('/sign-up');
    await submit(page, { email: newCredentials().email, password: 'short' }, 'Join');
    await page.getByRole('alert').filter({ hasText: 'Use at least 8 characters.' }).waitFor();
    t.equal(await page.locator('.error:not(:empty)').count(), 1, 'it is told once');
    const password = page.getByLabel('Password', { exact: true });
    t.equal(await password.getAttribute('aria-invalid'), 'true');
    t.match(await page.evaluate(DESCRIBED), /At least 8 characters.*Use at least 8 characters\./);
    t.equal(await page.evaluate('document.activeElement.id'), 'password', 'the focus is there');
    await context.close();
  });

  await t.test('after a wrong password one can type at once, and see what one types', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    const { email, password } = newCredentials();
    await page.goto('/sign-in');
    await submit(page, { email, password }, 'Sign in');
    await page.getByRole('alert').filter({ hasText: 'Wrong e-mail address or password' }).waitFor();
    t.equal(await page.evaluate('document.activeElement.id'), 'password');
    t.match(await page.evaluate(DESCRIBED), 'Wrong e-mail address or password');
    const input = page.getByLabel('Password', { exact: true });
    await page.keyboard.type('other words');
    t.equal(await input.inputValue(), 'other words', 'the old one was selected');
    await page.getByRole('button', { name: 'Show password' }).click();
    t.equal(await input.getAttribute('type'), 'text');
    await page.getByRole('button', { name: 'Hide password' }).click();
    t.equal(await input.getAttribute('type'), 'password');
    await context.close();
  });

  await t.test('an address that has an account leads to the sign-in, and is kept', async (t) => {
    const [member, guest] = [await newVisitor(browser, club), await newVisitor(browser, club)];
    const credentials = newCredentials();
    await join(await member.newPage(), credentials);
    const page = await guest.newPage();
    await page.goto('/sign-up?next=/sessions');
    await submit(page, credentials, 'Join');
    await page.getByRole('link', { name: 'Sign in with this address' }).click();
    await seeHeading(page, 'Welcome back');
    t.equal(await page.getByLabel('E-mail address').inputValue(), credentials.email);
    t.notMatch(page.url(), 'example.com', 'and not in the URL');
    await page.getByLabel('Password', { exact: true }).fill(credentials.password);
    await page.keyboard.press('Enter');
    await seeHeading(page, 'Where you are signed in');
    await Promise.all([member.close(), guest.close()]);
  });

  await t.test('a button says "Added" for a moment, and keeps the focus', async (t) => {
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    await page.clock.install();
    await join(page, newCredentials());
    const button = page.locator('.card').filter({ hasText: 'Enamel mug' }).getByRole('button');
    await button.press('Enter');
    await hear(page, 'Enamel mug is in your cart. You have 1 item there.');
    t.equal(await button.textContent(), 'Added');
    t.equal(await button.getAttribute('aria-label'), 'Added: Enamel mug');
    await button.and(page.locator(':focus')).waitFor();
    await button.press('Enter');
    await hear(page, 'You have 2 items there.');
    await page.clock.fastForward(3_000);
    t.equal(await button.textContent(), 'Add to cart');
    await context.close();
  });

  await t.test('what a guest wanted goes to that guest alone, in every tab', async (t) => {
    const context = await newVisitor(browser, club);
    const [page, other] = [await context.newPage(), await context.newPage()];
    await Promise.all([page, other].map((each) => each.goto('/')));
    await other.getByRole('button', { name: 'Add to cart: Reading lamp' }).click();
    await hear(other, 'Reading lamp waits for you.');
    await join(page, newCredentials());
    await goTo(other, 'Cart (1 item)', 'Your cart');
    await other.getByRole('row', { name: /^Reading lamp 1/ }).waitFor();
    await other.getByRole('button', { name: 'Sign out', exact: true }).click();
    await hear(other, 'You are signed out');
    t.equal(await other.getByRole('link', { name: /^Cart/ }).textContent(), 'Cart', 'the count is gone');
    await join(page, newCredentials());
    await goTo(other, 'Cart', 'Your cart');
    await other.getByText('Your cart is empty.').waitFor();
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
    await goToSessions(mine);
    await mine.getByRole('button', { name: /^End: Chrome on / }).click();
    await hear(mine, 'is signed out');
    await mine.getByText('You are signed in here only.').waitFor();
    await other.getByRole('link', { name: 'Account' }).click();
    await seeHeading(other, 'Welcome back');
    t.pass('the other device is out at its next route change');
    await Promise.all([here.close(), there.close()]);
  });

  await t.test(
    'to end all other sessions takes a second answer, and the first one is easily taken back',
    async (t) => {
      const credentials = newCredentials();
      const context = await newVisitor(browser, club);
      const page = await context.newPage();
      await join(page, credentials);
      for (let devices = 0; devices < 2; devices += 1) await signInElsewhere(browser, club, credentials);
      await goToSessions(page);
      const all = page.getByRole('button', { name: 'End all other sessions' });
      await all.press('Enter');
      await page.getByRole('group', { name: 'Sign out on all 2 other devices?' }).waitFor();
      await page.keyboard.press('Enter');
      await all.and(page.locator(':focus')).waitFor();
      t.equal(await page.getByRole('button', { name: /^End: / }).count(), 2, 'Enter twice ends nothing');
      await all.press('Enter');
      await page.keyboard.press('Escape');
      await all.press('Enter');
      await page.getByRole('button', { name: 'Yes, end them' }).click();
      await hear(page, 'You are signed out on all other devices.');
      await page.getByText('You are signed in here only.').waitFor();
      await page.locator('h1:focus').waitFor();
      t.pass('the focus is on the page');
      await context.close();
    },
  );

  await t.test(
    'on a phone, what lives where is one line in sight, and opens with the keyboard',
    async (t) => {
      const context = await newVisitor(browser, club, { viewport: { width: 390, height: 844 } });
      const page = await context.newPage();
      await join(page, newCredentials());
      const panel = page.getByRole('complementary', { name: 'What lives where' });
      const line = panel.locator('summary');
      t.ok(await isInSight(page, line), 'without scrolling');
      await line.filter({ hasText: /Access token: \d+:\d\d/ }).waitFor();
      t.notOk(await panel.getByRole('heading', { name: 'Generate token' }).isVisible());
      await line.press('Enter');
      await panel.getByRole('heading', { name: 'Generate token' }).waitFor();
      t.ok(await isInSight(page, line), 'open too');
      await line.press('Enter');
      await panel.getByRole('heading', { name: 'Generate token' }).waitFor({ state: 'hidden' });
      await page.setViewportSize({ width: 1280, height: 800 });
      await panel.getByRole('heading', { name: 'Generate token' }).waitFor();
      t.pass('on a desktop it is open');
      await context.close();
    },
  );
});

async function isInSight(page: Page, element: Locator): Promise<boolean> {
  const box = await element.boundingBox();
  const size = page.viewportSize();
  return box !== null && size !== null && box.y >= 0 && box.y + box.height <= size.height;
}

/** Signs in from another device. */
async function signInElsewhere(browser: Browser, club: Club, credentials: Credentials): Promise<void> {
  const context = await newVisitor(browser, club);
  const page = await context.newPage();
  await page.goto('/sign-in');
  await submit(page, credentials, 'Sign in');
  await seeHeading(page, 'Things from the club');
  await context.close();
}

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
  t.equal(await focused(), 'Added: Brass key', 'the button keeps the focus');
  await page.goBack();
  await seeHeading(page, 'Things from the club');
  await context.close();
}
