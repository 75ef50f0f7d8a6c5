import { hash } from 'node:crypto';
import { test } from 'tap';
import packageJson from '../../package.json' with { type: 'json' };
import { build, codeOf, type TestApp } from '../helper.ts';

const asBrowser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

const pageOf = ({ app }: TestApp, url = '/', headers = {}) =>
  app.inject({ url, headers: { ...asBrowser, ...headers } });

const linksIn = (html: string) =>
  [...html.matchAll(/<a href="([^"]+)"/g)].map(([, url]) => String(url).replaceAll('&amp;', '&'));

test('a program that takes anything gets JSON, a browser a page', async (t) => {
  const server = await build(t);
  const json = await server.app.inject('/');
  t.equal(json.headers['content-type'], 'application/json; charset=utf-8');
  t.strictSame(json.json(), {
    name: 'Doorward',
    version: packageJson.version,
    documentation: 'http://localhost:3000/docs',
    openapi: 'http://localhost:3000/openapi.json',
    health: 'http://localhost:3000/health/ready',
    jwks: 'http://localhost:3000/.well-known/jwks.json',
    metadata: 'http://localhost:3000/.well-known/oauth-authorization-server',
    sign_in: 'http://localhost:3000/ui/sign-in',
  });
  const page = await pageOf(server);
  t.equal(page.statusCode, 200);
  t.equal(page.headers['content-type'], 'text/html; charset=utf-8');
  t.match(page.body, packageJson.version);
  t.strictSame(linksIn(page.body).sort(), Object.values(json.json()).slice(2).sort(), 'with the same links');
  for (const { headers } of [json, page]) {
    t.equal(headers.vary, 'Origin, Accept');
    t.equal(headers['cache-control'], 'no-store');
  }
});

test('HEAD answers like GET, without the body', async (t) => {
  const server = await build(t);
  for (const headers of [{}, asBrowser]) {
    const get = await server.app.inject({ url: '/', headers });
    const head = await server.app.inject({ method: 'HEAD', url: '/', headers });
    t.equal(head.statusCode, 200);
    t.equal(head.body, '');
    for (const name of ['content-type', 'content-length', 'vary', 'content-security-policy'])
      t.equal(head.headers[name], get.headers[name], name);
  }
});

test('every link leads somewhere, below a prefix too', async (t) => {
  for (const prefix of ['', '/auth']) {
    const server = await build(t, { PATH_PREFIX: prefix });
    for (const at of prefix === '' ? ['/'] : [prefix, `${prefix}/`]) {
      const page = await pageOf(server, at);
      const links = linksIn(page.body);
      t.equal(links.length, 6, at);
      for (const link of links) {
        t.ok(link.startsWith(`http://localhost:3000${prefix}/`), link);
        t.equal((await server.app.inject(new URL(link).pathname)).statusCode, 200, link);
      }
    }
  }
});

test('with a prefix, nothing is beside it', async (t) => {
  const { app } = await build(t, { PATH_PREFIX: '/auth' });
  t.equal(codeOf(await app.inject('/')), 'not_found');
});

test('the links come from PUBLIC_URL, whatever the headers say', async (t) => {
  const server = await build(t, {
    PUBLIC_URL: `https://auth.example.com/a&b'c`,
    TRUSTED_PROXIES: '127.0.0.1',
  });
  const headers = { host: 'evil.test', 'x-forwarded-host': 'evil.test', 'x-forwarded-prefix': '/evil' };
  const page = await pageOf(server, '/', headers);
  const links = linksIn(page.body);
  for (const link of links) t.ok(link.startsWith(`https://auth.example.com/a&b'c/`), link);
  t.notMatch(page.body, /evil/);
  t.notMatch((await server.app.inject({ url: '/', headers })).body, /evil/);
});

test('the page runs no script, and its policy allows its own style alone', async (t) => {
  const server = await build(t);
  const { body, headers } = await pageOf(server);
  t.notMatch(body, /<script|\son\w+=|\sstyle=/i);
  const [, style = ''] = /<style>(.*)<\/style>/s.exec(body) ?? [];
  t.equal(
    headers['content-security-policy'],
    `default-src 'none'; style-src 'sha256-${hash('sha256', style, 'base64')}'; img-src data:; ` +
      `base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  );
  const loaded = [...body.matchAll(/(?:src|<link[^>]* href)="([^"]+)"/g)].map(([, url]) => String(url));
  t.strictSame(
    loaded.map((url) => url.slice(0, 19)),
    ['data:image/svg+xml;'],
    'nothing comes from elsewhere',
  );
});

test('the answers tell nothing that the description of the API does not', async (t) => {
  const { app } = await build(t);
  const { info, servers, paths } = (await app.inject('/openapi.json')).json();
  const { name, version, ...links } = (await app.inject('/')).json();
  t.strictSame([name, version], [info.title, info.version]);
  for (const link of Object.values<string>(links)) {
    t.ok(link.startsWith(servers[0].url));
    const path = link.slice(servers[0].url.length);
    t.ok(path in paths || ['/docs', '/openapi.json', '/ui/sign-in'].includes(path), path);
  }
});
