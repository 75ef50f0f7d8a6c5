import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { launchChromium } from '../browser/support/chromium.ts';
import { captures, section } from '../docs/pages.ts';
import { freePort } from '../support/free-port.ts';
import { findOrInstall, listens, start } from '../support/gateway-program.ts';
import { ask, bearer } from '../support/gateway-world.ts';
import { codeOfPage, compileRecipes, startRecipe } from './support/recipe-services.ts';
import { openRecipeWorld } from './support/recipe-world.ts';

t.setTimeout(300_000);

const shownOrigin = 'https://app.example.com';

/** Refuses whatever has no token, preflights included: so the order of the page's lines counts. */
const GUARDED_NODE = `
import { createServer } from 'node:http';

createServer((request, response) => {
  if (answerCors(request, response)) return;
  if (request.headers.authorization) response.end();
  else response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end();
}).listen(4000);
`;

/** Services: the page of a stack, with the lines for CORS where the page about it says. */
const services = {
  Fastify: withCors('fast-jwt', 'const app = Fastify();', 'Fastify'),
  Express: withCors('jsonwebtoken', 'const app = express();', 'Express'),
  NestJS: withCors('nestjs', 'const app = await NestFactory.create(AppModule);', 'NestJS'),
  Hono: withCors('hono', 'const app = new Hono();', 'Hono'),
  'Plain Node': blockOf('Plain Node') + GUARDED_NODE,
  'no CORS': codeOfPage('fast-jwt'),
};

const world = await openRecipeWorld(t);
const token = await world.mint({ audience: 'shop' });
const pageOrigin = await servePage(t, 'localhost');
const otherOrigin = await servePage(t, 'localhost');
const urls = await startServices(t);
const browser = await launchChromium(t);
const page = await browser.newPage();
const { 'no CORS': closed = '', ...open } = urls;

for (const [name, url] of Object.entries(open)) {
  t.test(
    `${name}: answers the preflight, which has no token, and lets the page read the refusals`,
    async (t) => {
      const preflight = await askFrom(pageOrigin, url);
      t.equal(preflight.status, 204);
      t.equal(preflight.headers.get('access-control-allow-origin'), pageOrigin);
      t.match(preflight.headers.get('access-control-allow-headers'), /authorization/i);
      t.match(preflight.headers.get('access-control-allow-methods'), /\bPATCH\b/);
      t.equal(preflight.headers.get('access-control-allow-credentials'), null);
      t.match(preflight.headers.get('vary'), /Origin/i);
      const foreign = await askFrom(otherOrigin, url);
      t.equal(foreign.headers.get('access-control-allow-origin'), null, 'another port is another origin');
    },
  );

  t.test(`${name}: the page in Chromium can call it, and another page cannot`, async (t) => {
    await page.goto(pageOrigin);
    t.equal(await callFrom(page, url, bearer(token)), '200 ');
    t.match(await callFrom(page, url, {}), /^401 Bearer/);
    await page.goto(otherOrigin);
    t.equal(await callFrom(page, url, bearer(token)), 'failed');
  });
}

t.test('without the lines of the page, Chromium sends no token', async (t) => {
  t.equal((await ask(closed, { headers: bearer(token) })).status, 200);
  await page.goto(pageOrigin);
  t.equal(await callFrom(page, closed, bearer(token)), 'failed');
});

/** A page's code with the block of a section after one of its lines. */
function withCors(name: string, line: string, title: string): string {
  const code = codeOfPage(name);
  if (!code.includes(line)) throw new Error(`${name}.md has no line "${line}"`);
  // Imports may stand anywhere, but they are read first.
  return code.replace(line, `${line}\n${blockOf(title)}`);
}

function blockOf(title: string): string {
  const [block] = captures(section('docs/protect-a-service/cors.md', title), /^```\w+\n(.*?)^```$/gms);
  if (block === undefined) throw new Error(`${title} has no block of code`);
  return block;
}

async function startServices(t: Test): Promise<Record<string, string>> {
  const sources = Object.entries(services).map(([name, code]) => [
    fileOf(name),
    code.replace(shownOrigin, pageOrigin),
  ]);
  const compiled = await compileRecipes(t, Object.fromEntries(sources));
  const started = Object.keys(services).map(async (name) => {
    const { url } = await startRecipe(t, { compiled, name: fileOf(name), issuer: world.issuer });
    return [name, `${url}/cart`] as const;
  });
  const urls = Object.fromEntries(await Promise.all(started));
  return { ...urls, nginx: await startNginx(t, urls['no CORS'] ?? '') };
}

function fileOf(name: string): string {
  return name.toLowerCase().replaceAll(' ', '-');
}

/** nginx with the page's block, in front of a service without CORS. */
async function startNginx(t: Test, behind: string): Promise<string> {
  const port = await freePort();
  const folder = join(t.testdirName, 'nginx');
  const block = blockOf('nginx')
    .replace(shownOrigin, pageOrigin)
    .replace('listen 80', `listen 127.0.0.1:${port}`)
    .replace('http://127.0.0.1:4000', new URL(behind).origin);
  // Its own temporary folders are root's.
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const http = `http { access_log off; ${folders.join(' ')}\n${block} }`;
  mkdirSync(folder);
  writeFileSync(join(folder, 'nginx.conf'), `${user} daemon off; pid ${folder}/pid; events {}\n${http}`);
  const binary = await findOrInstall({ name: 'nginx', binary: 'nginx', debianPackage: 'nginx-light' });
  await listens(start(t, binary, ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')]), port);
  return `http://127.0.0.1:${port}/cart`;
}

function askFrom(origin: string, url: string) {
  const headers = {
    origin,
    'access-control-request-headers': 'authorization',
    'access-control-request-method': 'PATCH',
  };
  return ask(url, { method: 'OPTIONS', headers });
}

/** What a script of that page can read: the status and the challenge. */
function callFrom(page: Page, url: string, headers: object): Promise<string> {
  const init = JSON.stringify({ headers: { ...headers, 'content-type': 'application/json' } });
  return page.evaluate(`fetch(${JSON.stringify(url)}, ${init}).then(
    ({ status, headers }) => status + ' ' + (headers.get('www-authenticate') ?? ''),
    () => 'failed',
  )`);
}

async function servePage(t: Test, host: string): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>A page</title>');
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}
