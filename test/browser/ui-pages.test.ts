import { randomBytes } from 'node:crypto';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { AppError } from '../../src/core/errors.ts';
import { newCredentials } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { type FakeServer, openFakeServer } from '../ui/fake-server.ts';
import { checkAccessibility, SIZES } from './support/axe.ts';
import { launchChromium } from './support/chromium.ts';
import { seeHeading } from './support/visit.ts';

/** Much longer than a busy machine needs. */
const GIVE_UP_AFTER_MS = 60_000;
/** What users may set in their browser: the spacing of WCAG 2.2, 1.4.12, and letters of twice the size. */
const USER_STYLES = [
  '* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important }',
  'html { font-size: 200% }',
];
/** For the page: what is wider than the window. */
const STICKING_OUT = `[...document.querySelectorAll('body *')]
  .filter((node) => node.checkVisibility())
  .filter((node) => node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((node) => node.outerHTML.slice(0, 80))`;

const codePages: [page: string, action: string, button: string, heading: string][] = [
  ['verify', 'verifyEmail', 'Confirm the address', 'Your address is confirmed'],
  ['reset', 'resetPassword', 'Set the password', 'Your password is set'],
  ['email-change', 'confirmEmailChange', 'Use this address', 'Your address is changed'],
  ['email-undo', 'undoEmailChange', 'Put the former address back', 'Your former address is back'],
  ['not-me', 'disown', 'This was not me', 'Set a new password'],
  ['deletion-undo', 'undoDeletion', 'Keep the account', 'Your account stays'],
];

root.setTimeout(300_000);

const port = await freePort();
const origin = `http://localhost:${port}`;
const [server, browser] = await Promise.all([listen(), launchChromium(root)]);

async function listen(): Promise<FakeServer> {
  const fake = await openFakeServer(root, { settings: { PORT: String(port), PUBLIC_URL: origin } });
  await fake.app.listen({ port, host: 'localhost' });
  return fake;
}

async function newPage(t: Test, browser: Browser, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ baseURL: origin, locale: 'en', ...options });
  t.teardown(() => context.close());
  context.setDefaultTimeout(GIVE_UP_AFTER_MS);
  return context.newPage();
}

/** What the console shows in red or yellow; a breach of the policy among it. */
function watchConsole(page: Page): string[] {
  const lines: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) lines.push(message.text());
  });
  page.on('pageerror', (error) => lines.push(error.message));
  return lines;
}

const linkCode = () => randomBytes(32).toString('base64url');
const lastCall = () => server.calls.at(-1) ?? [];

test('a mail scanner that runs scripts and waits uses nothing up; the click afterwards works', async (t) => {
  for (const [name, action, button, heading] of codePages) {
    const [scanner, page] = [await newPage(t, browser), await newPage(t, browser)];
    const link = `/ui/${name}#code=${linkCode()}`;
    const before = server.calls.length;
    const response = await scanner.goto(link, { waitUntil: 'networkidle' });
    t.equal(response?.request().redirectedFrom(), null, 'not even a redirect');
    await scanner.reload({ waitUntil: 'networkidle' });
    t.equal(server.calls.length, before, `${name}: nothing is used up`);

    const lines = watchConsole(page);
    await page.goto(link);
    t.equal(page.url(), `${origin}/ui/${name}`, 'the code is not in the address bar');
    t.equal(await page.getByLabel('Code').isVisible(), false);
    if (name === 'reset') await page.getByLabel('New password').fill(newCredentials().password);
    await page.getByRole('button', { name: button }).click();
    await seeHeading(page, heading);
    const [called, code] = lastCall();
    t.strictSame([called, code], [action, { code: link.replace(/.*code=/, '') }]);
    t.notMatch(page.url(), /code/);
    t.strictSame(lines, [], `${name}: the console is empty`);
  }
});

test('without a script the code is typed', async (t) => {
  for (const [name, action, button, heading] of codePages) {
    const page = await newPage(t, browser, { javaScriptEnabled: false });
    await page.goto(`/ui/${name}#code=${linkCode()}`);
    const { email, password } = newCredentials();
    if (name !== 'email-change') await page.getByLabel('E-mail address').fill(email);
    await page.getByLabel('Code').fill('7k3m-9qxd');
    if (name === 'reset') await page.getByLabel('New password').fill(password);
    await page.getByRole('button', { name: button }).click();
    await seeHeading(page, heading);
    const [called, code] = lastCall();
    t.strictSame([called, code], [action, { code: '7k3m-9qxd', ...(name !== 'email-change' && { email }) }]);
  }
});

test('the link of the next mail works in the same tab', async (t) => {
  const page = await newPage(t, browser);
  await page.goto('/ui/email-undo');
  t.ok(await page.getByLabel('Code').isVisible());
  const code = linkCode();
  await page.goto(`/ui/email-undo#code=${code}`);
  await page.waitForURL(`${origin}/ui/email-undo`);
  await page.getByLabel('Code').waitFor({ state: 'hidden' });
  await page.getByRole('button').click();
  await seeHeading(page, 'Your former address is back');
  t.strictSame(lastCall(), ['undoEmailChange', { code }]);
  for (const step of ['the page with the form', 'the page before']) {
    await page.goBack();
    t.equal(page.url(), `${origin}/ui/email-undo`, `the history has no code: ${step}`);
  }
});

test('"This was not me" ends the session first, and sets a password with the same code', async (t) => {
  const page = await newPage(t, browser);
  const code = linkCode();
  await page.goto(`/ui/not-me#code=${code}`);
  await page.getByRole('button', { name: 'This was not me' }).click();
  await seeHeading(page, 'Set a new password');
  t.strictSame(lastCall(), ['disown', { code }]);
  const { password } = newCredentials();
  await page.getByLabel('New password').fill(password);
  await page.keyboard.press('Enter');
  await seeHeading(page, 'Your password is set');
  t.strictSame(lastCall(), ['resetPassword', { code }, password]);
  await page.reload();
  t.equal(lastCall()[0], 'resetPassword');
  t.equal(server.calls.filter(([, used]) => (used as { code?: string }).code === code).length, 2);
});

test('two clicks send one form', async (t) => {
  const page = await newPage(t, browser);
  const before = server.calls.length;
  await page.goto(`/ui/email-undo#code=${linkCode()}`);
  await page.getByRole('button').dblclick();
  await seeHeading(page, 'Your former address is back');
  t.equal(server.calls.length, before + 1);
});

test('the keyboard is enough, and the focus goes to what is wrong', async (t) => {
  const page = await newPage(t, browser);
  await page.goto('/ui/sign-in');
  await page.keyboard.press('Tab');
  await page.keyboard.type('ada@example.com');
  await page.keyboard.press('Tab');
  await page.keyboard.type('wrong');
  server.fail(new AppError('invalid_credentials'));
  await page.keyboard.press('Enter');
  const alert = page.getByRole('alert');
  await alert.waitFor();
  t.equal(await page.evaluate('document.activeElement.role'), 'alert');
  t.equal(await page.getByLabel('E-mail address').inputValue(), 'ada@example.com');
  server.fail(new AppError('email_taken'));
  await page.goto('/ui/sign-up');
  await page.getByLabel('E-mail address').fill('ada@example.com');
  await page.getByLabel('New password').fill('anything');
  await page.keyboard.press('Enter');
  const field = page.getByLabel('E-mail address');
  await page.getByText('There is an account with this address already').waitFor();
  t.equal(await page.evaluate('document.activeElement.id'), 'email');
  t.equal(await field.getAttribute('aria-describedby'), 'email-error');
});

test('axe finds nothing wrong, and nothing sticks out, on a phone and on a desktop', async (t) => {
  for (const [size, viewport] of Object.entries(SIZES)) {
    const page = await newPage(t, browser, { viewport, bypassCSP: true, locale: 'de' });
    const check = async (name: string) => {
      await checkAccessibility(t, page, `${name}, ${size}`);
      await fits(t, page, `${name}, ${size}`);
    };
    for (const [name] of codePages) {
      await page.goto(`/ui/${name}`);
      await check(name);
    }
    await page.goto(`/ui/reset#code=${linkCode()}`);
    await check('reset, by its link');
    await page.getByLabel('Neues Passwort').fill('x');
    server.fail(
      new AppError('validation_failed', {
        errors: [{ path: '/password', message: 'Use at least 8 characters.' }],
      }),
    );
    await page.getByRole('button').click();
    await page.getByText('Nehmen Sie mindestens 8 Zeichen.').waitFor();
    await check('reset, with an error');
    server.state.isVerified = false;
    await page.goto(`/ui/verify#code=${linkCode()}`);
    await page.getByRole('button').click();
    await page.getByLabel('Passwort').waitFor();
    server.state.isVerified = true;
    await check('verify, with a password');
    for (const name of ['sign-in', 'sign-up', 'forgot', 'forgot/done', 'nowhere']) {
      await page.goto(`/ui/${name}`);
      await check(name);
    }
  }
});

/** Fails if the page must be scrolled sideways. */
async function fits(t: Test, page: Page, name: string): Promise<void> {
  for (const css of USER_STYLES) {
    await page.addStyleTag({ content: css });
    t.strictSame(await page.evaluate(STICKING_OUT), [], `${name} with ${css}`);
    await page.evaluate('document.querySelector("style").remove()');
  }
}
