import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import { test } from 'tap';
import {
  build,
  buildEmbedded,
  codeOf,
  cookieHeader,
  createPlace,
  newCredentials,
  runSql,
  signUp,
  type TestApp,
} from '../helper.ts';

const dayMs = 86_400_000;
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** The possible last characters of 43: the last one carries four bits. */
const lastAlphabet = 'AEIMQUYcgkosw048';

type App = TestApp['app'];

const mint = (app: App, cookie?: string, payload?: object) =>
  app.inject({
    method: 'POST',
    url: '/token',
    ...(payload !== undefined && { payload }),
    headers: cookie === undefined ? {} : { cookie },
  });

async function verify(app: App, token: string, options: { audience: string; currentDate?: Date }) {
  const jwks = createLocalJWKSet((await app.inject('/.well-known/jwks.json')).json());
  return jwtVerify(token, jwks, { issuer: 'http://localhost:3000', typ: 'at+jwt', ...options });
}

test('an access token verifies with jose and the key set alone', async (t) => {
  const { app } = await build(t);
  const { cookie, user, email } = await signUp(app);
  const response = await mint(app, cookie);
  t.equal(response.statusCode, 200);
  const body = response.json();
  t.strictSame(body, { access_token: body.access_token, token_type: 'Bearer', expires_in: 1800 });
  t.strictSame(response.cookies, []);

  const { payload, protectedHeader } = await verify(app, body.access_token, { audience: 'api' });
  const { kid } = (await app.inject('/.well-known/jwks.json')).json().keys[0];
  t.strictSame(protectedHeader, { alg: 'ES256', typ: 'at+jwt', kid });
  const sessions = (await app.inject({ url: '/sessions', headers: { cookie } })).json().sessions;
  const nowSeconds = Date.now() / 1000;
  const { iat = 0, jti = '', auth_time: authTime } = payload;
  t.ok(Math.abs(nowSeconds - iat) < 60);
  t.equal(Buffer.from(jti, 'base64url').length, 16);
  t.strictSame(payload, {
    iss: 'http://localhost:3000',
    sub: user.id,
    aud: 'api',
    client_id: 'browser',
    iat,
    exp: iat + 1800,
    jti,
    sid: sessions[0].id,
    email,
    email_verified: false,
    cv: 1,
    roles: [],
    scope: '',
    auth_time: Math.floor(Date.parse(sessions[0].created_at) / 1000),
    amr: ['pwd'],
  });
  t.ok(iat - Number(authTime) < 60);
});

test('a verifier refuses an access token that has expired or is for another audience', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const { access_token: token } = (await mint(app, cookie)).json();
  const currentDate = new Date(Date.now() + 1801_000);
  await t.rejects(verify(app, token, { audience: 'api', currentDate }), { code: 'ERR_JWT_EXPIRED' });
  await t.rejects(verify(app, token, { audience: 'shop' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' });
});

test('every access token has a jti of its own, and auth_time stays that of the sign-in', async (t) => {
  const { app, advance } = await build(t);
  const { cookie } = await signUp(app);
  const first = decodeJwt((await mint(app, cookie)).json().access_token);
  await advance(dayMs);
  const second = decodeJwt((await mint(app, cookie)).json().access_token);
  t.not(first.jti, second.jti);
  t.equal(first.auth_time, second.auth_time);
  t.ok(Math.abs(Number(second.iat) - Number(first.iat) - dayMs / 1000) < 60);
});

test('ACCESS_TOKEN_TTL, CLIENT_ID and PUBLIC_URL show in the token', async (t) => {
  const { app } = await build(t, {
    ACCESS_TOKEN_TTL: '5m',
    CLIENT_ID: 'web',
    PUBLIC_URL: 'https://auth.example.com',
  });
  const { cookie } = await signUp(app);
  const body = (await mint(app, cookie)).json();
  const { iss, client_id: clientId, iat, exp } = decodeJwt(body.access_token);
  t.equal(body.expires_in, 300);
  t.strictSame([iss, clientId, Number(exp) - Number(iat)], ['https://auth.example.com', 'web', 300]);
});

test('a token is for all audiences, or for the one that was asked for', async (t) => {
  const { app } = await build(t, { AUDIENCES: 'shop,https://pay.example.com' });
  const { cookie } = await signUp(app);
  const audOf = async (payload?: object) =>
    decodeJwt((await mint(app, cookie, payload)).json().access_token).aud;
  t.strictSame(await audOf(), ['shop', 'https://pay.example.com']);
  t.strictSame(await audOf({}), ['shop', 'https://pay.example.com']);
  t.strictSame(await audOf({ audience: 'https://pay.example.com' }), 'https://pay.example.com');
});

test('with DEFAULT_AUDIENCE a token is for that service, unless another one was asked for', async (t) => {
  for (const ACCESS_TOKEN_REUSE of ['0s', '30s']) {
    const settings = { AUDIENCES: 'shop,pay', DEFAULT_AUDIENCE: 'shop', ACCESS_TOKEN_REUSE };
    const { app } = await build(t, settings);
    const { cookie } = await signUp(app);
    const audOf = async (payload?: object) =>
      decodeJwt((await mint(app, cookie, payload)).json().access_token).aud;
    t.equal(await audOf(), 'shop');
    t.equal(await audOf({}), 'shop');
    t.equal(await audOf({ audience: 'pay' }), 'pay');
    t.equal(await audOf({ audience: 'shop' }), 'shop');
    t.equal(
      codeOf(await mint(app, cookie, { single_use: true })),
      'validation_failed',
      'names its door itself',
    );
  }
});

test('an audience that is not configured is 400 unknown_audience', async (t) => {
  const { app } = await build(t, { AUDIENCES: 'shop,pay' });
  const { cookie } = await signUp(app);
  for (const audience of ['', 'Shop', 'shop ', 'shop,pay', 'toString', '__proto__']) {
    const response = await mint(app, cookie, { audience });
    t.equal(response.statusCode, 400);
    t.equal(codeOf(response), 'unknown_audience');
  }
});

test('every kind of dead cookie is 404 with the same bytes', async (t) => {
  const place = await createPlace(t);
  const { app, advance } = await build(t, {}, place);
  const dead: Record<string, string | undefined> = { 'no cookie': undefined };
  dead.empty = cookieHeader('');
  dead.malformed = cookieHeader('nonsense');
  dead['percent-encoded NUL'] = cookieHeader('%00');
  dead['broken escape'] = cookieHeader('%');
  dead.unknown = cookieHeader(Buffer.alloc(32, 7).toString('base64url'));
  dead['of another mode'] = (await signUp(app)).cookie.replace('__Host-', '__Secure-');

  const signedOut = await signUp(app);
  await app.inject({ method: 'POST', url: '/logout', headers: { cookie: signedOut.cookie } });
  dead['signed out'] = signedOut.cookie;
  const banned = await signUp(app);
  await runSql(place.DATABASE_URL, `update users set status = 'banned' where email = '${banned.email}'`);
  dead.banned = banned.cookie;
  const deleted = await signUp(app);
  await runSql(place.DATABASE_URL, `delete from users where email = '${deleted.email}'`);
  dead.deleted = deleted.cookie;

  const expired = await signUp(app);
  t.equal((await mint(app, expired.cookie)).statusCode, 200);
  await advance(14 * dayMs);
  dead['unused for too long'] = expired.cookie;
  const tokenOnly = await mint(app);
  for (const [name, cookie] of Object.entries(dead)) {
    const response = await mint(app, cookie);
    t.equal(response.statusCode, 404, name);
    t.equal(codeOf(response), 'session_not_found');
    t.equal(response.body, tokenOnly.body, name);
    t.strictSame(Object.keys(response.headers), Object.keys(tokenOnly.headers), name);
  }
});

test('a change of any one character of the cookie makes it unknown', async (t) => {
  const { app } = await build(t);
  const { token, cookie } = await signUp(app);
  const expected = (await mint(app)).body;
  for (const [at, character] of [...token].entries()) {
    const letters = at === 42 ? lastAlphabet : alphabet;
    const other = letters[(letters.indexOf(character) + 1) % letters.length];
    const changed = token.slice(0, at) + other + token.slice(at + 1);
    const response = await mint(app, cookieHeader(changed));
    t.equal(response.statusCode, 404, `position ${at}`);
    t.equal(response.body, expected);
  }
  for (const changed of [`${token}A`, token.slice(1), ` ${token}x`, token.toLowerCase()]) {
    t.equal((await mint(app, cookieHeader(changed))).statusCode, 404);
  }
  t.equal((await mint(app, cookie)).statusCode, 200);
});

for (const [name, start] of [
  ['PostgreSQL and Redis', build],
  ['PGlite and memory', buildEmbedded],
] as const) {
  test(`a session ends after SESSION_TTL, however much it is used, on ${name}`, async (t) => {
    const { app, advance } = await start(t, { SESSION_TTL: '30d', SESSION_IDLE_TTL: '30d' });
    const { cookie } = await signUp(app);
    await advance(30 * dayMs - 60_000);
    t.equal((await mint(app, cookie)).statusCode, 200);
    await advance(60_000);
    t.equal((await mint(app, cookie)).statusCode, 404);
  });
}

test('a session that is not used ends after SESSION_IDLE_TTL, and each use puts that off', async (t) => {
  const place = await createPlace(t);
  const first = await build(t, {}, place);
  const { cookie } = await signUp(first.app);
  await first.advance(10 * dayMs);
  t.equal((await mint(first.app, cookie)).statusCode, 200);
  // On close, the server writes when sessions were last used.
  await first.app.close();

  const second = await build(t, {}, place);
  await second.advance(10 * dayMs);
  t.equal((await mint(second.app, cookie)).statusCode, 200);
  await second.advance(14 * dayMs);
  t.equal((await mint(second.app, cookie)).statusCode, 404);
});

test('no token outlives its session: to a page, for a single use, or from a gateway', async (t) => {
  const settings = { SESSION_TTL: '60m', SESSION_IDLE_TTL: '60m', ACCESS_TOKEN_REUSE: '30s' };
  const { app, advance } = await build(t, settings);
  const { cookie } = await signUp(app);
  const { sessions } = (await app.inject({ url: '/sessions', headers: { cookie } })).json();
  const end = Math.floor(Date.parse(sessions[0].expires_at) / 1000);
  await advance(60 * 60_000 - 30_000);
  for (const wish of [undefined, undefined, { audience: 'api', single_use: true }]) {
    const { access_token: token, expires_in: seconds } = (await mint(app, cookie, wish)).json();
    const { iat, exp } = decodeJwt(token);
    t.equal(exp, end);
    t.ok(seconds <= end - Number(iat) && seconds > 0, `${seconds} s`);
  }
  const { headers } = await app.inject({ url: '/forward-auth', headers: { cookie } });
  t.equal(decodeJwt(String(headers.authorization).replace('Bearer ', '')).exp, end);
});

test('a token does not outlive a session that is not used again', async (t) => {
  const { app, advance } = await build(t, { SESSION_IDLE_TTL: '30m' });
  const { cookie } = await signUp(app);
  await advance(20 * 60_000);
  const body = (await mint(app, cookie)).json();
  t.ok(body.expires_in <= 600 && body.expires_in > 540, `${body.expires_in} s`);
  t.match(decodeJwt(body.access_token), { exp: Number(decodeJwt(body.access_token).iat) + body.expires_in });
});

test('many browsers are told apart', async (t) => {
  const { app } = await build(t);
  const users = [await signUp(app), await signUp(app, newCredentials())];
  const minted = await Promise.all([...users, ...users].map(({ cookie }) => mint(app, cookie)));
  const emails = minted.map((response) => decodeJwt(response.json().access_token).email);
  t.strictSame(
    emails,
    [...users, ...users].map(({ email }) => email),
  );
});

test('a session that cannot be stored as seen still gets its token', async (t) => {
  const place = await createPlace(t);
  const { app, advance, log } = await build(t, {}, place);
  const { cookie } = await signUp(app);
  await advance(dayMs);
  t.equal((await mint(app, cookie)).statusCode, 200);
  await runSql(place.DATABASE_URL, 'alter table sessions rename column last_seen_at to gone');
  await app.close();
  t.match(log(), /could not note when sessions were last seen/);
});
