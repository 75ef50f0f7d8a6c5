import type { BrowserContext, Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { build, createPlace, newCredentials, runSql } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { catchMails } from '../support/mail-catcher.ts';
import { launchChromium } from './support/chromium.ts';
import { seeHeading } from './support/visit.ts';

/** Much longer than a busy machine needs. */
const GIVE_UP_AFTER_MS = 60_000;

root.setTimeout(300_000);

const browser = await launchChromium(root);

async function openWorld(t: Test, settings: Record<string, string>) {
  const [port, place, mails] = [await freePort(), await createPlace(t), await catchMails(t)];
  const origin = `http://localhost:${port}`;
  const at = { PORT: String(port), PUBLIC_URL: origin, SMTP_URL: mails.smtpUrl };
  const server = await build(t, { ...at, ...settings }, place);
  await server.app.listen({ port, host: 'localhost' });
  const newContext = async (options = {}): Promise<BrowserContext> => {
    const context = await browser.newContext({ baseURL: origin, locale: 'en', ...options });
    t.teardown(() => context.close());
    context.setDefaultTimeout(GIVE_UP_AFTER_MS);
    return context;
  };
  const unusedCodes = async () => {
    const [row] = await runSql<{ count: string }>(
      place.DATABASE_URL,
      'select count(*) as count from one_time_codes where spent_at is null',
    );
    return Number(row?.count);
  };
  return { ...server, mails, newContext, unusedCodes };
}

/** Opens the link as programs that look for harmful mails do, the script and all, and waits until nothing happens. */
async function scan(context: BrowserContext, link: string): Promise<void> {
  const page = await context.newPage();
  await page.goto(link, { waitUntil: 'networkidle' });
  for (const frame of page.frames()) await frame.evaluate('document.body.getBoundingClientRect()');
  await page.request.get(link);
  await page.request.head(link);
  await page.close();
}

async function enter(page: Page, { email, password }: { email: string; password: string }): Promise<void> {
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel(/password/i).fill(password);
  await page.keyboard.press('Enter');
}

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with JavaScript' : 'without JavaScript';
  test(`from sign-up to a new password, ${how}, while a scanner opens each link first`, async (t) => {
    const { mails, newContext, unusedCodes } = await openWorld(t, { EMAIL_VERIFICATION: 'required' });
    const scanner = await newContext();
    const context = await newContext({ javaScriptEnabled });
    const page = await context.newPage();
    const credentials = newCredentials();
    const { email } = credentials;

    await page.goto('/');
    await page.getByRole('link', { name: 'Sign in' }).click();
    await page.getByRole('link', { name: 'Make an account' }).click();
    await enter(page, credentials);
    await seeHeading(page, 'Look into your mailbox');

    const first = await mails.next(email);
    const before = await unusedCodes();
    await scan(scanner, String(first.link));
    t.equal(await unusedCodes(), before, 'the scanner has used nothing up');
    await page.goto(String(first.link));
    if (!javaScriptEnabled) {
      await page.getByLabel('E-mail address').fill(email);
      await page.getByLabel('Code').fill(String(first.code));
    }
    await page.getByRole('button', { name: 'Confirm the address' }).click();
    await seeHeading(page, 'Your address is confirmed');
    await page.getByRole('link', { name: 'Go on' }).click();
    await seeHeading(page, 'You are signed in');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await seeHeading(page, 'Sign in');

    await page.getByRole('link', { name: 'Forgot your password?' }).click();
    await page.getByLabel('E-mail address').fill(email);
    await page.getByRole('button').click();
    await seeHeading(page, 'Look into your mailbox');
    const second = await mails.next(email);
    await scan(scanner, String(second.link));
    await page.goto(String(second.link));
    if (!javaScriptEnabled) {
      await page.getByLabel('E-mail address').fill(email);
      await page.getByLabel('Code').fill(String(second.code));
    }
    const { password } = newCredentials();
    await page.getByLabel('New password').fill(password);
    await page.getByRole('button', { name: 'Set the password' }).click();
    await seeHeading(page, 'Your password is set');
    await page.goto('/ui/sign-in');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await seeHeading(page, 'Sign in');
    await enter(page, { email, password });
    await seeHeading(page, 'You are signed in');

    const scanned = await scanner.newPage();
    await scanned.goto('/ui/sign-in');
    await seeHeading(scanned, 'Sign in');
    t.same(await scanner.cookies(), [], 'the scanner got no session and no cookie');
  });
}

test('the owner of a squatted address takes the account over by the link', async (t) => {
  const { mails, newContext } = await openWorld(t, { EMAIL_VERIFICATION: 'optional' });
  const squatter = await (await newContext()).newPage();
  const owner = await (await newContext()).newPage();
  const credentials = newCredentials();
  await squatter.goto('/ui/sign-up');
  await enter(squatter, credentials);
  await seeHeading(squatter, 'You are signed in');
  await owner.goto(String((await mails.next(credentials.email)).link));
  await owner.getByRole('button', { name: 'Confirm the address' }).click();
  await owner.getByRole('button', { name: 'This was not me' }).click();
  await seeHeading(owner, 'Set a new password');
  await owner.getByLabel('New password').fill(newCredentials().password);
  await owner.keyboard.press('Enter');
  await seeHeading(owner, 'Your password is set');
  await squatter.reload();
  await seeHeading(squatter, 'Sign in');
});
