import { sql } from 'drizzle-orm';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { users } from '../../../src/db/schema.ts';
import { launchChromium } from '../../browser/support/chromium.ts';
import { buildEmbedded, newCredentials, signUp, type TestApp } from '../../helper.ts';
import { freePort } from '../../support/free-port.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** Much longer than a busy machine needs. */
const GIVE_UP_AFTER_MS = 30_000;

export type ConsoleWorld = TestApp & { origin: string; browser: Browser };

/** A real server with the console, and a browser. */
export async function openConsoleWorld(t: Teardown, settings = {}): Promise<ConsoleWorld> {
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const [server, browser] = await Promise.all([
    buildEmbedded(t, { PORT: String(port), PUBLIC_URL: origin, ...settings }),
    launchChromium(t),
  ]);
  await server.app.listen({ port, host: 'localhost' });
  return { ...server, origin, browser };
}

/** A new account with these roles. */
export async function newAccount({ app, adapters }: ConsoleWorld, roles: string[], email?: string) {
  const credentials = { ...newCredentials(), ...(email !== undefined && { email }) };
  const { user } = await signUp(app, credentials);
  await adapters.database.update(users).set({ roles }).where(sql`id = ${user.id}`);
  return { ...credentials, id: String(user.id) };
}

/**
 * The console in a browser profile of its own.
 * @returns the page, and what the browser complains about, breaches of the policy among it
 */
export async function openConsole(
  t: Teardown,
  { browser, origin }: ConsoleWorld,
  options: BrowserContextOptions = {},
) {
  const context = await browser.newContext({ baseURL: origin, locale: 'en', ...options });
  t.teardown(() => context.close());
  context.setDefaultTimeout(GIVE_UP_AFTER_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    // An answer such as 401 is a line of its own there, whatever the page makes of it.
    if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load'))
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto('/admin/ui');
  return { page, complaints };
}

export async function signIn(page: Page, { email, password }: { email: string; password: string }) {
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Waits until the view with this heading is there. */
export async function see(page: Page, heading: string): Promise<void> {
  await page.getByRole('heading', { name: heading, level: 1, exact: true }).waitFor();
}

/** Waits until the console has said this. */
export async function hear(page: Page, text: string | RegExp): Promise<void> {
  await page.getByRole('status').filter({ hasText: text }).waitFor();
}

/** By the tabs at the top. */
export async function goTo(page: Page, tab: string, heading = tab): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: tab }).click();
  await see(page, heading);
}
