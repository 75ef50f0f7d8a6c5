import type { LightMyRequestResponse } from 'fastify';
import { test } from 'tap';
import { build, codeOf, cookieHeader, createPlace, newCredentials, signUp } from '../helper.ts';
import {
  addressesOfAllKinds,
  type Browser,
  browse,
  bytesOf,
  enrol,
  openVerifying,
  post,
  settled,
} from '../support/verifying.ts';

const HOUR_MS = 3_600_000;

/** The cookies of a browser that is signed in. */
const SIGNED_IN = ['__Host-g_device', '__Host-g_token'];

const emailVerifiedOf = async (browser: Browser) => {
  const response = await browser.post('/token', {});
  const [, claims = ''] = String(response.json().access_token).split('.');
  return JSON.parse(Buffer.from(claims, 'base64url').toString()).email_verified;
};

test('the browser that signed up verifies the address with the link alone, and is signed in by that', async (t) => {
  const { app, mails } = await openVerifying(t);
  const credentials = newCredentials();
  const browser = browse(app);
  const answer = await browser.post('/signup', credentials);
  t.equal(answer.statusCode, 202);
  t.strictSame(answer.json(), { status: 'verification_sent' });
  t.match(answer.cookies, [
    {
      name: '__Host-g_signup',
      value: /^[\w-]{43}$/,
      httpOnly: true,
      secure: true,
      sameSite: 'Lax',
      path: '/',
      maxAge: 86_400,
    },
  ]);
  const { linkCode } = await mails.next(credentials.email);
  const verified = await browser.post('/email/verify', { code: linkCode });
  t.equal(verified.statusCode, 200);
  t.match(verified.json().user, { email: credentials.email, email_verified: true });
  t.strictSame([...browser.jar.keys()].sort(), SIGNED_IN, 'a session, and no cookie of the sign-up');
  t.equal((await browser.get('/me')).json().user.email_verified, true);
  t.equal(await emailVerifiedOf(browser), true);
  t.equal((await post(app, '/login', credentials)).statusCode, 200);
  t.equal(codeOf(await browser.post('/email/verify', { code: linkCode })), 'invalid_code', 'only once');
});

test('the typed code does the same', async (t) => {
  const { app, mails } = await openVerifying(t);
  const credentials = newCredentials();
  const browser = browse(app);
  await browser.post('/signup', credentials);
  const { code } = await mails.next(credentials.email);
  const typed = ` ${code?.toLowerCase().replace('-', ' ')} `;
  t.equal(
    codeOf(await browser.post('/email/verify', { code: typed })),
    'invalid_code',
    'not without address',
  );
  const wrong = await browser.post('/email/verify', { email: 'not an address', code: typed });
  t.equal(codeOf(wrong), 'validation_failed');
  const email = credentials.email.toUpperCase();
  t.equal((await browser.post('/email/verify', { email, code: typed })).statusCode, 200);
});

test('another browser needs the password, and the code stays good until it comes', async (t) => {
  const { app, mails } = await openVerifying(t);
  const credentials = newCredentials();
  await browse(app).post('/signup', credentials);
  const { linkCode, code } = await mails.next(credentials.email);
  const other = browse(app);
  const asked = await other.post('/email/verify', { code: linkCode });
  t.equal(asked.statusCode, 403);
  t.equal(codeOf(asked), 'password_required');
  const refused = await other.post('/email/verify', { code: linkCode, password: `${credentials.password}x` });
  t.equal(codeOf(refused), 'password_required');
  t.not(refused.json().detail, asked.json().detail);
  for (let tries = 1; tries <= 6; tries += 1) {
    const typed = await other.post('/email/verify', { email: credentials.email, code });
    t.equal(codeOf(typed), 'password_required', 'a right typed code is not used up either');
  }
  t.equal(other.jar.size, 0);
  const verified = await other.post('/email/verify', { code: linkCode, password: credentials.password });
  t.equal(verified.statusCode, 200);
  t.equal((await other.get('/me')).statusCode, 200);
});

test('guesses of the password are counted here as well', async (t) => {
  const { app, mails } = await openVerifying(t);
  const credentials = newCredentials();
  await browse(app).post('/signup', credentials);
  const { linkCode: code } = await mails.next(credentials.email);
  for (let guess = 1; guess <= 10; guess += 1) {
    t.equal(codeOf(await post(app, '/email/verify', { code, password: 'a wrong one' })), 'password_required');
  }
  const limited = await post(app, '/email/verify', { code, password: credentials.password });
  t.equal(codeOf(limited), 'rate_limited');
  t.ok(Number(limited.headers['retry-after']) > 0);
});

test('a program that follows the link changes nothing', async (t) => {
  const { app, mails } = await openVerifying(t);
  const credentials = newCredentials();
  const browser = browse(app);
  await browser.post('/signup', credentials);
  const { link, linkCode } = await mails.next(credentials.email);
  const { pathname, search, hash } = new URL(String(link));
  t.equal(search, '', 'nothing of the code reaches the server');
  t.equal(hash, `#code=${linkCode}`);
  for (const method of ['GET', 'HEAD', 'OPTIONS'] as const) {
    for (const url of [pathname, '/email/verify', `/email/verify?code=${linkCode}`]) {
      const response = await app.inject({ method, url });
      t.strictSame(response.cookies, []);
    }
  }
  t.equal((await app.inject('/email/verify')).statusCode, 404);
  t.equal(
    codeOf(await post(app, '/email/verify', { code: linkCode })),
    'password_required',
    'nor by a script',
  );
  t.equal((await browser.post('/email/verify', { code: linkCode })).statusCode, 200);
});

test('a sign-up is answered with the same bytes for a new, a known, an unverified and a banned address', async (t) => {
  const world = await openVerifying(t);
  const kinds = await addressesOfAllKinds(world);
  const answers = [];
  for (const { email } of Object.values(kinds))
    answers.push(await post(world.app, '/signup', { ...newCredentials(), email }));
  for (const answer of answers) {
    t.equal(answer.statusCode, 202);
    t.equal(bytesOf(answer), bytesOf(answers[0] as LightMyRequestResponse));
  }
  const secrets = new Set(answers.map(({ cookies }) => cookies[0]?.value));
  t.equal(secrets.size, answers.length);
});

test('so is the wish for another mail', async (t) => {
  const world = await openVerifying(t);
  const kinds = await addressesOfAllKinds(world);
  const answers = [];
  for (const { email } of Object.values(kinds))
    answers.push(await post(world.app, '/email/verify/send', { email }));
  for (const answer of answers) {
    t.equal(answer.statusCode, 202);
    t.equal(bytesOf(answer), bytesOf(answers[0] as LightMyRequestResponse));
  }
  t.match(await world.mails.next(kinds.unverified.email), { linkCode: /^[\w-]{43}$/ });
  await settled(world);
  t.strictSame(
    world.mails.all.filter(({ to }) => to.includes(kinds.banned.email)).length,
    1,
    'only the one from before the ban',
  );
});

test('sign-in to an address that is not verified looks like a wrong password, and sends another mail', async (t) => {
  const world = await openVerifying(t);
  const { unverified } = await addressesOfAllKinds(world);
  const right = await post(world.app, '/login', unverified);
  const wrong = await post(world.app, '/login', { ...unverified, password: 'not the password' });
  t.equal(codeOf(right), 'invalid_credentials');
  t.equal(bytesOf(right), bytesOf(wrong));
  const { linkCode } = await world.mails.next(unverified.email);
  const verified = await post(world.app, '/email/verify', { code: linkCode, password: unverified.password });
  t.equal(verified.statusCode, 200);
  t.equal((await post(world.app, '/login', unverified)).statusCode, 200);
});

test('the owner of a known address is told, with a code that sets a new password', async (t) => {
  const world = await openVerifying(t);
  const { email, browser, password } = await enrol(world);
  await post(world.app, '/signup', { ...newCredentials(), email });
  const mail = await world.mails.next(email);
  t.match(mail.link, /\/reset#code=/);
  t.equal((await browser.get('/me')).statusCode, 200, 'their session goes on');
  t.equal((await post(world.app, '/login', { email, password })).statusCode, 200, 'and their password');
});

test('a sign-up that breaks a rule is told so, and gets no cookie', async (t) => {
  const { app } = await openVerifying(t);
  const { email, password } = newCredentials();
  for (const payload of [
    { email: 'nobody', password },
    { email, password: 'short' },
  ]) {
    const response = await post(app, '/signup', payload);
    t.equal(codeOf(response), 'validation_failed');
    t.strictSame(response.cookies, []);
  }
});

test('MAILS_PER_ADDRESS bounds what strangers can have sent in an hour', async (t) => {
  const world = await openVerifying(t, { MAILS_PER_ADDRESS: '2' });
  const { app, mails, advance } = world;
  const { email } = newCredentials();
  const sign = () => post(app, '/signup', { ...newCredentials(), email });
  for (let asked = 1; asked <= 4; asked += 1) t.equal((await sign()).statusCode, 202);
  for (let asked = 1; asked <= 4; asked += 1) await post(app, '/email/verify/send', { email });
  await settled(world);
  t.equal(mails.all.length, 2);
  await advance(HOUR_MS);
  await sign();
  await settled(world);
  t.equal(mails.all.length, 3);
});

test('a sign-up that comes while no mail may be sent makes the account, for a mail that is asked for later', async (t) => {
  const world = await openVerifying(t, { MAILS_PER_ADDRESS: '1' });
  const { app, mails, advance } = world;
  const credentials = newCredentials();
  await post(app, '/email/verify/send', { email: credentials.email });
  await settled(world);
  await browse(app).post('/signup', credentials);
  await settled(world);
  await advance(HOUR_MS);
  await post(app, '/email/verify/send', { email: credentials.email });
  const { linkCode } = await mails.next(credentials.email);
  const verified = await post(app, '/email/verify', { code: linkCode, password: credentials.password });
  t.equal(verified.statusCode, 200);
});

test('optional: a sign-up signs in, and the mail is verified in that session without a password', async (t) => {
  const { app, mails } = await openVerifying(t, { EMAIL_VERIFICATION: 'optional' });
  const credentials = newCredentials();
  const browser = browse(app);
  const answer = await browser.post('/signup', credentials);
  t.equal(answer.statusCode, 201);
  t.strictSame([...browser.jar.keys()].sort(), SIGNED_IN);
  t.equal(await emailVerifiedOf(browser), false);
  const { linkCode } = await mails.next(credentials.email);
  t.equal(codeOf(await post(app, '/email/verify', { code: linkCode })), 'password_required');
  const verified = await browser.post('/email/verify', { code: linkCode });
  t.equal(verified.statusCode, 200);
  t.strictSame(
    verified.cookies.map(({ name }) => name),
    ['__Host-g_device', '__Host-g_signup'],
    'no other session',
  );
  t.equal(await emailVerifiedOf(browser), true, 'told to the next token at once');
  t.equal((await post(app, '/signup', credentials)).statusCode, 409);
});

test('whoever is signed in has another mail sent to the own address, until it is verified', async (t) => {
  const { app, mails } = await openVerifying(t, { EMAIL_VERIFICATION: 'optional', MAILS_PER_ADDRESS: '2' });
  const credentials = newCredentials();
  const browser = browse(app);
  await browser.post('/signup', credentials);
  await mails.next(credentials.email);
  const sent = await browser.post('/email/verify/send', {});
  t.equal(sent.statusCode, 202);
  t.strictSame(sent.json(), { status: 'verification_sent' });
  const { linkCode } = await mails.next(credentials.email);
  t.equal((await browser.post('/email/verify', { code: linkCode })).statusCode, 200);
  t.equal((await browser.post('/email/verify/send', {})).statusCode, 202);
  t.equal(codeOf(await browser.post('/email/verify/send', {})), 'rate_limited');
  t.equal(mails.all.length, 2);
  t.equal(codeOf(await post(app, '/email/verify/send', {})), 'not_signed_in');
  t.equal(codeOf(await post(app, '/email/verify/send', {}, { cookie: cookieHeader('x') })), 'not_signed_in');
});

test('the session of another user in the browser ends when it verifies with the password', async (t) => {
  const world = await openVerifying(t);
  const { browser, email } = await enrol(world);
  const second = newCredentials();
  await post(world.app, '/signup', second);
  const { linkCode } = await world.mails.next(second.email);
  t.equal(codeOf(await browser.post('/email/verify', { code: linkCode })), 'password_required');
  t.equal((await browser.get('/me')).json().user.email, email);
  const verified = await browser.post('/email/verify', { code: linkCode, password: second.password });
  t.equal(verified.statusCode, 200, verified.body);
  t.equal((await browser.get('/me')).json().user.email, second.email);
});

test('accounts from before EMAIL_VERIFICATION=required keep their sessions, and verify before a new one', async (t) => {
  const place = await createPlace(t);
  const before = await build(t, {}, place);
  const old = await signUp(before.app);
  const { app, mails } = await openVerifying(t, {}, place);
  t.equal((await app.inject({ url: '/me', headers: { cookie: old.cookie } })).statusCode, 200);
  const credentials = { email: old.email, password: old.password };
  t.equal(codeOf(await post(app, '/login', credentials)), 'invalid_credentials');
  const { linkCode } = await mails.next(old.email);
  t.equal((await post(app, '/email/verify', { code: linkCode }, { cookie: old.cookie })).statusCode, 200);
  t.equal((await post(app, '/login', credentials)).statusCode, 200);
});

test('without mails there is nothing to verify by', async (t) => {
  const { app } = await build(t);
  const { cookie, email } = await signUp(app);
  for (const response of [
    await post(app, '/email/verify', { code: 'x' }),
    await post(app, '/email/verify/send', { email }),
    await post(app, '/email/verify/send', {}, { cookie }),
  ]) {
    t.equal(codeOf(response), 'not_found');
    t.match(response.json().detail, /sends no mails/);
  }
});

const DOMAIN_COOKIES = {
  PUBLIC_URL: 'https://auth.example.com',
  COOKIE_MODE: 'secure',
  COOKIE_DOMAIN: 'example.com',
  COOKIE_SAME_SITE: 'none',
};

test('the cookie of the sign-up follows COOKIE_MODE', async (t) => {
  for (const [settings, name, secure, sameSite] of [
    [DOMAIN_COOKIES, '__Secure-g_signup', true, 'None'],
    [{ COOKIE_MODE: 'insecure' }, 'g_signup', undefined, 'Lax'],
  ] as const) {
    const { app, mails } = await openVerifying(t, settings);
    const credentials = newCredentials();
    const browser = browse(app);
    const [cookie] = (await browser.post('/signup', credentials)).cookies;
    t.match(cookie, { name, secure, sameSite });
    const { linkCode } = await mails.next(credentials.email);
    t.equal((await browser.post('/email/verify', { code: linkCode })).statusCode, 200);
  }
});
