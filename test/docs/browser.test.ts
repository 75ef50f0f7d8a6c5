import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { snippet } from './pages.ts';

type PageSnippet = { refresh(): Promise<boolean>; accessToken(): Promise<string | null> };

const exampleUrl = 'https://auth.example.com';

t.test('code of your own: refreshes a minute early and keeps its token while the server fails', async (t) => {
  const folder = t.testdir({ 'page.mjs': snippet('docs/browser.md', 'js') });
  const { refresh, accessToken }: PageSnippet = await import(pathToFileURL(join(folder, 'page.mjs')).href);
  const startedAt = Date.now();
  let now = startedAt;
  t.intercept(Date, 'now', { value: () => now });
  let answer = () => Response.json({ access_token: 'made at run time', expires_in: 1800 });
  const requests = t.capture(globalThis, 'fetch', async () => answer());

  t.equal(await refresh(), true);
  t.match(requests(), [{ args: [`${exampleUrl}/token`, { method: 'POST', credentials: 'include' }] }]);
  answer = () => new Response(null, { status: 503 });
  now = startedAt + 29 * 60_000 - 1;
  t.equal(await accessToken(), 'made at run time');
  t.same(requests(), [], 'sends no request while more than a minute is left');

  now += 1;
  t.equal(await accessToken(), 'made at run time', 'keeps it after a 503');
  t.equal(requests().length, 1);
  await t.rejects(refresh(), /503/, 'and does not say that the user is signed out');
  now = startedAt + 30 * 60_000;
  await t.rejects(accessToken(), /503/, 'but never hands out a token that has ended');

  answer = () => new Response(null, { status: 404 });
  t.equal(await refresh(), false);
  t.equal(await accessToken(), null);
});
