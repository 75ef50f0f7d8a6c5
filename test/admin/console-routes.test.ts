import { t as root, test } from 'tap';
import { browserScript } from '../../src/admin/open-console.ts';
import { loadConfig } from '../../src/config/config.ts';
import { buildEmbedded } from '../helper.ts';

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const THEME = ':root { --ui-accent: rebeccapurple; }';
const folder = root.testdir({ 'theme.css': THEME });
const [{ app }, without] = await Promise.all([
  buildEmbedded(root, {
    ...{ PATH_PREFIX: '/auth', PUBLIC_URL: 'https://club.example/sign/auth' },
    UI_THEME_FILE: `${folder}/theme.css`,
  }),
  buildEmbedded(root, { ADMIN_CONSOLE: 'off' }),
]);

const get = (name: string, headers = {}) => app.inject({ url: `/auth/admin/ui${name}`, headers });

test('each file has its type, a strict policy, and an ETag by which a browser gets it once', async (t) => {
  for (const [name, type] of [
    ['', 'text/html; charset=utf-8'],
    ['/', 'text/html; charset=utf-8'],
    ['/main.js', 'text/javascript; charset=utf-8'],
    ['/browser/index.js', 'text/javascript; charset=utf-8'],
    ['/console.css', 'text/css; charset=utf-8'],
    ['/icon.svg', 'image/svg+xml'],
  ] as const) {
    const { statusCode, headers } = await get(name);
    t.equal(statusCode, 200, name);
    t.match(headers, {
      ...{ 'content-type': type, 'content-security-policy': POLICY, 'cache-control': 'public, no-cache' },
      ...{ 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY' },
    });
    const again = await get(name, { 'if-none-match': headers.etag });
    t.strictSame([again.statusCode, again.body, again.headers.etag], [304, '', headers.etag], name);
    t.equal((await get(name, { 'if-none-match': '"another"' })).statusCode, 200, name);
  }
});

test('the page names its files as clients see them, and has nothing inline', async (t) => {
  const { body } = await get('');
  t.match(body, ' data-base="/sign/auth" data-issuer="https://club.example/sign/auth"');
  t.match(body, 'src="/sign/auth/admin/ui/main.js"');
  t.notMatch(body, /\{\{|<style|style=|\son\w+=|<script[^>]*>[^<]/);
});

test('the theme of the pages is that of the console', async (t) => {
  t.ok((await get('/console.css')).body.endsWith(THEME));
});

test('the scripts import nothing but each other', async (t) => {
  const asked = new Set(['/main.js']);
  for (const name of asked) {
    const { statusCode, body } = await get(name);
    t.equal(statusCode, 200, name);
    for (const [, specifier = ''] of body.matchAll(/^(?:import|export|\}) .*?from '([^']+)';$/gm))
      asked.add(new URL(specifier, `https://club.example${name}`).pathname);
  }
  t.ok(asked.size > 20, `${asked.size} scripts`);
});

test('the browser module of the package is served as it is, that of the sources without its types', (t) => {
  t.strictSame(browserScript('index.js', 'let a;'), ['browser/index.js', 'let a;']);
  t.strictSame(browserScript('a.ts', "import { b } from './b-c.ts';\nlet d: b;"), [
    'browser/a.js',
    "import { b } from './b-c.js';\nlet d   ;",
  ]);
  t.end();
});

test('a name that is no file of the console is 404, and so is all of it where it is off', async (t) => {
  for (const name of ['/nothing.js', '/../app.ts', '/%2e%2e/app.ts', '/browser', '/console-routes.ts'])
    t.equal((await get(name)).statusCode, 404, name);
  for (const name of ['', '/', '/main.js'])
    t.equal((await without.app.inject(`/admin/ui${name}`)).statusCode, 404, name);
});

test('is on where the database is embedded, and off in production unless it is asked for', (t) => {
  const production = {
    ...{ NODE_ENV: 'production', PUBLIC_URL: 'https://auth.example', EMBEDDED: 'true' },
  };
  const elsewhere = {
    DATABASE_URL: 'postgres://localhost/doorward',
    REDIS_URL: 'redis://localhost',
    KEY_ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
  };
  t.equal(loadConfig({}).ADMIN_CONSOLE, 'on');
  t.equal(loadConfig(elsewhere).ADMIN_CONSOLE, 'off');
  t.equal(loadConfig(production).ADMIN_CONSOLE, 'off');
  t.equal(loadConfig({ ...production, ADMIN_CONSOLE: 'on' }).ADMIN_CONSOLE, 'on');
  t.end();
});
