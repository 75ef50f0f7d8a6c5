import type { Browser, BrowserContext, Page, Response } from 'playwright-core';
import type { Credentials } from '../../helper.ts';
import type { Club } from './club.ts';

/** Much longer than a busy machine needs. */
const GIVE_UP_AFTER_MS = 60_000;

/** A browser profile of its own, at the club. */
export async function newVisitor(
  browser: Browser,
  club: Club,
  options: object = {},
): Promise<BrowserContext> {
  const context = await browser.newContext({ baseURL: club.origin, ...options });
  context.setDefaultTimeout(GIVE_UP_AFTER_MS);
  return context;
}

/** Fills in the form that is there, and sends it; again, as a person would, when the server is too busy to take it. */
export async function submit(
  page: Page,
  { email, password }: Credentials,
  verb: 'Join' | 'Sign in',
): Promise<void> {
  const button = page.getByRole('button', { name: verb });
  for (let tries = 1; ; tries += 1) {
    await page.getByLabel('E-mail address').fill(email);
    await page.getByLabel('Password').fill(password);
    const [answer] = await Promise.all([page.waitForResponse(isCredentialsCall), button.click()]);
    if (answer.status() !== 503 || tries === MOST_TRIES) return;
    await page.getByText('Try again in a moment').waitFor();
  }
}

const MOST_TRIES = 5;

function isCredentialsCall(response: Response): boolean {
  return (
    response.request().method() === 'POST' &&
    /^\/auth\/(signup|login)$/.test(new URL(response.url()).pathname)
  );
}

/** Makes an account through the page, and waits until the page shows the user. */
export async function join(page: Page, credentials: Credentials): Promise<void> {
  await page.goto('/sign-up');
  await submit(page, credentials, 'Join');
  await seeHeading(page, 'Things from the club');
  // On a phone the panel is closed.
  await page.locator('.claims dt').first().waitFor({ state: 'attached' });
}

export async function seeHeading(page: Page, name: string): Promise<void> {
  try {
    await page.getByRole('heading', { name, level: 1 }).waitFor();
  } catch (cause) {
    const shown = await page.locator('body').innerText();
    throw new Error(`there is no heading "${name}"; the page says: ${shown}`, { cause });
  }
}

/** By the link at the top, as a user would. */
export async function goTo(page: Page, link: string, heading: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: link }).click();
  await seeHeading(page, heading);
}

/** To the list of the devices, by way of the account. */
export async function goToSessions(page: Page): Promise<void> {
  await goTo(page, 'Account', 'Your account');
  await page.getByRole('link', { name: 'See where you are signed in' }).click();
  await seeHeading(page, 'Where you are signed in');
}

/** Waits until the status line has this text. */
export async function hear(page: Page, text: string | RegExp): Promise<void> {
  await page.getByRole('status').filter({ hasText: text }).waitFor();
}

/** The access tokens that the page received, read from the network. */
export function watchTokens(page: Page): { tokens: string[]; asked(): number } {
  const tokens: string[] = [];
  let asked = 0;
  page.on('request', (request) => {
    if (isTokenCall(request.url())) asked += 1;
  });
  page.on('response', async (response) => {
    if (!isTokenCall(response.url()) || response.status() !== 200) return;
    const body = await response.json().catch(() => null);
    if (body !== null) tokens.push(body.access_token);
  });
  return { tokens, asked: () => asked };
}

function isTokenCall(url: string): boolean {
  return new URL(url).pathname === '/auth/token';
}
