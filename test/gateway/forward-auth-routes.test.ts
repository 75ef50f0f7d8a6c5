import { METHODS } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { type Test, test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import {
  appOrigin,
  build,
  codeOf,
  cookieHeader,
  createPlace,
  createWire,
  newCredentials,
  quickSettings,
  runSql,
  signUp,
} from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { breakVerification } from '../support/broken-crypto.ts';
import { addClient, grantToken, mintToken, postForm } from '../support/clients.ts';
import { plantCode } from '../support/codes.ts';
import { listen } from '../support/listen.ts';

const settings = { AUDIENCES: 'shop,payments' };
/** Nothing listens there. */
const MAILS = { SMTP_URL: 'smtp://127.0.0.1:9' };
const identityHeaders = ['x-auth-subject', 'x-auth-email', 'x-auth-session', 'x-auth-scope'];

type Headers = Record<string, string | string[]>;

async function setUp(t: Test, place?: Awaited<ReturnType<typeof createPlace>>, more: object = {}) {
  const at = place ?? (await createPlace(t));
  const built = await build(t, { ...settings, ...more }, at);
  const { app } = built;
  const ask = (
    headers: Headers,
    url = '/forward-auth',
    method: 'GET' | 'POST' | 'OPTIONS' | 'HEAD' = 'GET',
  ) => app.inject({ method, url, headers });
  const signedIn = await signUp(app);
  return { ...built, ...signedIn, place: at, ask };
}

const asGet = { 'x-original-method': 'GET', 'x-original-uri': '/cart' };
const asPost = { 'x-original-method': 'POST', 'x-original-uri': '/cart' };
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

test('cookie outside, JWT inside: a good cookie becomes identity headers and an access token', async (t) => {
  const { app, ask, cookie, user, email } = await setUp(t);
  const response = await ask({ ...asGet, cookie });
  t.equal(response.statusCode, 200);
  t.notOk('www-authenticate' in response.headers);
  t.equal(response.body, '');
  const [, token = ''] = String(response.headers.authorization).split(' ');
  const claims = decodeJwt(token);
  t.match(response.headers, {
    'x-auth-subject': user.id,
    'x-auth-email': email,
    'x-auth-session': String(claims.sid),
    'x-auth-scope': '',
    'cache-control': 'no-store',
  });
  t.match(claims, { sub: user.id, aud: ['shop', 'payments'] });
  t.strictSame(response.cookies, []);
  t.equal((await ask({ ...asGet, ...bearer(token) })).statusCode, 200, 'which passes here as well');
  const narrow = await ask({ ...asGet, cookie }, '/forward-auth?audience=shop');
  t.equal(decodeJwt(String(narrow.headers.authorization).slice(7)).aud, 'shop');
  t.equal(
    (await app.inject({ method: 'HEAD', url: '/forward-auth', headers: { ...asGet, cookie } })).statusCode,
    200,
  );
});

test('with DEFAULT_AUDIENCE the service gets a token for it, unless the door has an audience of its own', async (t) => {
  const { ask, cookie } = await setUp(t, undefined, { DEFAULT_AUDIENCE: 'shop' });
  const audAt = async (url: string) => {
    const { headers } = await ask({ ...asGet, cookie }, url);
    return decodeJwt(String(headers.authorization).slice(7)).aud;
  };
  t.equal(await audAt('/forward-auth'), 'shop');
  t.equal(await audAt('/forward-auth?audience=payments'), 'payments');
});

test('a good Bearer becomes identity headers, and goes on to the service as it is', async (t) => {
  const { app, ask, cookie, user, email } = await setUp(t);
  const token = await mintToken(app, cookie);
  const response = await ask(bearer(token));
  t.equal(response.statusCode, 200);
  t.equal(response.headers.authorization, `Bearer ${token}`);
  t.match(response.headers, { 'x-auth-subject': user.id, 'x-auth-email': email, 'x-auth-session': String });
  t.equal((await ask({ authorization: `bearer  ${token}` })).statusCode, 200, 'the scheme has no case');
  t.equal(
    (await ask({ ...bearer(token), ...asPost, origin: 'https://elsewhere.example.com' })).statusCode,
    200,
  );
});

test('without either, or with a dead cookie, the answer is 401 and never 404', async (t) => {
  const { app, ask } = await setUp(t);
  const signedOut = await signUp(app, newCredentials());
  await app.inject({ method: 'POST', url: '/logout', headers: { cookie: signedOut.cookie } });
  const bodies = new Set<string>();
  for (const headers of [{}, { cookie: cookieHeader('x') }, { cookie: signedOut.cookie }] as Headers[]) {
    for (const url of ['/forward-auth', '/forward-auth/', '/forward-auth/no/such/page']) {
      const response = await ask({ ...headers, 'x-original-method': 'GET' }, url);
      t.equal(response.statusCode, 401);
      t.equal(codeOf(response), 'not_signed_in');
      t.equal(response.headers['www-authenticate'], 'Bearer realm="doorward"');
      for (const name of identityHeaders) t.equal(response.headers[name], undefined);
      bodies.add(response.body);
    }
  }
  t.equal(bodies.size, 1);
});

test('a Bearer that fails is 401 even beside a good cookie', async (t) => {
  const { app, ask, cookie } = await setUp(t);
  const single = await mintToken(app, cookie, { single_use: true, audience: 'shop' });
  const good = await mintToken(app, cookie);
  for (const authorization of ['Bearer x', 'Bearer', `Bearer ${good} x`, `Bearer ${single}`]) {
    const response = await ask({ ...asGet, cookie, authorization });
    t.equal(response.statusCode, 401, authorization.slice(0, 20));
    t.equal(codeOf(response), 'invalid_token');
    t.match(response.headers, { 'www-authenticate': /^Bearer .*error="invalid_token"/ });
  }
});

test('so is another scheme, without an error code (RFC 6750 §3.1)', async (t) => {
  const { app, ask, cookie } = await setUp(t);
  for (const authorization of ['', 'Basic eDp5', await mintToken(app, cookie)]) {
    const response = await ask({ ...asGet, cookie, authorization });
    t.equal(codeOf(response), 'not_signed_in', authorization.slice(0, 20));
    t.equal(response.headers['www-authenticate'], 'Bearer realm="doorward"');
  }
});

test('the audience of the door counts, and one that is not configured is a mistake of the gateway', async (t) => {
  const { app, ask, cookie } = await setUp(t);
  const forShop = await mintToken(app, cookie, { audience: 'shop' });
  t.equal((await ask(bearer(forShop), '/forward-auth?audience=shop')).statusCode, 200);
  t.equal((await ask(bearer(forShop))).statusCode, 200, 'any, where the door does not say');
  t.equal((await ask(bearer(forShop), '/forward-auth?audience=payments')).statusCode, 401);
  t.equal(
    (await ask(bearer(await mintToken(app, cookie)), '/forward-auth?audience=payments')).statusCode,
    200,
  );
  for (const headers of [bearer(forShop), { ...asGet, cookie }] as Headers[]) {
    const response = await ask(headers, '/forward-auth?audience=nobody');
    t.match([response.statusCode, codeOf(response)], [400, 'unknown_audience']);
  }
  for (const query of [
    'check=other',
    'check=session&check=session',
    'audience=shop&audience=payments',
    'x=1',
  ])
    t.equal((await ask({ ...asGet, cookie }, `/forward-auth?${query}`)).statusCode, 400, query);
});

test('a sign-out counts at once with ?check=session, for a cookie always, and soon for a token', async (t) => {
  const { app, ask, cookie } = await setUp(t);
  const token = await mintToken(app, cookie);
  const checked = '/forward-auth?check=session';
  t.equal((await ask(bearer(token), checked)).statusCode, 200);
  t.equal((await ask({ ...asGet, cookie }, checked)).statusCode, 200);
  await app.inject({ method: 'POST', url: '/logout', headers: { cookie } });
  t.equal((await ask(bearer(token), checked)).statusCode, 401);
  t.equal((await ask({ ...asGet, cookie })).statusCode, 401);
  await eventually(async () => {
    if ((await ask(bearer(token))).statusCode !== 401) throw new Error('it passes');
  });
});

test('what makes tokens void at one replica does so at all, and the session that goes on gets one that passes', async (t) => {
  const { app, ask, cookie, user, email, place } = await setUp(t, undefined, MAILS);
  const other = await build(t, { ...settings, ...MAILS }, place);
  const statusAt = async (at: typeof app, token: string) =>
    (await at.inject({ url: '/forward-auth', headers: bearer(token) })).statusCode;
  const refusesAll = (token: string) =>
    eventually(async () => {
      for (const at of [app, other.app])
        if ((await statusAt(at, token)) !== 401) throw new Error('it passes');
    });
  const before = await mintToken(app, cookie);
  t.equal(await statusAt(other.app, before), 200);
  const code = await plantCode(place.DATABASE_URL, { userId: user.id, purpose: 'verify_email', email });
  await app.inject({ method: 'POST', url: '/email/verify', headers: { cookie }, payload: { code } });
  await refusesAll(before);
  for (const at of [app, other.app]) {
    const after = await mintToken(at, cookie);
    t.equal(decodeJwt(after).cv, 2);
    t.equal(await statusAt(app, after), 200);
    t.equal(await statusAt(other.app, after), 200);
  }
  t.equal((await ask({ ...asGet, cookie })).statusCode, 200, 'the cookie is as good as ever');

  const { id, authorization } = await addClient(place, settings);
  const ofClient = await grantToken(app, { authorization });
  t.equal(await statusAt(other.app, ofClient), 200);
  await runCommand(loadConfig({ ...quickSettings, ...place, ...settings }), 'clients.disable', { id });
  await refusesAll(ofClient);
});

test('a key that the revocations name is void, although this replica has not dropped it yet', async (t) => {
  const { app, ask, cookie, place } = await setUp(t);
  const token = await mintToken(app, cookie);
  t.equal((await ask(bearer(token))).statusCode, 200);
  const { kid } = decodeProtectedHeader(token);
  await runSql(place.DATABASE_URL, `insert into revocations (kind, subject) values ('key', '${kid}'::bytea)`);
  await eventually(async () => {
    if ((await ask(bearer(token))).statusCode !== 401) throw new Error('it passes');
  });
  t.equal(codeOf(await ask(bearer(token))), 'invalid_token');
});

test('what the cache still says does not count with ?check=session', async (t) => {
  const { ask, cookie, place } = await setUp(t);
  t.equal((await ask({ ...asGet, cookie })).statusCode, 200);
  await runSql(place.DATABASE_URL, 'update sessions set ended_at = now()');
  t.equal((await ask({ ...asGet, cookie })).statusCode, 200);
  t.equal((await ask({ ...asGet, cookie }, '/forward-auth?check=session')).statusCode, 401);
});

test('a revoked token of a client is out with ?check=session', async (t) => {
  const { app, ask, place } = await setUp(t);
  const { authorization } = await addClient(place, settings, { scopes: ['orders:read'] });
  const token = await grantToken(app, { authorization });
  const response = await ask(bearer(token), '/forward-auth?check=session&audience=payments');
  t.match(response.headers, {
    'x-auth-subject': 'payments',
    'x-auth-email': '',
    'x-auth-session': '',
    'x-auth-scope': 'orders:read',
  });
  await postForm(app, '/oauth/revoke', { token }, { authorization });
  t.equal((await ask(bearer(token), '/forward-auth?check=session')).statusCode, 401);
});

test('with the cookie, what can change something must come from an allowed page', async (t) => {
  const { ask, cookie } = await setUp(t);
  const passes: Headers[] = [
    { ...asPost, origin: appOrigin },
    { ...asPost, origin: 'https://shop.example.com', 'sec-fetch-site': 'same-origin' },
    { ...asPost, 'sec-fetch-site': 'same-site' },
    asPost,
    { 'x-forwarded-method': 'GET', origin: 'https://elsewhere.example.com' },
  ];
  for (const headers of passes)
    t.equal((await ask({ ...headers, cookie })).statusCode, 200, JSON.stringify(headers));
  const refused: Headers[] = [
    { ...asPost, origin: 'https://elsewhere.example.com' },
    { ...asPost, origin: 'null' },
    { ...asPost, 'sec-fetch-site': 'cross-site' },
    { 'x-forwarded-method': 'DELETE', origin: 'https://elsewhere.example.com' },
    { origin: 'https://elsewhere.example.com' },
    { ...asGet, 'sec-websocket-key': 'x', origin: 'https://elsewhere.example.com' },
  ];
  for (const headers of refused) {
    const response = await ask({ ...headers, cookie });
    t.equal(response.statusCode, 403, JSON.stringify(headers));
    t.equal(codeOf(response), 'origin_not_allowed');
  }
});

test('Envoy appends the path and keeps the method; the query says nothing about the door then', async (t) => {
  const { app, ask, cookie } = await setUp(t);
  const headers = { cookie, origin: 'https://elsewhere.example.com' };
  t.equal((await ask(headers, '/forward-auth/cart?audience=nobody&x=1')).statusCode, 200);
  t.equal((await ask(headers, '/forward-auth/cart', 'POST')).statusCode, 403);
  const posted = await app.inject({
    method: 'POST',
    url: '/forward-auth/cart',
    headers: { cookie, origin: appOrigin, 'content-type': 'multipart/form-data; boundary=x' },
    payload: 'not for us',
  });
  t.equal(posted.statusCode, 200, 'whatever the body is');
});

test('Envoy adds the door to its question, and without an Origin it is not believed', async (t) => {
  const { app, ask, cookie } = await setUp(t);
  const shopAt = '/forward-auth/cart?audience=nobody';
  const forShop = bearer(await mintToken(app, cookie, { audience: 'shop' }));
  t.equal((await ask({ ...forShop, 'x-forward-auth-audience': 'shop' }, shopAt)).statusCode, 200);
  t.equal((await ask({ ...forShop, 'x-forward-auth-audience': 'payments' }, shopAt)).statusCode, 401);
  t.equal((await ask({ ...forShop, 'x-forward-auth-check': 'session' }, shopAt)).statusCode, 200);
  t.equal((await ask({ ...forShop, 'x-forward-auth-check': 'x' }, shopAt)).statusCode, 400);
  t.equal(codeOf(await ask({ cookie }, '/forward-auth/cart', 'POST')), 'origin_not_allowed');
  t.equal(
    (await ask({ cookie, 'sec-fetch-site': 'same-origin' }, '/forward-auth/cart', 'POST')).statusCode,
    200,
  );
  t.equal((await ask(forShop, '/forward-auth/cart', 'POST')).statusCode, 200);
  await app.inject({ method: 'POST', url: '/logout', headers: { cookie } });
  t.equal((await ask({ ...forShop, 'x-forward-auth-check': 'session' }, shopAt)).statusCode, 401);
});

test("with cookie=strip the service gets the other cookies, and this server's in none of its names", async (t) => {
  const { app, ask, cookie } = await setUp(t);
  const token = bearer(await mintToken(app, cookie));
  const url = '/forward-auth?cookie=strip';
  const stripped = {
    [cookie]: '',
    [`a=1; ${cookie}`]: 'a=1',
    [`${cookie}; a=1`]: 'a=1',
    [`a=1; ${cookie}; b="x=y"; c`]: 'a=1; b="x=y"; c',
    [`a=1;${cookie};b=2`]: 'a=1;b=2',
    [`g_token=1; ${cookie}; __Secure-g_token=2;g_token =3; a=1;  g_token=4`]: 'a=1',
    [`my_g_token=1; ${cookie}; g_token2=2; G_TOKEN=3`]: 'my_g_token=1; g_token2=2; G_TOKEN=3',
    [`${cookie}; ü=ä`]: 'ü=ä',
  };
  for (const [sent, passed] of Object.entries(stripped)) {
    const headers = { ...asGet, cookie: sent };
    t.equal((await ask(headers, url)).headers.cookie, passed, sent);
    t.equal((await ask({ ...headers, ...token }, url)).headers.cookie, passed, 'beside a token, too');
    t.notOk('cookie' in (await ask(headers)).headers, 'only where the gateway wishes it');
    const envoy = { ...headers, 'x-forward-auth-cookie': 'strip' };
    t.equal((await ask(envoy, '/forward-auth/cart')).headers.cookie, passed, 'as Envoy asks');
  }
  t.equal(
    (await ask({ ...asGet, ...token }, url)).headers.cookie,
    '',
    "never missing, or the caller's own could pass",
  );
  t.notOk('cookie' in (await ask({ ...asGet }, url)).headers, 'nor in a refusal');
});

test('an answer for the caller is never a yes, but the same refusal or a 503', async (t) => {
  const { app, ask, cookie } = await setUp(t);
  const url = '/forward-auth?audience=shop&answer=refusal';
  for (const credentials of [{ cookie }, bearer(await mintToken(app, cookie))] as Headers[]) {
    const response = await ask({ ...asGet, ...credentials }, url);
    t.match([response.statusCode, codeOf(response)], [503, 'unavailable']);
    t.equal(response.headers['retry-after'], '1');
    for (const name of ['authorization', ...identityHeaders]) t.notOk(name in response.headers, name);
  }
  const refused: Headers[] = [
    {},
    { cookie: `${cookie}; ${cookie}` },
    { ...bearer('x'), cookie },
    { ...asPost, cookie, origin: 'https://evil.example' },
    { cookie, 'x-auth-subject': 'admin' },
  ];
  for (const headers of refused) {
    const [first, again] = [await ask({ ...asGet, ...headers }), await ask({ ...asGet, ...headers }, url)];
    t.equal(again.body, first.body);
    t.same(again.headers['set-cookie'], first.headers['set-cookie']);
    t.equal(again.headers['www-authenticate'], first.headers['www-authenticate']);
  }
});

test('whatever the method, the answer is never 404', async (t) => {
  const { app, ask, cookie } = await setUp(t);
  t.equal((await ask({ ...asPost, cookie }, '/forward-auth', 'POST')).statusCode, 200);
  for (const url of ['/forward-auth', '/forward-auth/x', '/forward-authority']) {
    for (const method of ['PUT', 'TRACE', 'OPTIONS'] as const) {
      const { statusCode } = await app.inject({ method, url });
      t.ok([401, 403].includes(statusCode), `${method} ${url}`);
    }
  }
});

/** Methods that Node reads, but CONNECT, which is no request, and OPTIONS, which is refused. */
const ANY_METHOD = METHODS.filter((method) => !['CONNECT', 'OPTIONS'].includes(method)) as ('GET' | 'HEAD')[];

test('with any method the question and its answer are the same', async (t) => {
  const { app, cookie } = await setUp(t);
  const token = await mintToken(app, cookie);
  for (const method of ANY_METHOD) {
    for (const url of ['/forward-auth', '/forward-auth/dav?x=1']) {
      const told = { 'x-original-method': ['GET', 'HEAD'].includes(method) ? 'PROPFIND' : method };
      for (const credentials of [bearer(token), { cookie, origin: appOrigin }] as Headers[]) {
        const headers = { ...(url === '/forward-auth' && told), ...credentials };
        t.equal((await app.inject({ method, url, headers })).statusCode, 200, `${method} ${url}`);
      }
      const refused = await app.inject({
        method,
        url,
        headers: { cookie: cookieHeader('x'), origin: appOrigin },
      });
      t.equal(refused.statusCode, 401, `${method} ${url} without credentials`);
      if (method === 'HEAD' || method === 'GET') continue;
      const foreign = await app.inject({ method, url, headers: { cookie, origin: 'https://evil.example' } });
      t.equal(codeOf(foreign), 'origin_not_allowed', `${method} ${url} counts as unsafe`);
    }
  }
});

test('an unusual method brings nothing at any other path', async (t) => {
  const { app, cookie } = await setUp(t);
  for (const method of ANY_METHOD.slice(9).filter((one: string) => one !== 'PATCH')) {
    const response = await app.inject({ method, url: '/me', headers: { cookie, origin: appOrigin } });
    t.match([response.statusCode, codeOf(response)], [404, 'not_found'], method);
  }
});

test('neither an unusual method nor an escaped path is a way around the door', async (t) => {
  const { app } = await setUp(t);
  for (const url of ['/forward-auth', '/forward-auth/x', '/%66orward-auth', '/forward-aut%68/x']) {
    for (const method of ['PROPFIND', 'REPORT', 'OPTIONS'] as 'OPTIONS'[]) {
      const response = await app.inject({ method, url, headers: { origin: appOrigin } });
      t.equal(codeOf(response), 'not_signed_in', `${method} ${url}`);
      t.equal(response.headers['www-authenticate'], 'Bearer realm="doorward"');
    }
  }
});

/** What comes back on a connection of its own, for a request line that no client library sends. */
function exchange(port: number, requestLine: string, headers: Record<string, string>): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const lines = Object.entries({ host: 'localhost', connection: 'close', ...headers });
  socket.write(
    `${requestLine} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  );
  return text(socket);
}

for (const prefix of ['', '/auth']) {
  test(`a preflight is refused however the URL of the door is written, below "${prefix}"`, async (t) => {
    const { app } = await build(t, { ...settings, PATH_PREFIX: prefix });
    const port = await listen(t, app);
    const preflight = {
      origin: appOrigin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type',
    };
    const paths = [
      '/forward-auth',
      '/%66orward-auth',
      '/forward-aut%68/cart',
      '/forward-auth/',
      '/forward-auth/cart',
    ];
    paths.push('/forward-auth?audience=shop', '/%66orward-auth?x', '/forward-auth%2fcart', '/forward-auth;x');
    for (const path of paths.map((path) => prefix + path)) {
      const host = [
        '',
        'http://localhost',
        'https://auth.example.com:8443',
        'HTTP://localhost',
        'http://user@localhost',
      ];
      for (const target of host.map((origin) => origin + path)) {
        for (const headers of [preflight, { origin: appOrigin }, {}] as Record<string, string>[]) {
          const answer = await exchange(port, `OPTIONS ${target}`, headers);
          t.match(answer, /^HTTP\/1\.1 401 [\s\S]*"code":"not_signed_in"/, target);
          t.notMatch(answer, /access-control-allow-methods/i);
        }
      }
    }
    if (prefix === '') return;
    const escaped = await exchange(port, 'OPTIONS http://localhost/%61uth/%66orward-auth', preflight);
    t.match(escaped, /^HTTP\/1\.1 401 /, 'the prefix in another spelling');
  });
}

test('good credentials open no door whose own URL is written in another way', async (t) => {
  const { app, cookie } = await setUp(t);
  const port = await listen(t, app);
  // The host is as long as makes the rest of the URL look like a path that Envoy appended.
  for (const target of [
    'http://localhost/forward-auth',
    'http://abcdef/forward-auth',
    '/%66orward-auth',
    '/%66orward-auth/x',
  ])
    for (const method of ['GET', 'POST', 'PROPFIND']) {
      const answer = await exchange(port, `${method} ${target}`, { ...asGet, cookie });
      t.match(answer, /^HTTP\/1\.1 401 [\s\S]*"code":"not_signed_in"/, `${method} ${target}`);
    }
});

test('a preflight is no way past the door', async (t) => {
  const { ask } = await setUp(t);
  const headers = { origin: appOrigin, 'access-control-request-method': 'POST' };
  for (const url of ['/forward-auth', '/forward-auth/', '/forward-auth/cart'])
    t.equal((await ask(headers, url, 'OPTIONS')).statusCode, 401, url);
});

test('forged, doubled and malformed requests never pass, however good the credentials', async (t) => {
  const { app, ask, cookie } = await setUp(t);
  const token = await mintToken(app, cookie);
  const bad: Headers[] = [
    { 'x-auth-subject': 'admin' },
    { x_auth_subject: 'admin' },
    { x_original_method: 'GET' },
    { 'x-original-uri': '/%' },
    { 'x-original-uri': '/a/../b' },
    { 'x-forwarded-uri': '//x' },
    { 'x-original-method': 'POST', 'x-forwarded-method': 'GET' },
    { 'x-forwarded-host': 'a b' },
  ];
  for (const headers of bad) {
    for (const credentials of [{ cookie }, bearer(token)] as Headers[]) {
      const response = await ask({ ...asGet, ...headers, ...credentials });
      t.equal(response.statusCode, 403, JSON.stringify(headers));
      t.equal(codeOf(response), 'forwarded_request_refused');
    }
  }
  for (const path of ['/%', '//x', '/%00', '/%5C']) {
    const { statusCode } = await ask({ cookie }, `/forward-auth${path}`);
    t.ok(statusCode >= 400 && statusCode < 500 && statusCode !== 404, `${path} ${statusCode}`);
  }
  const doubled = await ask({ ...asGet, cookie: `${cookie}; ${cookie}` });
  t.equal(codeOf(doubled), 'duplicate_cookie');
});

test('an address that is not ASCII is percent-encoded, and so is the percent sign', async (t) => {
  const { app, ask } = await setUp(t);
  const { cookie } = await signUp(app, { ...newCredentials(), email: '50%ümlaut@example.com' });
  const { headers } = await ask({ ...asGet, cookie });
  t.equal(headers['x-auth-email'], '50%25%C3%BCmlaut@example.com');
  t.equal(decodeURIComponent(String(headers['x-auth-email'])), '50%ümlaut@example.com');
});

test('while nobody can know, the answer is 503', async (t) => {
  const place = await createPlace(t);
  const wire = await createWire(t, place.DATABASE_URL);
  const { app, ask, cookie } = await setUp(t, { ...place, DATABASE_URL: wire.url });
  const token = await mintToken(app, cookie);
  wire.cut();
  t.equal((await ask(bearer(token), '/forward-auth?check=session')).statusCode, 503);
  t.equal(
    (await ask({ ...asGet, cookie: cookieHeader(Buffer.alloc(32).toString('base64url')) })).statusCode,
    503,
  );
  t.equal((await ask(bearer(token))).statusCode, 200, 'offline needs nobody');
  const [, payload, signature] = token.split('.');
  const header = Buffer.from('{"alg":"ES256","typ":"at+jwt","kid":"of a moment ago"}').toString('base64url');
  t.equal((await ask(bearer(`${header}.${payload}.${signature}`))).statusCode, 503, 'but for an unknown key');
});

test('works under a path prefix', async (t) => {
  const { app } = await build(t, { ...settings, PATH_PREFIX: '/auth' });
  const signUpUrl = '/auth/signup';
  const signedUp = await app.inject({ method: 'POST', url: signUpUrl, payload: newCredentials() });
  const cookie = cookieHeader(String(signedUp.cookies[0]?.value));
  for (const url of ['/auth/forward-auth', '/auth/forward-auth/cart']) {
    t.equal((await app.inject({ url, headers: { ...asGet, cookie } })).statusCode, 200, url);
    t.equal(
      (await app.inject({ method: 'OPTIONS', url, headers: { origin: appOrigin } })).statusCode,
      401,
      url,
    );
  }
  t.equal((await app.inject({ url: '/auth/forward-auth/%', headers: { cookie } })).statusCode, 400);
});

test('a token that cannot be checked, for a reason that is not in it, is an error of the server and not a 401', async (t) => {
  const { app, ask, cookie, log } = await setUp(t);
  const headers = { ...asGet, ...bearer(await mintToken(app, cookie)) };
  t.equal((await ask(headers)).statusCode, 200);
  breakVerification(t, new DOMException('the provider is gone', 'OperationError'));
  const response = await ask(headers);
  t.same([response.statusCode, codeOf(response)], [500, 'internal_error']);
  t.notMatch(response.body, /provider/);
  t.match(log(), /the provider is gone/);
});
