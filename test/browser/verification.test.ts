import type { Page } from 'playwright-core';
import { t as root, test } from 'tap';
import { type Credentials, newCredentials } from '../helper.ts';
import { catchMails } from '../support/mail-catcher.ts';
import { launchChromium } from './support/chromium.ts';
import { openClub } from './support/club.ts';
import { mailFor, watchCalls } from './support/mailbox.ts';
import { hear, newVisitor, seeHeading, submit } from './support/visit.ts';

root.setTimeout(300_000);

const catcher = await catchMails(root);
const [club, browser] = await Promise.all([
  openClub(root, {
    SMTP_URL: catcher.smtpUrl,
    EMAIL_VERIFICATION: 'required',
    ACCOUNT_DELETION_DELAY: '3d',
  }),
  launchChromium(root),
]);

/** Asks for an account; nobody is signed in before the address is confirmed. */
async function ask(page: Page, credentials: Credentials): Promise<void> {
  await page.goto('/sign-up');
  await submit(page, credentials, 'Join');
  await page.getByText(`We have sent a mail to ${credentials.email}.`).waitFor();
}

async function isMember(page: Page, { email }: Credentials): Promise<void> {
  await hear(page, 'Your address is confirmed, and you are signed in.');
  await page.goto('/account');
  await page.getByText(`${email}. It is confirmed.`).waitFor();
}

test('who opens the link where they joined is signed in with one click, and not before', async (t) => {
  const context = await newVisitor(browser, club);
  const page = await context.newPage();
  const credentials = newCredentials();
  await ask(page, credentials);
  await page.locator('.note:focus').waitFor();
  await page.getByRole('link', { name: 'Sign in', exact: true }).first().waitFor();
  const { link } = await mailFor(catcher, credentials.email, 'verify');
  const calls = watchCalls(page);
  await page.goto(link);
  await seeHeading(page, 'Confirm your address');
  t.strictSame(calls, [], 'opening it sends nothing');
  t.equal(page.url(), `${club.origin}/verify`);
  await page.getByRole('button', { name: 'Confirm the address' }).press('Enter');
  await isMember(page, credentials);
  await context.close();
});

test('in another browser the password is needed too', async (t) => {
  const [here, there] = [await newVisitor(browser, club), await newVisitor(browser, club)];
  const credentials = newCredentials();
  await ask(await here.newPage(), credentials);
  const { link } = await mailFor(catcher, credentials.email, 'verify');
  const page = await there.newPage();
  await page.goto(link);
  await page.getByRole('button', { name: 'Confirm the address' }).click();
  await page.getByText('You joined in another browser.').waitFor();
  await page.locator('.note:focus').waitFor();
  await page.getByLabel('Password', { exact: true }).fill(`${credentials.password}?`);
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: /./ }).waitFor();
  t.equal(await page.evaluate('document.activeElement.id'), 'password');
  await page.getByLabel('Password', { exact: true }).fill(credentials.password);
  await page.keyboard.press('Enter');
  await isMember(page, credentials);
  await Promise.all([here.close(), there.close()]);
});

test('an owner who did not join takes the account over with a password of their own', async (t) => {
  const [stranger, owner] = [await newVisitor(browser, club), await newVisitor(browser, club)];
  const credentials = newCredentials();
  await ask(await stranger.newPage(), credentials);
  const { link } = await mailFor(catcher, credentials.email, 'verify');
  const page = await owner.newPage();
  await page.goto(link);
  await page.getByRole('button', { name: 'Confirm the address' }).click();
  await page.getByRole('link', { name: 'Set a password of your own' }).click();
  await seeHeading(page, 'Set a new password');
  await page.getByLabel('New password', { exact: true }).fill(`${credentials.password} of mine`);
  await page.keyboard.press('Enter');
  await hear(page, 'Your new password is set, and you are signed in.');
  const other = await stranger.newPage();
  await other.goto('/sign-in');
  await submit(other, credentials, 'Sign in');
  await other.getByRole('alert').filter({ hasText: 'Wrong e-mail address or password' }).waitFor();
  t.pass('the password of the stranger is worth nothing');
  await Promise.all([stranger.close(), owner.close()]);
});

test('the code can be typed, also from a second mail', async (t) => {
  const context = await newVisitor(browser, club);
  const page = await context.newPage();
  const credentials = newCredentials();
  await ask(page, credentials);
  const first = await mailFor(catcher, credentials.email, 'verify');
  await page.getByRole('button', { name: 'Send another mail' }).click();
  await hear(page, 'Another mail is on its way.');
  const { code } = await mailFor(catcher, credentials.email, 'verify');
  t.not(code, first.code);
  await page.getByRole('link', { name: 'type the code' }).click();
  await seeHeading(page, 'Confirm your address');
  await page.getByLabel('Code').fill(code);
  await page.keyboard.press('Enter');
  await isMember(page, credentials);
  await context.close();
});

test('an account that waits for its deletion is kept with one click', async (t) => {
  const context = await newVisitor(browser, club);
  const page = await context.newPage();
  const credentials = newCredentials();
  await ask(page, credentials);
  const { link } = await mailFor(catcher, credentials.email, 'verify');
  await page.goto(link);
  await page.getByRole('button', { name: 'Confirm the address' }).click();
  await isMember(page, credentials);
  await page.getByRole('button', { name: 'Delete my account' }).click();
  await page.getByRole('button', { name: 'Yes, delete it' }).click();
  await hear(page, /Your account is deleted on .*\. A mail says how to keep it\./);
  const { link: keep } = await mailFor(catcher, credentials.email, 'deletion-undo');
  const calls = watchCalls(page);
  await page.goto(keep);
  await seeHeading(page, 'Keep your account');
  t.strictSame(calls, []);
  await page.getByRole('button', { name: 'Keep it' }).press('Enter');
  await page.getByText('Your account stays.').waitFor();
  await page.getByRole('main').getByRole('link', { name: 'Sign in' }).click();
  await submit(page, credentials, 'Sign in');
  await seeHeading(page, 'Things from the club');
  await context.close();
});
