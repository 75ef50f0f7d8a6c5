import { randomBytes } from 'node:crypto';
import { type Test, test } from 'tap';
import { appOrigin, build, codeOf, cookieHeader, newCredentials, signUp, type TestApp } from '../helper.ts';
import { catchMails } from '../support/mail-catcher.ts';

const MINUTE_MS = 60_000;

type Headers = Record<string, string>;

async function setUp(t: Test, settings: Headers = {}) {
  const catcher = await catchMails(t);
  const server = await build(t, { SMTP_URL: catcher.smtpUrl, NEW_DEVICE_MAIL: 'false', ...settings });
  const post = (url: string, payload: object, headers: Headers = {}) =>
    server.app.inject({ method: 'POST', url, payload, headers });
  const claimsOf = async (cookie: string) => claimsIn((await post('/token', {}, { cookie })).json());
  return { ...server, catcher, post, claimsOf };
}

function claimsIn({ access_token }: { access_token: string }) {
  return JSON.parse(Buffer.from(String(access_token.split('.')[1]), 'base64url').toString());
}

const isAlive = async (app: TestApp['app'], token: string) =>
  (await app.inject({ method: 'POST', url: '/token', headers: { cookie: cookieHeader(token) } }))
    .statusCode === 200;

test('the whole story: ask, confirm with the link, and undo with the link to the former address', async (t) => {
  const { app, post, catcher, claimsOf } = await setUp(t);
  const ada = await signUp(app);
  const phone = (await post('/login', { email: ada.email, password: ada.password })).cookies[0]?.value ?? '';
  const { email } = newCredentials();
  const { cookie } = ada;
  t.match(await claimsOf(cookie), { email: ada.email, email_verified: false });

  const asked = await post(
    '/email/change',
    { email: email.toUpperCase() },
    { cookie, 'accept-language': 'de-AT,de;q=0.9' },
  );
  t.equal(asked.statusCode, 202);
  t.strictSame(asked.json(), { status: 'mail_sent_if_free' });
  const mail = await catcher.next(email);
  t.match(mail.link, /\/ui\/email-change#code=/);
  t.match(mail.text, /Adresse/, 'in the language of the browser');

  const confirmed = await post('/email/change/confirm', { code: mail.linkCode }, { cookie });
  t.equal(confirmed.statusCode, 200);
  t.match(confirmed.json(), { user: { id: ada.user.id, email: email.toUpperCase(), email_verified: true } });
  t.match(await claimsOf(cookie), { email, email_verified: true }, 'from the next route change on');
  t.notOk(await isAlive(app, phone));

  const notice = await catcher.next(ada.email);
  t.match(notice.link, /\/ui\/email-undo#code=/);
  const undone = await post('/email/change/undo', { code: notice.linkCode });
  t.equal(undone.statusCode, 200);
  t.strictSame(undone.json(), { status: 'undone' });
  t.notOk(await isAlive(app, ada.token));
  t.match((await catcher.next(ada.email)).link, /\/ui\/reset#code=/);
  const login = await post('/login', { email: ada.email, password: ada.password });
  t.equal(codeOf(login), 'invalid_credentials', 'whoever changed it may know the password');
});

test('the codes may be typed', async (t) => {
  const { app, post, catcher } = await setUp(t);
  const ada = await signUp(app);
  const { email } = newCredentials();
  await post('/email/change', { email }, { cookie: ada.cookie });
  const { code } = await catcher.next(email);
  t.equal((await post('/email/change/confirm', { code }, { cookie: ada.cookie })).statusCode, 200);
  const notice = await catcher.next(ada.email);
  const undo = { code: notice.code, email: ada.email.toUpperCase() };
  t.equal((await post('/email/change/undo', undo)).statusCode, 200);
});

test('a taken address is answered with the same bytes as a free one', async (t) => {
  const { app, post, catcher } = await setUp(t);
  const [ada, bob] = [await signUp(app), await signUp(app)];
  const { email } = newCredentials();
  const taken = await post('/email/change', { email: bob.email }, { cookie: ada.cookie });
  const free = await post('/email/change', { email }, { cookie: ada.cookie });
  await catcher.next(email);
  t.equal(taken.statusCode, 202);
  t.equal(taken.body, free.body);
  t.strictSame(Object.keys(taken.headers), Object.keys(free.headers));
  t.strictSame(
    catcher.all.map(({ to }) => to),
    [[email]],
    'and nobody else gets a mail',
  );
});

test('refuses what is not allowed', async (t) => {
  const { app, post, advance } = await setUp(t);
  const { cookie, password } = await signUp(app);
  const { email } = newCredentials();
  const code = randomBytes(32).toString('base64url');
  const refused: [string, object, Headers, string][] = [
    ['/email/change', { email }, {}, 'not_signed_in'],
    ['/email/change', { email: 'nobody' }, { cookie }, 'validation_failed'],
    ['/email/change', { email, password: `${password}x` }, { cookie }, 'invalid_credentials'],
    ['/email/change', { email }, { cookie, origin: 'https://evil.example' }, 'origin_not_allowed'],
    ['/email/change/confirm', { code }, {}, 'not_signed_in'],
    ['/email/change/confirm', { code }, { cookie }, 'invalid_code'],
    ['/email/change/confirm', { code: 'AAAA-AAAA' }, { cookie }, 'invalid_code'],
    ['/email/change/undo', { code }, {}, 'invalid_code'],
    ['/email/change/undo', { code: 'AAAA-AAAA', email }, {}, 'invalid_code'],
    ['/email/change/undo', { code: 'AAAA-AAAA', email: 'nobody' }, {}, 'validation_failed'],
    ['/email/change/undo', { code, more: 1 }, {}, 'validation_failed'],
  ];
  for (const [url, payload, headers, problem] of refused)
    t.equal(codeOf(await post(url, payload, { origin: appOrigin, ...headers })), problem, url);
  await advance(11 * MINUTE_MS);
  t.equal(codeOf(await post('/email/change', { email }, { cookie })), 'reauthentication_required');
  t.equal((await post('/email/change', { email, password }, { cookie })).statusCode, 202);
});

test('without mails, says that there are none', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const payload = { email: newCredentials().email };
  const response = await app.inject({ method: 'POST', url: '/email/change', payload, headers: { cookie } });
  t.equal(codeOf(response), 'not_found');
  t.equal(response.json().detail, 'This server sends no mails.');
});

test('no code, and no address of a mail, is in the log', async (t) => {
  const { app, post, catcher, log } = await setUp(t);
  const ada = await signUp(app);
  const { email } = newCredentials();
  await post('/email/change', { email }, { cookie: ada.cookie });
  const mail = await catcher.next(email);
  await post('/email/change/confirm', { code: mail.linkCode }, { cookie: ada.cookie });
  const notice = await catcher.next(ada.email);
  await post('/email/change/undo', { code: notice.code, email: ada.email });
  for (const secret of [mail.linkCode, mail.code, notice.linkCode, notice.code, email, ada.email])
    t.notMatch(log(), String(secret));
});
