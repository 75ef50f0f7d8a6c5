import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Fastify from 'fastify';
import type { Page } from 'playwright-core';
import { t as root, type Test, test } from 'tap';
import { buildModule } from './support/built-module.ts';
import { launchChromium } from './support/chromium.ts';
import { newToken } from './support/fake-page.ts';

root.setTimeout(300_000);

const refusal = { 'www-authenticate': 'Bearer realm="shop", error="invalid_token"' };

/** One origin: the page, the browser module, `/auth/token`, and a shop that hears of revoked tokens at once. */
async function startOrigin(t: Test) {
  const folder = join(await buildModule(t), 'packages/browser/dist');
  const app = Fastify({ forceCloseConnections: true });
  const revoked = new Set<string>();
  const calls: string[] = [];
  const issued: string[] = [];
  let isSignedIn = true;
  app.get('/', (_request, reply) => reply.type('text/html').send('<!doctype html><title>A page</title>'));
  app.get('/module/:file', async ({ params }, reply) => {
    const { file } = params as { file: string };
    return reply.type('text/javascript').send(await readFile(join(folder, file)));
  });
  app.post('/auth/token', async (_request, reply) => {
    if (!isSignedIn) return reply.code(404).send({ code: 'session_not_found' });
    const token = newToken();
    issued.push(token);
    return { access_token: token, expires_in: 1800 };
  });
  app.all('/shop/*', async ({ method, url, headers, body }, reply) => {
    const isRevoked = revoked.has(headers.authorization ?? '');
    calls.push(`${method} ${url} ${JSON.stringify(body ?? null)} ${isRevoked ? 'refused' : 'served'}`);
    return isRevoked ? reply.code(401).headers(refusal).send({}) : {};
  });
  t.teardown(() => app.close());
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  return {
    url,
    calls: () => calls.splice(0).sort(),
    issued: () => issued.splice(0).length,
    /** What an administrator does: all tokens that were given out are void, and the session goes on or has ended. */
    revoke: ({ endsSession = false } = {}) => {
      for (const token of issued) revoked.add(`Bearer ${token}`);
      isSignedIn = !endsSession;
    },
  };
}

/** Makes calls of the page at once. @returns their statuses */
function call(page: Page, ...calls: [path: string, init?: object, asRequest?: boolean][]): Promise<number[]> {
  return page.evaluate<number[]>(`(async () => {
    const { createAuth } = await import('/module/index.js');
    globalThis.auth ??= createAuth({ url: '/auth' });
    const send = ([path, init, asRequest]) =>
      asRequest ? auth.fetch(new Request(path, init)) : auth.fetch(path, init ?? {});
    return Promise.all(${JSON.stringify(calls)}.map(async (call) => (await send(call)).status));
  })()`);
}

test('a page whose token is revoked, in Chromium', async (t) => {
  const [origin, browser] = await Promise.all([startOrigin(t), launchChromium(t)]);
  const page = await browser.newPage();
  await page.goto(origin.url);
  const json = { headers: { 'content-type': 'application/json' }, body: '{"item":"lamp"}' };

  await t.test('gets another one, and its calls are repeated once, with their bodies', async (t) => {
    t.strictSame(await call(page, ['/shop/cart']), [200]);
    origin.revoke();
    origin.calls();
    t.strictSame(await call(page, ['/shop/cart'], ['/shop/cart', { method: 'POST', ...json }]), [200, 200]);
    t.strictSame(origin.calls(), [
      'GET /shop/cart null refused',
      'GET /shop/cart null served',
      'POST /shop/cart {"item":"lamp"} refused',
      'POST /shop/cart {"item":"lamp"} served',
    ]);
    t.equal(origin.issued(), 2, 'one before, and one for both calls');
  });

  await t.test('does not repeat a Request with a body, which it could not send again', async (t) => {
    await call(page, ['/shop/cart']);
    t.equal(origin.issued(), 0);
    const post: [string, object, boolean] = ['/shop/cart', { method: 'POST', ...json }, true];
    await page.reload();
    await call(page, ['/shop/cart']);
    origin.revoke();
    origin.calls();
    t.strictSame(await call(page, post), [401]);
    t.strictSame(origin.calls(), ['POST /shop/cart {"item":"lamp"} refused']);
    t.strictSame(await call(page, post), [200], 'the page asks again, with the token that came meanwhile');
  });

  await t.test('is signed out where its session has ended', async (t) => {
    origin.revoke({ endsSession: true });
    origin.calls();
    t.strictSame(await call(page, ['/shop/cart']), [401]);
    t.strictSame(origin.calls(), ['GET /shop/cart null refused']);
    t.equal(await page.evaluate('auth.getSnapshot().status'), 'signed-out');
  });
});
