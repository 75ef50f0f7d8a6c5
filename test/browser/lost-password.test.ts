import { t as root, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { catchMails } from '../support/mail-catcher.ts';
import { launchChromium } from './support/chromium.ts';
import { openClub } from './support/club.ts';
import { mailFor, watchCalls } from './support/mailbox.ts';
import { goTo, hear, join, newVisitor, seeHeading, submit } from './support/visit.ts';

root.setTimeout(300_000);

const catcher = await catchMails(root);
const [club, browser] = await Promise.all([
  openClub(root, { SMTP_URL: catcher.smtpUrl }),
  launchChromium(root),
]);

test('a lost password: from the sign-in to the mail, and back as a member', async (t) => {
  const [there, here] = [await newVisitor(browser, club), await newVisitor(browser, club)];
  const credentials = newCredentials();
  const { email } = credentials;
  const member = await there.newPage();
  await join(member, credentials);
  const page = await here.newPage();
  const calls = watchCalls(page);
  await page.goto('/sign-in');
  await page.getByLabel('E-mail address').fill(email);
  await page.getByRole('link', { name: 'Forgot your password?' }).click();
  await seeHeading(page, 'Forgot your password?');
  t.equal(await page.getByLabel('E-mail address').inputValue(), email, 'the address is kept');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByText(`If ${email} belongs to a member, a mail is on its way.`).waitFor();
  await page.locator('.note:focus').waitFor();
  t.pass('which is read aloud');

  const { link } = await mailFor(catcher, email, 'reset');
  await page.goto(link);
  await seeHeading(page, 'Set a new password');
  t.equal(page.url(), `${club.origin}/reset`, 'the code is no longer in the address');
  t.strictSame(calls, ['POST /password/forgot'], 'and opening the link has sent nothing');
  const password = `${credentials.password} anew`;
  await page.getByLabel('New password', { exact: true }).fill(password);
  await page.keyboard.press('Enter');
  await hear(page, 'Your new password is set, and you are signed in.');
  await seeHeading(page, 'Things from the club');
  await goTo(page, 'Cart', 'Your cart');
  await member.getByRole('link', { name: 'Account' }).click();
  await seeHeading(member, 'Welcome back');
  t.pass('the other device is signed out');
  await submit(member, credentials, 'Sign in');
  await member.getByRole('alert').filter({ hasText: 'Wrong e-mail address or password' }).waitFor();
  await submit(member, { email, password }, 'Sign in');
  await seeHeading(member, 'Your account');
  await Promise.all([here.close(), there.close()]);
});

test('a code that was typed sets a new password too, and a used link says so', async (t) => {
  const context = await newVisitor(browser, club);
  const page = await context.newPage();
  const { email, password } = newCredentials();
  await join(page, { email, password });
  await page.goto('/forgot');
  await page.getByLabel('E-mail address').fill(email);
  await page.getByRole('button', { name: 'Send me a mail' }).click();
  await page.getByRole('link', { name: 'type the code' }).click();
  await seeHeading(page, 'Set a new password');
  t.equal(await page.getByLabel('E-mail address').inputValue(), email);
  const { code, link } = await mailFor(catcher, email, 'reset');
  await page.getByLabel('New password', { exact: true }).fill(`${password} anew`);
  await page.getByLabel('Code').fill('AAAA-AAAA');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'The code is wrong' }).waitFor();
  t.equal(await page.evaluate('document.activeElement.id'), 'code', 'the focus is at the code');
  await page.getByLabel('Code').fill(code.toLowerCase().replace('-', ' '));
  await page.keyboard.press('Enter');
  await hear(page, 'Your new password is set, and you are signed in.');

  await page.goto(link);
  await page.getByLabel('New password', { exact: true }).fill(`${password} once more`);
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'The code is wrong, used up or too old' }).waitFor();
  await page.getByRole('link', { name: 'Get another mail' }).click();
  await seeHeading(page, 'Forgot your password?');
  await page.getByLabel('E-mail address').fill(email);
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'type the code' }).click();
  await page.getByLabel('Code').waitFor();
  t.pass('and the next code can be typed');
  await context.close();
});

test('a stranger learns nothing from the page about who is a member', async (t) => {
  const context = await newVisitor(browser, club);
  const page = await context.newPage();
  const { email } = newCredentials();
  await page.goto('/forgot');
  await page.getByLabel('E-mail address').fill(email);
  await page.getByRole('button', { name: 'Send me a mail' }).click();
  await page.getByText(`If ${email} belongs to a member, a mail is on its way.`).waitFor();
  t.pass('it says the same');
  await context.close();
});

test('a sign-in that was not mine is ended, and the same code sets a new password', async (t) => {
  const [mine, thief] = [await newVisitor(browser, club), await newVisitor(browser, club)];
  const credentials = newCredentials();
  const page = await mine.newPage();
  await join(page, credentials);
  const stolen = await thief.newPage();
  await stolen.goto('/sign-in');
  await submit(stolen, credentials, 'Sign in');
  await seeHeading(stolen, 'Things from the club');
  const { link } = await mailFor(catcher, credentials.email, 'not-me');
  const calls = watchCalls(page);
  await page.goto(link);
  await seeHeading(page, 'This was not me');
  t.strictSame(calls, []);
  await page.getByRole('button', { name: 'Sign that device out' }).press('Enter');
  await hear(page, 'That device is signed out. Set a new password now.');
  await seeHeading(page, 'Set a new password');
  await stolen.getByRole('link', { name: 'Account' }).click();
  await seeHeading(stolen, 'Welcome back');
  t.equal(await page.getByLabel('E-mail address').count(), 0, 'the code need not be entered again');
  await page.getByLabel('New password', { exact: true }).fill(`${credentials.password} anew`);
  await page.keyboard.press('Enter');
  await hear(page, 'Your new password is set, and you are signed in.');
  await submit(stolen, credentials, 'Sign in');
  await stolen.getByRole('alert').filter({ hasText: 'Wrong e-mail address or password' }).waitFor();
  await Promise.all([mine.close(), thief.close()]);
});
