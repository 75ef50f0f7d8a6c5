import cors from '@fastify/cors';
import { build as bundle } from 'esbuild';
import Fastify, { type FastifyInstance } from 'fastify';
import { decodeJwt } from 'jose';
import type { Browser, Page } from 'playwright-core';
import type { Test } from 'tap';
import { portOf } from '../browser/support/club.ts';
import { build, signUp } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { catchMails, type MailCatcher } from '../support/mail-catcher.ts';

/** Where a page's blocks of code run: an empty page, Doorward and a shop, each at an origin of its own. */
export type BlockWorld = {
  credentials: { email: string; password: string };
  /** The audiences of the tokens that the shop got, in order. */
  shopAudiences: unknown[];
  /** What Doorward sends, with links to the empty page. */
  mails: MailCatcher;
  /** Opens an empty page; its user is signed out. @param path with a fragment, if it needs one */
  open(path?: string): Promise<Page>;
  /** Runs a module in the page. Its imports are found like those of our own code. */
  run(page: Page, code: string): Promise<void>;
};

const GIVE_UP_AFTER_MS = 60_000;

/** @returns a world with one user, whose credentials it tells */
export async function openBlockWorld(t: Test, browser: Browser): Promise<BlockWorld> {
  const shopAudiences: unknown[] = [];
  const [origin, shop] = await Promise.all([serveEmptyPages(t), serveShop(t, shopAudiences)]);
  const { doorward, credentials, mails } = await openDoorward(t, origin);
  return {
    credentials,
    shopAudiences,
    mails,
    open: async (path = '/') => {
      const context = await browser.newContext();
      context.setDefaultTimeout(GIVE_UP_AFTER_MS);
      const page = await context.newPage();
      await page.goto(`${origin}${path}`);
      return page;
    },
    run: async (page, code) => {
      const here = code
        .replaceAll('https://auth.example.com', doorward)
        .replaceAll('https://shop.example.com', shop);
      const url = `data:text/javascript,${encodeURIComponent(await bundled(here))}`;
      await page.evaluate(`import(${JSON.stringify(url)}).then(() => {})`);
    },
  };
}

function serveEmptyPages(t: Test): Promise<string> {
  const app = Fastify({ forceCloseConnections: true });
  app.get('/*', (_request, reply) => reply.type('text/html').send('<!doctype html><title>Empty</title>'));
  return listen(t, app);
}

async function serveShop(t: Test, audiences: unknown[]): Promise<string> {
  const app = Fastify({ forceCloseConnections: true });
  await app.register(cors);
  app.get('/cart', ({ headers: { authorization } }) => {
    audiences.push(authorization === undefined ? null : decodeJwt(authorization.slice('Bearer '.length)).aud);
    return { items: [] };
  });
  return listen(t, app);
}

async function listen(t: Test, app: FastifyInstance): Promise<string> {
  t.teardown(() => app.close());
  await app.listen({ port: 0, host: 'localhost' });
  return `http://localhost:${portOf(app)}`;
}

async function openDoorward(t: Test, pageOrigin: string) {
  const port = await freePort();
  const doorward = `http://localhost:${port}`;
  const mails = await catchMails(t);
  const settings = {
    ...{ PORT: String(port), PUBLIC_URL: doorward, APP_ORIGINS: pageOrigin },
    ...{ SMTP_URL: mails.smtpUrl, PUBLIC_APP_URL: pageOrigin },
  };
  const { app } = await build(t, { ...settings, AUDIENCES: 'shop,books,payments' });
  await app.listen({ port, host: 'localhost' });
  const { email, password } = await signUp(app);
  return { doorward, credentials: { email, password }, mails };
}

async function bundled(code: string): Promise<string> {
  const { outputFiles } = await bundle({
    stdin: { contents: code, resolveDir: process.cwd(), loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'silent',
  });
  return outputFiles[0]?.text ?? '';
}
