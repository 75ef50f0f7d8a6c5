import { test } from 'tap';
import { appOrigin, build, codeOf, signUp } from '../helper.ts';

const other = 'https://evil.example';
const sibling = 'https://blog.example.com';

/** Origin and Sec-Fetch-Site of a request that can change something, and whether it is let through. */
const table: [origin: string | undefined, site: string | undefined, passes: boolean][] = [
  [undefined, undefined, true],
  [undefined, 'same-origin', true],
  [undefined, 'same-site', true],
  [undefined, 'cross-site', false],
  [undefined, 'none', false],
  [undefined, 'nonsense', false],
  [appOrigin, undefined, true],
  [appOrigin, 'same-origin', true],
  [appOrigin, 'same-site', true],
  // A page on a domain of its own that the settings allow.
  [appOrigin, 'cross-site', true],
  // The server's own page under an address that the settings do not name.
  [other, 'same-origin', true],
  [other, undefined, false],
  [other, 'cross-site', false],
  [sibling, 'same-site', false],
  [sibling, undefined, false],
  ['null', undefined, false],
  ['null', 'cross-site', false],
  ['', undefined, false],
  [`${appOrigin}/`, undefined, false],
  [`${appOrigin}.evil.example`, undefined, false],
  [appOrigin.toUpperCase(), undefined, false],
  ['https://localhost:3000', undefined, false],
  ['http://localhost', undefined, false],
];

const writes = [
  ['POST', '/signup'],
  ['POST', '/login'],
  ['POST', '/logout'],
  ['POST', '/token'],
  ['DELETE', '/sessions'],
  ['DELETE', '/sessions/01890a5d-ac96-774b-bcce-b302099a8057'],
  ['PUT', '/nowhere'],
  ['PATCH', '/me'],
] as const;

const headersOf = (origin: string | undefined, site: string | undefined) => ({
  ...(origin !== undefined && { origin }),
  ...(site !== undefined && { 'sec-fetch-site': site }),
});

test('a request that can change something needs a page of ours behind it, or no page', async (t) => {
  const { app } = await build(t);
  for (const [origin, site, passes] of table) {
    for (const [method, url] of writes) {
      const response = await app.inject({ method, url, headers: headersOf(origin, site) });
      const name = `${method} ${url} origin ${origin}, site ${site}`;
      t.equal(codeOf(response) !== 'origin_not_allowed', passes, name);
      if (!passes) t.equal(response.statusCode, 403, name);
    }
  }
});

test('a refused request changes nothing', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const headers = { cookie, origin: other };
  const response = await app.inject({ method: 'POST', url: '/logout', headers });
  t.equal(codeOf(response), 'origin_not_allowed');
  t.strictSame(response.cookies, []);
  t.equal((await app.inject({ method: 'POST', url: '/token', headers: { cookie } })).statusCode, 200);
});

test('reading is not refused; who may see the answer is a matter of CORS', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  for (const [origin, site] of table) {
    for (const url of ['/me', '/sessions', '/.well-known/jwks.json', '/health/live']) {
      const headers = { cookie, ...headersOf(origin, site) };
      t.equal((await app.inject({ url, headers })).statusCode, 200, `${url} ${origin} ${site}`);
    }
  }
});

test('a method override does not turn a read into a write', async (t) => {
  const { app } = await build(t);
  const { cookie, user } = await signUp(app);
  const headers = { cookie, 'x-http-method-override': 'DELETE', origin: other };
  t.equal((await app.inject({ url: '/me?_method=DELETE', headers })).json().user.id, user.id);
});
