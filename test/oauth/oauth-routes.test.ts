import { randomBytes } from 'node:crypto';
import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  jwtVerify,
  SignJWT,
} from 'jose';
import { type Test, test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import { build, createPlace, createWire, quickSettings, runSql, signUp } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { breakVerification } from '../support/broken-crypto.ts';
import { addClient, basic, type ClientWish, mintToken, postForm } from '../support/clients.ts';
import { otherSpelling } from '../support/es256-signature.ts';

const issuer = 'http://localhost:3000';
const settings = { AUDIENCES: 'shop,payments,https://books.example.com' };

async function setUp(t: Test, wish?: ClientWish) {
  const place = await createPlace(t);
  const built = await build(t, settings, place);
  const client = await addClient(place, settings, wish);
  const config = loadConfig({ ...quickSettings, ...place, ...settings });
  const { app } = built;
  const { authorization } = client;
  return {
    ...built,
    place,
    config,
    client,
    grant: (form: Record<string, string | string[]> = {}) =>
      postForm(app, '/oauth/token', { grant_type: 'client_credentials', ...form }, { authorization }),
    introspect: (token: string, headers: Record<string, string> = {}) =>
      postForm(app, '/oauth/introspect', { token }, { authorization, ...headers }),
    revoke: (token: string) => postForm(app, '/oauth/revoke', { token }, { authorization }),
  };
}

const inactive = '{"active":false}';

test('a client gets a token for itself, with all its scopes and audiences', async (t) => {
  const { grant } = await setUp(t, {
    scopes: ['orders:read', 'orders:write'],
    audiences: ['shop', 'payments'],
  });
  const response = await grant();
  t.equal(response.statusCode, 200);
  t.equal(response.headers['cache-control'], 'no-store');
  const { access_token: token, ...rest } = response.json();
  t.strictSame(rest, { token_type: 'Bearer', expires_in: 1800, scope: 'orders:read orders:write' });
  const { iat = 0, jti, ...claims } = decodeJwt(token);
  t.match(decodeProtectedHeader(token), { typ: 'at+jwt', alg: 'ES256' });
  t.equal(Buffer.from(String(jti), 'base64url').length, 16);
  t.strictSame(claims, {
    iss: issuer,
    sub: 'payments',
    aud: ['shop', 'payments'],
    client_id: 'payments',
    exp: iat + 1800,
    scope: 'orders:read orders:write',
  });
});

test('a client narrows its token to some scopes and resources', async (t) => {
  const audiences = ['shop', 'https://books.example.com'];
  const { grant } = await setUp(t, { scopes: ['a', 'b', 'c'], audiences });
  const { access_token: token, scope } = (
    await grant({ scope: 'b a b', resource: 'https://books.example.com' })
  ).json();
  t.equal(scope, 'b a');
  t.match(decodeJwt(token), { scope: 'b a', aud: 'https://books.example.com' });
  const both = (await grant({ resource: [...audiences, 'shop'] })).json();
  t.strictSame(decodeJwt(both.access_token).aud, audiences);
});

test('a client gets no scope and no audience that is not its own', async (t) => {
  const { grant } = await setUp(t, { scopes: ['a'], audiences: ['shop'] });
  for (const scope of ['b', 'a b', 'A', ' a', 'a  a'])
    t.match((await grant({ scope })).json(), { error: 'invalid_scope' }, scope);
  for (const resource of ['payments', 'nobody', ['shop', 'payments']])
    t.match((await grant({ resource })).json(), { error: 'invalid_target' });
  t.equal((await grant({ resource: 'payments' })).statusCode, 400);
});

test('a client without audiences, from an earlier release, gets no token', async (t) => {
  const { grant, place } = await setUp(t);
  await runSql(place.DATABASE_URL, `update service_clients set audiences = '{}'`);
  t.match((await grant()).json(), { error: 'invalid_target' });
});

test('the credentials go into the header or into the form, and not into both', async (t) => {
  const { app, client } = await setUp(t);
  const ask = (form: Record<string, string | string[]>, authorization?: string) =>
    postForm(
      app,
      '/oauth/token',
      { grant_type: 'client_credentials', ...form },
      authorization ? { authorization } : {},
    );
  const inForm = { client_id: client.id, client_secret: client.secret };
  t.equal((await ask({}, client.authorization)).statusCode, 200);
  t.equal((await ask({ client_id: client.id }, client.authorization)).statusCode, 200);
  t.equal((await ask(inForm)).statusCode, 200);
  t.equal((await ask({ ...inForm, client_secret: [client.secret, client.secret] })).statusCode, 400);
  for (const [form, authorization] of [
    [inForm, client.authorization],
    [{ client_id: 'shop' }, client.authorization],
    [{ client_secret: client.secret }, undefined],
    [{ client_assertion: 'x' }, undefined],
    [{ ...inForm, client_assertion_type: 'other', client_assertion: 'x' }, undefined],
  ] as const) {
    const response = await ask(form, authorization);
    t.equal(response.statusCode, 400);
    t.match(response.json(), { error: 'invalid_request', error_description: String });
  }
});

test('whatever is wrong with the credentials, the answer is the same 401', async (t) => {
  const { app, client, config, place } = await setUp(t);
  const gone = await addClient(place, settings, { id: 'gone' });
  await runCommand(config, 'clients.disable', { id: 'gone' });
  const bodies = new Set<string>();
  for (const authorization of [
    basic(client.id, `dws_${randomBytes(32).toString('base64url')}`),
    basic(client.id, client.secret.toLowerCase()),
    basic(client.id, ''),
    basic('nobody', client.secret),
    basic("' or true", client.secret),
    basic('\0', client.secret),
    gone.authorization,
  ]) {
    const response = await postForm(
      app,
      '/oauth/token',
      { grant_type: 'client_credentials' },
      { authorization },
    );
    t.equal(response.statusCode, 401);
    t.equal(response.headers['www-authenticate'], 'Basic realm="doorward", charset="UTF-8"');
    t.match(response.json(), { error: 'invalid_client' });
    bodies.add(response.body);
  }
  t.equal(bodies.size, 1);
  for (const authorization of [
    'Basic',
    'Basic !',
    'Bearer x',
    `Basic ${Buffer.from('%:%').toString('base64')}`,
    'Basic eA==',
  ]) {
    const response = await postForm(app, '/oauth/introspect', { token: 'x' }, { authorization });
    t.equal(response.statusCode, 401, authorization);
    t.match(response.json(), { error: 'invalid_client' });
  }
  t.equal((await postForm(app, '/oauth/revoke', { token: 'x' })).statusCode, 401, 'none at all');
});

test('guessing clients is told to wait, and does not hold up others', async (t) => {
  const { app, introspect, log } = await setUp(t);
  const guess = (remoteAddress = '192.0.2.1') =>
    app.inject({
      method: 'POST',
      url: '/oauth/token',
      remoteAddress,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: basic('nobody', `dws_${Buffer.alloc(32).toString('base64url')}`),
      },
      payload: 'grant_type=client_credentials',
    });
  for (let tries = 0; tries < 300; tries += 1) await guess();
  const refused = await guess();
  t.equal(refused.statusCode, 429);
  t.match(refused.headers, { 'retry-after': '60' });
  t.match(refused.json(), { error: 'temporarily_unavailable' });
  t.equal((await introspect('x')).statusCode, 200);
  t.equal((await guess('192.0.2.2')).statusCode, 401);
  t.notMatch(log(), /dws_/);
});

test('a service that was let in a moment ago is not held up by those who guess beside it', async (t) => {
  const { app, client, introspect } = await setUp(t);
  t.equal((await introspect('x')).statusCode, 200);
  const ask = (authorization: string) =>
    postForm(app, '/oauth/introspect', { token: 'x' }, { authorization });
  const wrong = basic('nobody', `dws_${Buffer.alloc(32).toString('base64url')}`);
  for (let tries = 0; tries < 300; tries += 1) await ask(wrong);
  t.equal((await ask(wrong)).statusCode, 429);
  t.equal((await introspect('x')).statusCode, 200);
  const other = `${client.secret.slice(0, -1)}${client.secret.endsWith('A') ? 'E' : 'A'}`;
  t.equal((await ask(basic(client.id, other))).statusCode, 429);
});

test('a burst of wrong secrets gets no more look-ups than the same secrets one by one', async (t) => {
  const { app } = await setUp(t);
  const guess = () => {
    const authorization = basic('nobody', `dws_${Buffer.alloc(32).toString('base64url')}`);
    return postForm(app, '/oauth/token', { grant_type: 'client_credentials' }, { authorization });
  };
  const burst = await Promise.all(Array.from({ length: 1_000 }, guess));
  const count = (status: number) => burst.filter(({ statusCode }) => statusCode === status).length;
  t.same([count(401), count(429)], [300, 700]);
});

test('what is not a form of single parameters is invalid_request', async (t) => {
  const { app, client } = await setUp(t);
  const { authorization } = client;
  t.match((await postForm(app, '/oauth/token', {}, { authorization })).json(), { error: 'invalid_request' });
  t.match((await postForm(app, '/oauth/token', { grant_type: 'password' }, { authorization })).json(), {
    error: 'unsupported_grant_type',
  });
  for (const [url, form] of [
    ['/oauth/token', { grant_type: ['client_credentials', 'client_credentials'] }],
    ['/oauth/introspect', {}],
    ['/oauth/introspect', { token: '' }],
    ['/oauth/revoke', { token: '' }],
    ['/oauth/token', { grant_type: '' }],
    ['/oauth/introspect', { token: ['a', 'b'] }],
    ['/oauth/introspect', { token: 'a\0' }],
    ['/oauth/revoke', { token_type_hint: 'access_token' }],
  ] as const) {
    const response = await postForm(app, url, form as Record<string, string>, { authorization });
    t.equal(response.statusCode, 400);
    t.match(response.json(), { error: 'invalid_request' }, url);
  }
  const nothing = await app.inject({ method: 'POST', url: '/oauth/token', headers: { authorization } });
  t.match(nothing.json(), { error: 'invalid_request', error_description: /the body must be object/ });
  const json = await app.inject({
    method: 'POST',
    url: '/oauth/token',
    headers: { authorization },
    payload: {},
  });
  t.equal(json.statusCode, 415);
  t.match(json.json(), { error: 'invalid_request', error_description: 'The body must be a form' });
  const other = await postForm(
    app,
    '/oauth/token',
    { grant_type: 'client_credentials', unknown: 'ignored' },
    { authorization },
  );
  t.equal(other.statusCode, 200, 'unknown parameters are ignored (RFC 6749 §3.2)');
});

test('a rotated secret overlaps with the one before, for as long as was said', async (t) => {
  const { advance, app, client, config } = await setUp(t);
  const rotate = (overlap_ms: number) =>
    runCommand(config, 'clients.rotate-secret', { id: client.id, overlap_ms });
  const statusOf = async (secret: string) =>
    (await postForm(app, '/oauth/introspect', { token: 'x' }, { authorization: basic(client.id, secret) }))
      .statusCode;
  const second = String((await rotate(3_600_000)).client_secret);
  t.same([await statusOf(client.secret), await statusOf(second)], [200, 200]);
  await advance(3_600_000);
  t.same([await statusOf(client.secret), await statusOf(second)], [401, 200]);
  const third = String((await rotate(0)).client_secret);
  t.same([await statusOf(second), await statusOf(third)], [401, 200]);
});

/** The endpoints that clients call, and their URLs. */
const endpoints = Object.fromEntries(
  ['/oauth/token', '/oauth/introspect', '/oauth/revoke'].map((url) => [url, `${issuer}${url}`]),
);

/** A client that signs assertions, and a way to make good and bad ones. */
async function setUpAssertions(t: Test, more: Record<string, string> = {}) {
  const place = await createPlace(t);
  const built = await build(t, { ...settings, ...more }, place);
  const config = loadConfig({ ...quickSettings, ...place, ...settings });
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const public_keys = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' };
  await runCommand(config, 'clients.add', { id: 'books', audiences: ['shop'], public_keys });
  const assert = (claims: object = {}, key: Parameters<SignJWT['sign']>[0] = privateKey) => {
    const now = Math.floor(Date.now() / 1000);
    const jti = randomBytes(16).toString('base64url');
    const usual = { iss: 'books', sub: 'books', aud: issuer, iat: now, exp: now + 60, jti };
    return new SignJWT({ ...usual, ...claims }).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(key);
  };
  const ask = (client_assertion: string, form: Record<string, string> = {}, url = '/oauth/token') =>
    postForm(built.app, url, {
      grant_type: 'client_credentials',
      token: 'x',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion,
      ...form,
    });
  return { ...built, place, config, privateKey, assert, ask };
}

test('a client signs in with private_key_jwt, once with each assertion', async (t) => {
  const { assert, ask } = await setUpAssertions(t);
  const assertion = await assert();
  const response = await ask(assertion);
  t.equal(response.statusCode, 200);
  t.match(decodeJwt(response.json().access_token), { sub: 'books', aud: 'shop' });
  t.equal((await ask(assertion)).statusCode, 401, 'not twice');
  t.equal((await ask(await assert(), { client_id: 'books' })).statusCode, 200);
});

test('an assertion is for the issuer alone, so that it cannot be meant for a server that only gave our URL', async (t) => {
  const { assert, ask } = await setUpAssertions(t);
  for (const [url, aud] of Object.entries(endpoints)) {
    t.equal((await ask(await assert({ aud }), {}, url)).statusCode, 401, aud);
    t.equal((await ask(await assert(), {}, url)).statusCode, 200, url);
  }
});

test('with CLIENT_ASSERTION_AUDIENCE=endpoint it may be for the URL of the call, too', async (t) => {
  const { assert, ask } = await setUpAssertions(t, { CLIENT_ASSERTION_AUDIENCE: 'endpoint' });
  for (const [url, aud] of Object.entries(endpoints)) {
    t.equal((await ask(await assert({ aud }), {}, url)).statusCode, 200, aud);
    t.equal((await ask(await assert(), {}, url)).statusCode, 200, url);
  }
  const elsewhere = await assert({ aud: endpoints['/oauth/revoke'] });
  t.equal((await ask(elsewhere)).statusCode, 401, 'not for that of another call');
});

test('a second spelling of an assertion is the same assertion, and of a single-use token the same token', async (t) => {
  const { app, place, assert, ask } = await setUpAssertions(t);
  const assertion = await assert();
  t.equal((await ask(assertion)).statusCode, 200);
  t.equal((await ask(otherSpelling(assertion))).statusCode, 401, 'used already');
  const unused = otherSpelling(await assert());
  t.equal((await ask(unused)).statusCode, 200, 'a good signature, too');

  const { authorization } = await addClient(place, settings);
  const { cookie } = await signUp(app);
  const token = await mintToken(app, cookie, { single_use: true, audience: 'payments' });
  const isActive = async (text: string) =>
    (await postForm(app, '/oauth/introspect', { token: text }, { authorization })).json().active;
  t.strictSame([await isActive(otherSpelling(token)), await isActive(token)], [true, false]);
});

test('an assertion that is not the right one is invalid_client', async (t) => {
  const { assert, ask, config } = await setUpAssertions(t);
  const now = Math.floor(Date.now() / 1000);
  const { privateKey: stranger } = await generateKeyPair('ES256');
  await runCommand(config, 'clients.add', { id: 'shop', audiences: ['shop'] });
  const bad: [string, string][] = [
    ['another key', await assert({}, stranger)],
    ['another audience', await assert({ aud: 'https://other.example.com' })],
    ['several audiences', await assert({ aud: [issuer, 'https://other.example.com'] })],
    ['the endpoint of another call', await assert({ aud: `${issuer}/oauth/revoke` })],
    ['another subject', await assert({ sub: 'shop' })],
    ['another issuer', await assert({ iss: 'shop' })],
    ['a client with a secret', await assert({ iss: 'shop', sub: 'shop' })],
    ['an unknown client', await assert({ iss: 'nobody', sub: 'nobody' })],
    ['expired', await assert({ iat: now - 120, exp: now - 60 })],
    ['good for too long', await assert({ exp: now + 3_600 })],
    ['without an issuer', await assert({ iss: undefined })],
    ['an issuer that is a list', await assert({ iss: ['books'] })],
    ['an issuer that is a number', await assert({ iss: 5 })],
    ['without an end', await assert({ exp: undefined })],
    ['without an id', await assert({ jti: undefined })],
    ['an empty id', await assert({ jti: '' })],
    ['an endless id', await assert({ jti: 'x'.repeat(129) })],
    ['no JWT', 'nonsense'],
    ['unsigned', `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await assert()).split('.')[1]}.`],
  ];
  for (const [name, assertion] of bad) {
    const response = await ask(assertion);
    t.equal(response.statusCode, 401, name);
    t.match(response.json(), { error: 'invalid_client' }, name);
  }
  t.equal((await ask(await assert(), { client_id: 'shop' })).statusCode, 401, 'of another client');
});

test('an assertion passes the limit by its signature, never by the name of a client that was let in', async (t) => {
  const { app, assert, ask, config, advance } = await setUpAssertions(t);
  const wrong = basic('nobody', `dws_${Buffer.alloc(32).toString('base64url')}`);
  const guess = () => postForm(app, '/oauth/introspect', { token: 'x' }, { authorization: wrong });
  const reachLimit = async () => {
    await Promise.all(Array.from({ length: 300 }, guess));
    t.equal((await guess()).statusCode, 429);
  };
  t.equal((await ask(await assert())).statusCode, 200);
  await reachLimit();
  const { privateKey: stranger } = await generateKeyPair('ES256');
  t.equal((await ask(await assert({}, stranger))).statusCode, 429, 'a forged one');
  t.equal((await ask(await assert({}, stranger), { client_id: 'books' })).statusCode, 429);
  const good = await assert();
  t.equal((await ask(good, { client_id: 'books' })).statusCode, 200, 'the client itself');
  t.equal((await ask(await assert())).statusCode, 200);
  t.equal((await ask(good)).statusCode, 401, 'used before');
  t.equal((await ask(good)).statusCode, 429, 'what has failed is remembered no more');

  await advance(60_000);
  const later = Math.floor(Date.now() / 1000) + 120;
  t.equal((await ask(await assert({ exp: later }))).statusCode, 200);
  await runCommand(config, 'clients.disable', { id: 'books' });
  await reachLimit();
  t.equal((await ask(await assert({ exp: later }))).statusCode, 401);
  t.equal((await ask(await assert({ exp: later }))).statusCode, 429, 'a disabled client is not let in');
});

test('an assertion or a token that cannot be checked, for a reason that is not in it, is an error of the server', async (t) => {
  const { app, place, log, assert, ask } = await setUpAssertions(t);
  const { cookie } = await signUp(app);
  const token = await mintToken(app, cookie);
  const { authorization } = await addClient(place, settings, { audiences: ['shop'] });
  const assertion = await assert();
  breakVerification(t, new DOMException('the provider is gone', 'OperationError'));
  for (const response of [
    await ask(assertion),
    await postForm(app, '/oauth/introspect', { token }, { authorization }),
    await postForm(app, '/oauth/revoke', { token }, { authorization }),
  ]) {
    t.equal(response.statusCode, 500);
    t.match(response.json(), { error: 'server_error' });
  }
  t.equal(log().match(/the provider is gone/g)?.length, 2 * 3, 'message and stack of each are in the log');
});

test('an access token is active, with its claims and what the database says of the user', async (t) => {
  const { app, introspect, place } = await setUp(t);
  const { cookie, user } = await signUp(app);
  const token = await mintToken(app, cookie);
  const response = await introspect(token);
  t.equal(response.headers['cache-control'], 'no-store');
  t.strictSame(response.json(), { active: true, token_type: 'Bearer', ...decodeJwt(token) });
  await runSql(
    place.DATABASE_URL,
    `update users set email = 'new@example.com', email_verified_at = now() where id = '${user.id}'`,
  );
  t.match((await introspect(token)).json(), { active: true, email: 'new@example.com', email_verified: true });
});

test('whatever is not active is so with the same bytes', async (t) => {
  const { app, advance, client, introspect, place } = await setUp(t);
  const dead: Record<string, string> = { nonsense: 'nonsense', 'too long': 'x'.repeat(9_000) };
  const signedIn = await signUp(app);
  const token = await mintToken(app, signedIn.cookie);
  dead['for another audience'] = await mintToken(app, signedIn.cookie, { audience: 'shop' });
  const [header, payload, signature = ''] = token.split('.');
  dead.forged = `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
  dead.unsigned = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${payload}.`;
  const signedOut = await signUp(app);
  dead['signed out'] = await mintToken(app, signedOut.cookie);
  await app.inject({ method: 'POST', url: '/logout', headers: { cookie: signedOut.cookie } });
  const banned = await signUp(app);
  dead.banned = await mintToken(app, banned.cookie);
  await runSql(place.DATABASE_URL, `update users set status = 'banned' where id = '${banned.user.id}'`);
  const deleted = await signUp(app);
  dead.deleted = await mintToken(app, deleted.cookie);
  await runSql(place.DATABASE_URL, `delete from users where id = '${deleted.user.id}'`);
  const other = await addClient(place, settings, { id: 'shop', audiences: ['shop', 'payments'] });
  const ofClient: string = (
    await postForm(
      app,
      '/oauth/token',
      { grant_type: 'client_credentials' },
      { authorization: other.authorization },
    )
  ).json().access_token;
  t.equal((await introspect(ofClient)).json().active, true);
  dead['of the client that is disabled'] = ofClient;
  const headersOf = async (dead: string) => {
    const { statusCode, body, headers } = await introspect(dead);
    t.equal(statusCode, 200);
    t.equal(body, inactive);
    return Object.keys(headers);
  };
  await runSql(place.DATABASE_URL, `update service_clients set disabled_at = now() where id = 'shop'`);
  const expected = await headersOf('x');
  for (const [name, one] of Object.entries(dead)) t.same(await headersOf(one), expected, name);
  t.equal((await introspect(token)).json().active, true, 'the good one still is');
  await advance(1_810_000);
  t.equal((await introspect(token)).body, inactive, 'until it expires');
  t.equal(client.id, 'payments');
});

test('a token that says more than its client has now is inactive, and a new one says less', async (t) => {
  const audiences = ['payments', 'shop'];
  const { config, grant, introspect } = await setUp(t, { scopes: ['a', 'b'], audiences });
  const mint = async (form = {}) => String((await grant(form)).json().access_token);
  const isActive = async (token: string) => (await introspect(token)).json().active;
  const [all, onlyA, forShop] = [await mint(), await mint({ scope: 'a' }), await mint({ resource: 'shop' })];
  await runCommand(config, 'clients.update', { id: 'payments', scopes: ['c', 'a'] });
  t.equal(await isActive(all), false);
  t.equal(await isActive(forShop), false);
  t.equal(await isActive(onlyA), true, 'it names nothing that is lost');
  const narrowed = await mint();
  t.match(decodeJwt(narrowed), { scope: 'c a' });
  await runCommand(config, 'clients.update', { id: 'payments', scopes: [] });
  t.equal(await isActive(narrowed), false);
  const withoutScope = await mint();
  t.equal(await isActive(withoutScope), true);
  await runCommand(config, 'clients.update', { id: 'payments', audiences: ['payments'] });
  t.equal(await isActive(withoutScope), false, 'it is for the shop, too');
  t.match((await introspect(await mint())).json(), { active: true, aud: 'payments', scope: '' });
});

test('a sign-out on another replica makes a token inactive at once', async (t) => {
  const { app, introspect, place } = await setUp(t);
  const second = await build(t, settings, place);
  const { cookie } = await signUp(app);
  const token = await mintToken(app, cookie);
  t.equal((await introspect(token)).json().active, true);
  await second.app.inject({ method: 'POST', url: '/logout', headers: { cookie } });
  t.equal((await introspect(token)).body, inactive);
});

test('while the database fails, nobody is told that a token is inactive', async (t) => {
  const { app, introspect, revoke, place, log } = await setUp(t);
  const { cookie } = await signUp(app);
  const token = await mintToken(app, cookie);
  await runSql(place.DATABASE_URL, 'alter table spent_tokens rename to gone');
  const broken = await introspect(token);
  t.equal(broken.statusCode, 500);
  t.match(broken.json(), { error: 'server_error' });
  t.match(log(), /42P01/);
  t.notMatch(log(), new RegExp(token));
  await runSql(place.DATABASE_URL, 'alter table gone rename to spent_tokens');
  t.equal((await introspect(token)).json().active, true);
  t.match((await revoke(token)).json(), { error: 'invalid_grant' });
});

test('while the database does not answer, a client is told to come back', async (t) => {
  const place = await createPlace(t);
  const wire = await createWire(t, place.DATABASE_URL);
  const { app } = await build(t, settings, { ...place, DATABASE_URL: wire.url });
  const { authorization } = await addClient(place, settings);
  const { cookie } = await signUp(app);
  const token = await mintToken(app, cookie);
  wire.cut();
  for (const url of ['/oauth/introspect', '/oauth/revoke', '/oauth/token']) {
    const form = { token, grant_type: 'client_credentials' };
    const response = await postForm(app, url, form, { authorization });
    t.equal(response.statusCode, 503, url);
    t.match(response.headers, { 'retry-after': '1' });
    t.match(response.json(), { error: 'temporarily_unavailable' });
  }
  wire.mend();
  await eventually(async () => {
    const response = await postForm(app, '/oauth/introspect', { token }, { authorization });
    if (!response.json().active) throw new Error(response.body);
  });
});

test('a client ends its own tokens, and nobody else can', async (t) => {
  const { app, grant, introspect, revoke, place } = await setUp(t);
  const token = (await grant()).json().access_token;
  const other = await addClient(place, settings, { id: 'shop' });
  const theirs = await postForm(app, '/oauth/revoke', { token }, { authorization: other.authorization });
  t.equal(theirs.statusCode, 400);
  t.match(theirs.json(), { error: 'invalid_grant' });
  t.equal((await introspect(token)).json().active, true);
  for (const _ of [1, 2]) {
    const response = await revoke(token);
    t.equal(response.statusCode, 200);
    t.equal(response.body, '');
    t.equal((await introspect(token)).body, inactive);
  }
  t.equal((await revoke('nonsense')).statusCode, 200, 'what is no token needs no ending (RFC 7009 §2.2)');
  const { cookie } = await signUp(app);
  t.match((await revoke(await mintToken(app, cookie))).json(), { error: 'invalid_grant' });
  const namesake = await build(t, { ...settings, CLIENT_ID: 'payments' }, place);
  t.match((await revoke(await mintToken(namesake.app, cookie))).json(), { error: 'invalid_grant' });
});

test('a single-use token is for one audience of its own, for a minute, and of another type', async (t) => {
  const { app } = await setUp(t);
  const { cookie } = await signUp(app);
  const response = await app.inject({
    method: 'POST',
    url: '/token',
    headers: { cookie },
    payload: { single_use: true, audience: 'payments' },
  });
  const { access_token: token, ...rest } = response.json();
  t.strictSame(rest, { token_type: 'Bearer', expires_in: 60 });
  const { iat = 0, exp, aud } = decodeJwt(token);
  t.same([Number(exp) - iat, aud], [60, 'urn:doorward:once:payments']);
  t.match(decodeProtectedHeader(token), { typ: 'one-time+jwt' });
  const without = await app.inject({
    method: 'POST',
    url: '/token',
    headers: { cookie },
    payload: { single_use: true },
  });
  t.equal(without.statusCode, 400);
  t.match(without.json(), { code: 'validation_failed', errors: [{ path: '/audience' }] });
  t.equal(decodeProtectedHeader(await mintToken(app, cookie, { single_use: false })).typ, 'at+jwt');
});

test('a single-use token is active exactly once, at the door that it is for', async (t) => {
  const { app, introspect, place } = await setUp(t);
  const { cookie } = await signUp(app);
  const token = await mintToken(app, cookie, { single_use: true, audience: 'payments' });
  const shop = await addClient(place, settings, { id: 'shop', audiences: ['shop'] });
  const atShop = await postForm(app, '/oauth/introspect', { token }, { authorization: shop.authorization });
  t.equal(atShop.body, inactive, 'another door does not even spend it');
  t.strictSame((await introspect(token)).json(), { active: true, token_type: 'Bearer', ...decodeJwt(token) });
  t.equal((await introspect(token)).body, inactive);
});

test('no library that checks the audience payments takes a single-use token, though it ignores typ', async (t) => {
  const { app } = await setUp(t);
  const { cookie } = await signUp(app);
  const keys = createLocalJWKSet((await app.inject('/.well-known/jwks.json')).json());
  const verify = (token: string) => jwtVerify(token, keys, { issuer, audience: 'payments' });
  await verify(await mintToken(app, cookie, { audience: 'payments' }));
  const token = await mintToken(app, cookie, { audience: 'payments', single_use: true });
  await t.rejects(verify(token), { message: 'unexpected "aud" claim value' });
});

test('the winner of a redemption may ask again with its key, others may not', async (t) => {
  const { app, introspect, client } = await setUp(t);
  const { cookie } = await signUp(app);
  const token = await mintToken(app, cookie, { single_use: true, audience: 'payments' });
  const first = await introspect(token, { 'idempotency-key': 'order-7' });
  t.equal(first.json().active, true);
  t.equal((await introspect(token, { 'idempotency-key': 'order-7' })).body, first.body);
  t.equal((await introspect(token, { 'idempotency-key': 'order-8' })).body, inactive);
  t.equal((await introspect(token)).body, inactive);
  for (const key of ['', 'with space', 'x'.repeat(256)]) {
    const response = await introspect(token, { 'idempotency-key': key });
    t.match([response.statusCode, response.json().error], [400, 'invalid_request']);
  }
  t.equal(client.id, 'payments');
});

test('a single-use token of a session that has ended is worth nothing', async (t) => {
  const { app, introspect } = await setUp(t);
  const { cookie } = await signUp(app);
  const token = await mintToken(app, cookie, { single_use: true, audience: 'payments' });
  await app.inject({ method: 'POST', url: '/logout', headers: { cookie } });
  t.equal((await introspect(token)).body, inactive);
});

test('a key that was revoked in an emergency takes its tokens along', async (t) => {
  const { app, config, introspect } = await setUp(t);
  const { cookie } = await signUp(app);
  const old = await mintToken(app, cookie);
  const { kid } = decodeProtectedHeader(old);
  await runCommand(config, 'keys.rotate', { now: true, revoke: String(kid) });
  const token = await eventually(async () => {
    const minted = await mintToken(app, cookie);
    if (decodeProtectedHeader(minted).kid === kid) throw new Error('the old key still signs');
    return minted;
  });
  t.equal((await introspect(token)).json().active, true);
  t.equal((await introspect(old)).body, inactive);
});

test('the metadata says where clients go, and how they show who they are', async (t) => {
  const { app } = await setUp(t);
  const metadata = (await app.inject('/.well-known/oauth-authorization-server')).json();
  t.match(metadata, {
    token_endpoint: `${issuer}/oauth/token`,
    introspection_endpoint: `${issuer}/oauth/introspect`,
    revocation_endpoint: `${issuer}/oauth/revoke`,
    grant_types_supported: ['client_credentials'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  });
});
