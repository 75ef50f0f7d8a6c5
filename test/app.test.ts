import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { InjectOptions } from 'fastify';
import { test } from 'tap';
import {
  build,
  codeOf,
  cookieHeader,
  cookieOf,
  createPlace,
  newCredentials,
  runSql,
  signUp,
} from './helper.ts';

const helmetHeaders = {
  'content-security-policy': "default-src 'none';frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

test('every answer says no-store, has an id, and the security headers', async (t) => {
  const { app } = await build(t);
  const { cookie, email, password } = await signUp(app);
  const id = '01890a5d-ac96-774b-bcce-b302099a8057';
  const requests: [number, InjectOptions][] = [
    [201, { method: 'POST', url: '/signup', payload: newCredentials() }],
    [409, { method: 'POST', url: '/signup', payload: { email, password } }],
    [400, { method: 'POST', url: '/signup' }],
    [200, { method: 'POST', url: '/login', payload: { email, password } }],
    [401, { method: 'POST', url: '/login', payload: newCredentials() }],
    [415, { method: 'POST', url: '/login', payload: 'x' }],
    [200, { method: 'POST', url: '/token', headers: { cookie } }],
    [404, { method: 'POST', url: '/token' }],
    [403, { method: 'POST', url: '/token', headers: { origin: 'null' } }],
    [200, { url: '/me', headers: { cookie } }],
    [200, { method: 'HEAD', url: '/me', headers: { cookie } }],
    [401, { url: '/me' }],
    [200, { url: '/sessions', headers: { cookie } }],
    [204, { method: 'DELETE', url: '/sessions', headers: { cookie } }],
    [404, { method: 'DELETE', url: `/sessions/${id}`, headers: { cookie } }],
    [400, { method: 'DELETE', url: '/sessions/1', headers: { cookie } }],
    [204, { method: 'POST', url: '/logout', headers: { cookie } }],
    [401, { method: 'POST', url: '/logout', headers: { cookie } }],
    [200, { url: '/health/live' }],
    [200, { url: '/health/ready' }],
    [200, { url: '/openapi.json' }],
    [204, { method: 'OPTIONS', url: '/token' }],
    [200, { url: '/' }],
    [404, { method: 'PUT', url: '/me' }],
    [404, { url: '/nowhere' }],
  ];
  const ids = new Set();
  for (const [status, request] of requests) {
    const response = await app.inject(request);
    const name = `${request.method ?? 'GET'} ${request.url} ${status}`;
    t.equal(response.statusCode, status, name);
    t.equal(response.headers['cache-control'], 'no-store', name);
    t.match(response.headers, helmetHeaders, name);
    t.notOk('x-powered-by' in response.headers || 'server' in response.headers);
    ids.add(response.headers['x-request-id']);
    if (status >= 400) codeOf(response);
    else if (status < 204) t.equal(response.headers['content-type'], 'application/json; charset=utf-8', name);
  }
  t.equal(ids.size, requests.length);
});

test('the public documents have the security headers too', async (t) => {
  const { app } = await build(t);
  for (const url of ['/.well-known/jwks.json', '/.well-known/openid-configuration', '/docs']) {
    const { headers } = await app.inject(url);
    const { 'content-security-policy': _, ...others } = helmetHeaders;
    t.match(headers, others, url);
    t.type(headers['x-request-id'], 'string');
  }
});

test('PATH_PREFIX moves every route', async (t) => {
  const { app } = await build(t, { PATH_PREFIX: '/auth/v1' });
  const signedUp = await app.inject({ method: 'POST', url: '/auth/v1/signup', payload: newCredentials() });
  const { value, path } = cookieOf(signedUp);
  t.equal(path, '/');
  const headers = { cookie: cookieHeader(value) };
  for (const [method, url, status] of [
    ['GET', '/me', 200],
    ['GET', '/sessions', 200],
    ['POST', '/token', 200],
    ['GET', '/health/ready', 200],
    ['GET', '/openapi.json', 200],
    ['POST', '/logout', 204],
  ] as const) {
    t.equal((await app.inject({ method, url: `/auth/v1${url}`, headers })).statusCode, status, url);
    t.equal(codeOf(await app.inject({ method, url, headers })), 'not_found', url);
  }
});

test('replicas see each other at once', async (t) => {
  const place = await createPlace(t);
  const [one, other] = [await build(t, {}, place), await build(t, {}, place)];
  const { cookie, email, password } = await signUp(one.app);
  const mint = ({ app }: typeof one, header: string) =>
    app.inject({ method: 'POST', url: '/token', headers: { cookie: header } });
  const minted = await mint(other, cookie);
  t.equal(minted.statusCode, 200);
  const kidOf = (token: string) =>
    JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
  t.equal(
    kidOf(minted.json().access_token),
    (await one.app.inject('/.well-known/jwks.json')).json().keys[0].kid,
    'which sign with one key',
  );

  const signedIn = await other.app.inject({ method: 'POST', url: '/login', payload: { email, password } });
  const second = cookieHeader(cookieOf(signedIn).value);
  t.equal((await mint(one, second)).statusCode, 200);
  // Both have the session in their cache now.
  t.equal((await mint(other, second)).statusCode, 200);
  await one.app.inject({ method: 'POST', url: '/logout', headers: { cookie: second } });
  t.equal((await mint(other, second)).statusCode, 404);
  t.equal((await mint(one, second)).statusCode, 404);
  await other.app.inject({ method: 'DELETE', url: '/sessions', headers: { cookie } });
  t.equal((await mint(one, cookie)).statusCode, 200);
});

test('of many sign-ups of one address at once, at two replicas, one wins', async (t) => {
  const place = await createPlace(t);
  const replicas = [await build(t, {}, place), await build(t, {}, place)];
  const { email } = newCredentials();
  const racing = Array.from({ length: 20 }, (_, i) => {
    const payload = { email: i % 3 === 0 ? email.toUpperCase() : email, password: newCredentials().password };
    return replicas[i % 2]?.app.inject({ method: 'POST', url: '/signup', payload });
  });
  const statuses = (await Promise.all(racing)).map((response) => response?.statusCode);
  t.strictSame(statuses.sort(), [201, ...Array(19).fill(409)]);
  const rows = await runSql(
    place.DATABASE_URL,
    'select u.id from users u join sessions s on s.user_id = u.id',
  );
  t.equal(rows.length, 1);
});

test('replicas that start at once on an empty database agree on one signing key', async (t) => {
  const place = await createPlace(t);
  const replicas = await Promise.all(Array.from({ length: 4 }, () => build(t, {}, place)));
  const sets = await Promise.all(replicas.map(({ app }) => app.inject('/.well-known/jwks.json')));
  t.equal(new Set(sets.map((response) => response.body)).size, 1);
  t.equal((await runSql(place.DATABASE_URL, 'select kid from signing_keys')).length, 1);
});

test('another key-encryption key does not start', async (t) => {
  const place = await createPlace(t);
  await build(t, {}, place);
  const other = { KEY_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
  await t.rejects(build(t, other, place), { name: 'KeyEncryptionKeyError' });
});

test('an event loop that is held up refuses work, but not probes and verifiers', async (t) => {
  const { app, log } = await build(t, { MAX_EVENT_LOOP_DELAY: '1s' });
  // The mean delay of a second or more counts. The first round ends the second that began before the delay.
  for (const ms of [1_200, 2_500]) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    await setImmediate();
  }
  for (const url of ['/token', '/login', '/logout']) {
    const response = await app.inject({ method: 'POST', url });
    t.equal(response.statusCode, 503);
    t.equal(codeOf(response), 'overloaded');
    t.equal(response.headers['retry-after'], '1');
  }
  for (const url of ['/health/live', '/health/ready', '/.well-known/jwks.json']) {
    t.equal((await app.inject(url)).statusCode, 200);
  }
  t.notMatch(log(), 'request failed', 'a refusal writes its one line and no stack');
});
