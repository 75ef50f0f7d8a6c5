import { readFile } from 'node:fs/promises';
import type { BrowserContext, Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { type Credentials, newCredentials } from '../helper.ts';
import { catchMails } from '../support/mail-catcher.ts';
import { launchChromium } from './support/chromium.ts';
import { openClub } from './support/club.ts';
import { mailFor, partOf, watchCalls } from './support/mailbox.ts';
import { goTo, hear, join, newVisitor, seeHeading, submit } from './support/visit.ts';

root.setTimeout(300_000);

const catcher = await catchMails(root);
const [club, browser] = await Promise.all([
  openClub(root, { SMTP_URL: catcher.smtpUrl, EMAIL_VERIFICATION: 'optional' }),
  launchChromium(root),
]);

/** A new member, who looks at the account. */
async function member(t: Test): Promise<{ context: BrowserContext; page: Page; credentials: Credentials }> {
  const context = await newVisitor(browser, club);
  t.teardown(() => context.close());
  const page = await context.newPage();
  const credentials = newCredentials();
  await join(page, credentials);
  await goTo(page, 'Account', 'Your account');
  return { context, page, credentials };
}

/** The same user on another device. */
async function signInElsewhere(t: Test, credentials: Credentials): Promise<Page> {
  const context = await newVisitor(browser, club);
  t.teardown(() => context.close());
  const page = await context.newPage();
  await page.goto('/sign-in?next=/account');
  await submit(page, credentials, 'Sign in');
  await seeHeading(page, 'Your account');
  return page;
}

async function isSignedOut(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Cart' }).click();
  await seeHeading(page, 'Welcome back');
}

test('the name is kept, and greets the user', async (t) => {
  const { page } = await member(t);
  const name = partOf(page, 'Profile').getByLabel('Name');
  await name.fill('Ada <b>Lovelace</b>');
  await page.keyboard.press('Enter');
  await hear(page, 'Your name is saved.');
  await page.reload();
  await page.getByText('Hello Ada <b>Lovelace</b>.').waitFor();
  await name.fill(' ');
  await page.keyboard.press('Enter');
  await hear(page, 'Your name is saved.');
  await page.reload();
  await seeHeading(page, 'Your account');
  t.equal(await name.inputValue(), '', 'and can be taken away');
});

test('an address is confirmed from the account page, and the page knows it', async (t) => {
  const { page, credentials } = await member(t);
  await partOf(page, 'E-mail address').getByRole('button', { name: 'Send me a mail to confirm it' }).click();
  await page.getByText(`A mail to ${credentials.email} is on its way.`).waitFor();
  const { link } = await mailFor(catcher, credentials.email, 'verify');
  await page.goto(link);
  await page.getByRole('button', { name: 'Confirm the address' }).click();
  await hear(page, 'Your address is confirmed');
  await goTo(page, 'Account', 'Your account');
  await page.getByText(`${credentials.email}. It is confirmed.`).waitFor();
  t.equal(await page.getByRole('button', { name: 'Send me a mail' }).count(), 0);
});

test('a new password keeps this device signed in, in each tab, and signs the others out', async (t) => {
  const { context, page, credentials } = await member(t);
  const tab = await context.newPage();
  await tab.goto('/cart');
  await seeHeading(tab, 'Your cart');
  const other = await signInElsewhere(t, credentials);
  const part = partOf(page, 'Password');
  await part.getByLabel('New password', { exact: true }).fill(`${credentials.password} anew`);
  await part.getByLabel('Current password', { exact: true }).fill(`${credentials.password}?`);
  await page.keyboard.press('Enter');
  await part.getByRole('alert').filter({ hasText: 'Wrong e-mail address or password' }).waitFor();
  t.equal(await page.evaluate('document.activeElement.id'), 'current_password');
  await page.keyboard.type(credentials.password);
  await page.keyboard.press('Enter');
  await hear(page, 'Your password is changed. All other devices are signed out.');
  t.equal(await part.getByLabel('New password', { exact: true }).inputValue(), '');
  await goTo(page, 'Cart', 'Your cart');
  await goTo(tab, 'Account', 'Your account');
  await isSignedOut(other);
  await mailFor(catcher, credentials.email, 'not-me');
  t.pass('the owner got a mail that says so');
});

test('a new address is that of the account after a click, and the old one can be taken back', async (t) => {
  const { page, credentials } = await member(t);
  const other = await signInElsewhere(t, credentials);
  const { email } = newCredentials();
  const part = partOf(page, 'E-mail address');
  await part.getByLabel('New e-mail address').fill(email);
  await part.getByLabel('Current password', { exact: true }).fill(credentials.password);
  await page.keyboard.press('Enter');
  await page.getByText(`A mail to ${email} is on its way.`).waitFor();
  const { link } = await mailFor(catcher, email, 'email-change');
  const calls = watchCalls(page);
  await page.goto(link);
  await seeHeading(page, 'Your new address');
  t.strictSame(calls, []);
  await page.getByRole('button', { name: 'Use the new address' }).press('Enter');
  await hear(page, `Your address is ${email} now.`);
  await page.getByText(`${email}. It is confirmed.`).waitFor();
  await page.locator('.who').filter({ hasText: email }).waitFor();
  await isSignedOut(other);

  const { link: undo } = await mailFor(catcher, credentials.email, 'email-undo');
  await other.goto(undo);
  await seeHeading(other, 'Take your address back');
  await other.getByRole('button', { name: 'Take it back' }).press('Enter');
  await other.getByText('Your old address is back, and every device is signed out.').waitFor();
  await isSignedOut(page);
  const { link: reset } = await mailFor(catcher, credentials.email, 'reset');
  await other.goto(reset);
  await other.getByLabel('New password', { exact: true }).fill(`${credentials.password} anew`);
  await other.keyboard.press('Enter');
  await hear(other, 'Your new password is set, and you are signed in.');
  await other.locator('.who').filter({ hasText: credentials.email }).waitFor();
});

test('a link to the new address waits for the sign-in, and a typed code does as well', async (t) => {
  const { page, credentials } = await member(t);
  const part = partOf(page, 'E-mail address');
  const change = async (email: string) => {
    await part.getByLabel('New e-mail address').fill(email);
    await part.getByLabel('Current password', { exact: true }).fill(credentials.password);
    await page.keyboard.press('Enter');
    return mailFor(catcher, email, 'email-change');
  };
  const first = newCredentials().email;
  const { code } = await change(first);
  await part.getByLabel('Code').fill(code);
  await page.keyboard.press('Enter');
  await hear(page, `Your address is ${first} now.`);
  const second = newCredentials().email;
  const { link } = await change(second);
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await hear(page, 'You are signed out');
  await page.goto(link);
  await seeHeading(page, 'Welcome back');
  await submit(page, { ...credentials, email: first }, 'Sign in');
  await seeHeading(page, 'Your new address');
  await page.getByRole('button', { name: 'Use the new address' }).click();
  await hear(page, `Your address is ${second} now.`);
  t.pass('with the code of the link');
});

test('the data can be taken along', async (t) => {
  const { page, credentials } = await member(t);
  const downloaded = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download my data' }).click();
  const download = await downloaded;
  t.equal(download.suggestedFilename(), 'club-data.json');
  const text = await readFile(await download.path(), 'utf8');
  t.equal(JSON.parse(text).schema_version, 1);
  t.match(text, credentials.email);
  await hear(page, 'Your data is in the file club-data.json.');
});

test('a deleted account is gone on every device, after a second answer and the password', async (t) => {
  const { page, credentials } = await member(t);
  const other = await signInElsewhere(t, credentials);
  const button = page.getByRole('button', { name: 'Delete my account' });
  await button.press('Enter');
  const asked = page.getByRole('group', { name: 'Delete your account, and all that belongs to it?' });
  await asked.waitFor();
  await page.keyboard.press('Escape');
  await button.and(page.locator(':focus')).waitFor();
  await button.press('Enter');
  await asked.getByLabel('Current password', { exact: true }).fill(`${credentials.password}?`);
  await asked.getByRole('button', { name: 'Yes, delete it' }).press('Enter');
  await asked.getByRole('alert').filter({ hasText: 'Wrong e-mail address or password' }).waitFor();
  await asked.getByLabel('Current password', { exact: true }).fill(credentials.password);
  await asked.getByRole('button', { name: 'Yes, delete it' }).press('Enter');
  await hear(page, 'Your account is deleted.');
  await isSignedOut(page);
  await isSignedOut(other);
  await submit(other, credentials, 'Sign in');
  await other.getByRole('alert').filter({ hasText: 'Wrong e-mail address or password' }).waitFor();
  t.pass('and the password opens nothing');
});
