import Fastify from 'fastify';
import type { BrowserContext, Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { newCredentials } from '../helper.ts';
import { launchChromium } from './support/chromium.ts';
import { type Club, openClub, portOf } from './support/club.ts';
import { goToSessions, join, newVisitor } from './support/visit.ts';

/** Pages of an attacker: on another port, which is the same site and gets the cookie, and on another site. */
const HOSTS = ['localhost', '127.0.0.1'];

root.setTimeout(300_000);

test('pages of other origins, in Chromium', async (t) => {
  const [club, browser] = await Promise.all([openClub(t), launchChromium(t)]);
  for (const host of HOSTS) {
    const evil = await serveEmptyPages(t, host);
    const context = await newVisitor(browser, club);
    const page = await context.newPage();
    await join(page, newCredentials());
    const cookie = await sessionCookie(context);

    await t.test(`${host}: may read nothing`, async (t) => {
      const other = await context.newPage();
      await other.goto(evil);
      for (const [method, path] of [
        ['POST', '/token'],
        ['GET', '/me'],
        ['GET', '/sessions'],
        ['DELETE', '/sessions'],
      ] as const) {
        t.equal(
          await tryFetch(other, `${club.origin}/auth${path}`, { method, credentials: 'include' }),
          'refused',
          path,
        );
      }
      const json = { 'content-type': 'application/json' };
      const call = { method: 'POST', credentials: 'include', headers: json, body: '{}' };
      t.equal(await tryFetch(other, `${club.origin}/auth/token`, call), 'refused', 'with a preflight');
      await other.close();
    });

    await t.test(`${host}: can change nothing, with forms or no-cors calls`, async (t) => {
      const other = await context.newPage();
      await other.goto(evil);
      const simple = { method: 'POST', mode: 'no-cors', credentials: 'include' };
      for (const path of ['/logout', '/token', '/login', '/signup']) {
        const url = `${club.origin}/auth${path}`;
        t.equal(await tryFetch(other, url, simple), 'refused', path);
        const body = JSON.stringify(newCredentials());
        t.equal(await tryFetch(other, url, { ...simple, body }), 'refused', `${path} with a body`);
        t.equal(await submitForm(other, url), 403, `a form to ${path}`);
        await other.goto(evil);
      }
      await other.close();
      await stillSignedIn(t, page, context, cookie, club);
    });
    await context.close();
  }
});

async function stillSignedIn(
  t: Test,
  page: Page,
  context: BrowserContext,
  cookie: string,
  club: Club,
): Promise<void> {
  t.equal(await sessionCookie(context), cookie, 'the cookie is the same');
  await goToSessions(page);
  await page.getByText('You are signed in here only.').waitFor();
  const own = await tryFetch(page, `${club.origin}/auth/token`, { method: 'POST' });
  t.equal(own, 'basic 200', 'the own page may do all that');
}

async function sessionCookie(context: BrowserContext): Promise<string> {
  const cookies = await context.cookies();
  return cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
}

async function serveEmptyPages(t: Test, host: string): Promise<string> {
  const app = Fastify({ forceCloseConnections: true });
  t.teardown(() => app.close());
  app.get('/*', (_request, reply) => reply.type('text/html').send('<!doctype html><title>Elsewhere</title>'));
  await app.listen({ port: 0, host });
  return `http://${host}:${portOf(app)}/`;
}

/** What a script of that page can read: a status, or nothing. */
function tryFetch(page: Page, url: string, init: object): Promise<string> {
  return page.evaluate(`fetch(${JSON.stringify(url)}, ${JSON.stringify(init)}).then(
    ({ type, status }) => type + " " + status,
    () => 'refused',
  )`);
}

/** Has the page send a form there, as a click would. @returns the status of what came back */
async function submitForm(page: Page, action: string): Promise<number> {
  const answered = page.waitForResponse(action);
  await page.evaluate(`{
    const form = document.createElement('form');
    Object.assign(form, { method: 'post', action: ${JSON.stringify(action)}, enctype: 'text/plain' });
    document.body.append(form);
    form.submit();
  }`);
  const response = await answered;
  await page.waitForURL(action);
  return response.status();
}
