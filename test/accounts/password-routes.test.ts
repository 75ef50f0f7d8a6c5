import { type Test, test } from 'tap';
import {
  appOrigin,
  build,
  codeOf,
  cookieHeader,
  createPlace,
  newCredentials,
  runSql,
  signUp,
  type TestApp,
} from '../helper.ts';
import { plantCode } from '../support/codes.ts';

/** So that mails can be sent; none of these tests waits for one. */
const settings = { SMTP_URL: 'smtp://127.0.0.1:9', MAIL_FROM: 'auth@example.com' };

type App = TestApp['app'];

const post = (app: App, url: string, payload: object, headers: Record<string, string> = {}) =>
  app.inject({ method: 'POST', url, payload, headers });

async function setUp(t: Test, changes: Record<string, string> = {}) {
  const place = await createPlace(t);
  const { app, log } = await build(t, { ...settings, ...changes }, place);
  const owner = await signUp(app);
  const plant = (purpose: string) =>
    plantCode(place.DATABASE_URL, { userId: owner.user.id, purpose, email: owner.email });
  const isAlive = async (cookie: string) => (await post(app, '/token', {}, { cookie })).statusCode === 200;
  return { place, app, log, owner, plant, isAlive };
}

/** The header for the session's cookie of an answer. */
function sessionOf({ cookies }: Awaited<ReturnType<typeof post>>): string {
  const cookie = cookies.find(({ name }) => name === '__Host-g_token');
  if (cookie === undefined) throw new Error('no session was started');
  return cookieHeader(cookie.value);
}

test('a forgotten password is answered with the same bytes, whoever asks for whom', async (t) => {
  const { app, place, owner } = await setUp(t);
  const banned = await signUp(app);
  await runSql(place.DATABASE_URL, `update users set status = 'banned' where id = '${banned.user.id}'`);
  const answers = [];
  for (const email of [owner.email, banned.email, newCredentials().email])
    answers.push(await post(app, '/password/forgot', { email }));
  for (const answer of answers) {
    t.equal(answer.statusCode, 202);
    t.equal(answer.body, '{"status":"mail_sent_if_known"}');
    t.strictSame(Object.keys(answer.headers), Object.keys(answers[0]?.headers ?? {}));
    t.strictSame(answer.cookies, []);
  }
});

test('a server that sends no mails says so, and an address that is none is refused', async (t) => {
  const { app } = await build(t);
  const answer = await post(app, '/password/forgot', newCredentials());
  t.equal(codeOf(answer), 'validation_failed', 'a field too many');
  const silent = await post(app, '/password/forgot', { email: newCredentials().email });
  t.equal(codeOf(silent), 'not_found');
  t.match(silent.json().detail, /sends no mails/);
  const speaking = await setUp(t);
  t.equal(codeOf(await post(speaking.app, '/password/forgot', { email: 'nobody' })), 'validation_failed');
});

test('a code sets a new password, once, and answers the user with a fresh cookie', async (t) => {
  const { app, owner, plant, isAlive } = await setUp(t);
  const code = await plant('reset_password');
  const { password } = newCredentials();
  const answer = await post(app, '/password/reset', { code, password });
  t.equal(answer.statusCode, 200);
  t.match(answer.json(), { user: { id: owner.user.id, email_verified: true } });
  t.notOk(await isAlive(owner.cookie));
  t.ok(await isAlive(sessionOf(answer)));
  t.equal((await post(app, '/login', { email: owner.email, password })).statusCode, 200);
  t.equal((await post(app, '/login', owner)).statusCode, 400, 'a body with more than that is refused');
  const again = await post(app, '/password/reset', { code, password });
  t.equal(again.statusCode, 400);
  t.equal(codeOf(again), 'invalid_code');
});

test('the token of the next route change says that the address is verified', async (t) => {
  const { app, plant } = await setUp(t);
  const answer = await post(app, '/password/reset', {
    code: await plant('reset_password'),
    password: newCredentials().password,
  });
  const token = await post(app, '/token', {}, { cookie: sessionOf(answer) });
  const [, claims = ''] = token.json().access_token.split('.');
  t.match(JSON.parse(Buffer.from(claims, 'base64url').toString()), { email_verified: true, amr: ['pwd'] });
});

test('every wrong code is refused with the same bytes', async (t) => {
  const { app, owner, plant } = await setUp(t);
  const { password } = newCredentials();
  const bodies = [
    { code: 'x', password },
    { code: await plant('change_email'), password },
    { code: 'AAAA-AAAA', email: owner.email, password },
    { code: 'AAAA-AAAA', email: newCredentials().email, password },
  ];
  const answers = [];
  for (const body of bodies) answers.push(await post(app, '/password/reset', body));
  for (const answer of answers) {
    t.equal(codeOf(answer), 'invalid_code');
    t.equal(answer.body, answers[0]?.body);
  }
});

test('a new password that is not good is refused by its field, and the code stays good', async (t) => {
  const { app, plant } = await setUp(t);
  const code = await plant('reset_password');
  const refused = await post(app, '/password/reset', { code, password: 'password1' });
  t.match(refused.json(), { code: 'validation_failed', errors: [{ path: '/password' }] });
  const { password } = newCredentials();
  t.equal((await post(app, '/password/reset', { code, password })).statusCode, 200);
});

test('a changed password ends the other sessions and replaces the own one', async (t) => {
  const { app, owner, isAlive } = await setUp(t);
  const { email, password } = owner;
  const elsewhere = sessionOf(await post(app, '/login', { email, password }));
  const wish = { current_password: password, new_password: newCredentials().password };
  const answer = await post(app, '/password/change', wish, { cookie: owner.cookie });
  t.equal(answer.statusCode, 200);
  t.match(answer.json(), { user: owner.user });
  for (const cookie of [owner.cookie, elsewhere]) t.notOk(await isAlive(cookie));
  t.ok(await isAlive(sessionOf(answer)));
  t.equal((await post(app, '/login', { email, password: wish.new_password })).statusCode, 200);
  t.equal(codeOf(await post(app, '/login', { email, password })), 'invalid_credentials');
});

test('a change without a session, or with a wrong password, is refused', async (t) => {
  const { app, owner } = await setUp(t);
  const { password: new_password } = newCredentials();
  t.equal(codeOf(await post(app, '/password/change', { new_password })), 'not_signed_in');
  const wrong = { new_password, current_password: newCredentials().password };
  const { cookie } = owner;
  const refused = await post(app, '/password/change', wrong, { cookie });
  t.equal(refused.statusCode, 401);
  t.equal(codeOf(refused), 'invalid_credentials');
  const weak = await post(app, '/password/change', { new_password: 'password1' }, { cookie });
  t.match(weak.json(), { errors: [{ path: '/new_password' }] });
});

test('a session that signed in a while ago needs the password', async (t) => {
  const { app, advance } = await build(t, settings);
  const { cookie, password } = await signUp(app);
  await advance(10 * 60_000);
  const { password: new_password } = newCredentials();
  const refused = await post(app, '/password/change', { new_password }, { cookie });
  t.equal(refused.statusCode, 403);
  t.equal(codeOf(refused), 'reauthentication_required');
  const wish = { new_password, current_password: password };
  t.equal((await post(app, '/password/change', wish, { cookie })).statusCode, 200);
});

test('a session is disowned with the code of a mail, which sets a new password next', async (t) => {
  const { app, owner, plant, isAlive } = await setUp(t);
  const code = await plant('not_me');
  const answer = await post(app, '/sessions/disown', { code });
  t.equal(answer.statusCode, 204);
  t.notOk(await isAlive(owner.cookie));
  t.equal(codeOf(await post(app, '/sessions/disown', { code: 'x' })), 'invalid_code');
  const { password } = newCredentials();
  t.equal((await post(app, '/password/reset', { code, password })).statusCode, 200);
  t.equal(codeOf(await post(app, '/sessions/disown', { code })), 'invalid_code');
});

test('a page of a foreign origin can do none of this, and one of the app can', async (t) => {
  const { app, owner, plant } = await setUp(t);
  const { password } = newCredentials();
  const bodies: [string, object][] = [
    ['/password/forgot', { email: owner.email }],
    ['/password/change', { new_password: password }],
    ['/password/reset', { code: await plant('reset_password'), password }],
    ['/sessions/disown', { code: await plant('not_me') }],
  ];
  for (const [url, body] of bodies) {
    const from = { origin: 'https://evil.example', cookie: owner.cookie };
    t.equal(codeOf(await post(app, url, body, from)), 'origin_not_allowed');
  }
  for (const [url, body] of bodies.toReversed()) {
    const { statusCode } = await post(app, url, body, { origin: appOrigin, cookie: owner.cookie });
    t.ok([200, 202, 204, 401].includes(statusCode), `${url}: ${statusCode}`);
  }
});

test('all of these count for the limit of a network', async (t) => {
  const { app } = await build(t, { ...settings, CREDENTIAL_RATE_LIMIT: '3' });
  const { password } = newCredentials();
  await post(app, '/password/forgot', { email: newCredentials().email });
  await post(app, '/password/reset', { code: 'x', password });
  await post(app, '/sessions/disown', { code: 'x' });
  const refused = await post(app, '/password/reset', { code: 'x', password });
  t.equal(refused.statusCode, 429);
  t.match(refused.headers, { 'retry-after': /^\d+$/ });
});

test('typed codes are guessed ten times, whether or not there is such an account', async (t) => {
  const { app, owner } = await setUp(t);
  for (const email of [owner.email, newCredentials().email]) {
    const guess = { email, code: 'AAAA-AAAA', password: newCredentials().password };
    const answers = await Promise.all(Array.from({ length: 15 }, () => post(app, '/password/reset', guess)));
    const statuses = answers.map(({ statusCode }) => statusCode);
    t.equal(statuses.filter((status) => status === 400).length, 10);
    t.equal(statuses.filter((status) => status === 429).length, 5);
  }
});

test('neither a code nor a password is logged', async (t) => {
  const { app, log, plant } = await setUp(t);
  const code = await plant('reset_password');
  const { password } = newCredentials();
  await post(app, '/password/reset', { code: `${code}x`, password });
  await post(app, '/password/reset', { code, password });
  t.match(log(), /password\/reset/);
  for (const secret of [code, password]) t.notOk(log().includes(secret));
});
