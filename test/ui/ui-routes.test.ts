import { randomBytes } from 'node:crypto';
import type { LightMyRequestResponse } from 'fastify';
import { type Test, test } from 'tap';
import { AppError, validationFailed } from '../../src/core/errors.ts';
import { newCredentials } from '../helper.ts';
import { type FakeServer, openFakeServer } from './fake-server.ts';

const POLICY =
  `default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; ` +
  `form-action 'self'; frame-ancestors 'none'; base-uri 'none'`;
/** The pages that mails link to. */
const MAIL_PAGES = ['verify', 'reset', 'email-change', 'email-undo', 'not-me', 'deletion-undo'];
const PAGES = ['sign-in', 'sign-up', 'forgot', ...MAIL_PAGES];

const linkCode = () => randomBytes(32).toString('base64url');

function post(
  { app }: FakeServer,
  page: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<LightMyRequestResponse> {
  return app.inject({
    method: 'POST',
    url: `/ui/${page}`,
    payload: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  });
}

/** The names of the fields that a page shows, in their order. */
const shownFields = (html: string) => [...html.matchAll(/<input id="(\w+)"/g)].map(([, name]) => name);
const hiddenFields = (html: string) =>
  [...html.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)].map(([, name, value]) => [
    name,
    value,
  ]);
const headingOf = (html: string) => /<h1>(.*)<\/h1>/.exec(html)?.[1];
const errorOf = (html: string, field: string) =>
  new RegExp(`<p class="error" id="${field}-error">(.*)</p>`).exec(html)?.[1];

function isStrict(t: Test, response: LightMyRequestResponse, name: string): void {
  t.equal(response.headers['content-security-policy'], POLICY, name);
  t.equal(response.headers['referrer-policy'], 'no-referrer', name);
  t.equal(response.headers['cache-control'], 'no-store', name);
  t.equal(response.headers['x-frame-options'], 'DENY', name);
  t.equal(response.headers['x-robots-tag'], 'noindex', name);
  t.notMatch(response.body, /<script>|<style|\sstyle=|\son\w+=/i, `${name}: nothing is inline`);
}

test('every page has a form, a strict policy, and changes nothing when it is opened', async (t) => {
  const server = await openFakeServer(t);
  for (const page of PAGES) {
    for (const method of ['GET', 'HEAD'] as const) {
      const response = await server.app.inject({ method, url: `/ui/${page}?code=${linkCode()}` });
      t.equal(response.statusCode, 200, page);
      t.equal(response.headers['content-type'], 'text/html; charset=utf-8');
      isStrict(t, response, page);
      if (method === 'GET') t.match(response.body, `<form method="post" action="/ui/${page}"`, page);
    }
  }
  t.strictSame(server.calls, []);
});

test('a code is entered together with the address that it was sent to, but for a signed-in user', async (t) => {
  const { app } = await openFakeServer(t);
  for (const page of MAIL_PAGES) {
    const { body } = await app.inject(`/ui/${page}`);
    const expected = page === 'email-change' ? ['code'] : ['email', 'code'];
    t.strictSame(shownFields(body), page === 'reset' ? [...expected, 'password'] : expected, page);
  }
});

/** Page, action, and what the action gets beside the code. */
const codeActions: [page: string, action: string, password: boolean][] = [
  ['reset', 'resetPassword', true],
  ['verify', 'verifyEmail', false],
  ['email-change', 'confirmEmailChange', false],
  ['email-undo', 'undoEmailChange', false],
  ['deletion-undo', 'undoDeletion', false],
];

test('the code of a link is used when its form is sent, and the browser goes on to what was done', async (t) => {
  const server = await openFakeServer(t);
  for (const [page, action, asksPassword] of codeActions) {
    const code = linkCode();
    const { password } = newCredentials();
    const response = await post(server, page, { code, ...(asksPassword && { password }) });
    t.equal(response.statusCode, 303, page);
    t.equal(response.headers.location, `/ui/${page}/done`);
    const [name, presented, more] = server.calls.at(-1) ?? [];
    t.strictSame([name, presented], [action, { code }]);
    if (asksPassword) t.equal(more, password);
    const done = await server.app.inject(String(response.headers.location));
    t.equal(done.statusCode, 200);
    isStrict(t, done, page);
  }
});

test('a code can be typed with its address, and a whole link can be pasted', async (t) => {
  const server = await openFakeServer(t);
  const { email } = newCredentials();
  await post(server, 'email-undo', { email, code: ' 7k3m 9qxd ' });
  t.strictSame(server.calls.at(-1), ['undoEmailChange', { email, code: '7k3m 9qxd' }]);
  const code = linkCode();
  await post(server, 'email-undo', { email, code: `https://auth.example.com/ui/email-undo#code=${code} ` });
  t.strictSame(server.calls.at(-1), ['undoEmailChange', { code }]);
  await post(server, 'email-change', { code: '7K3M-9QXD' });
  t.strictSame(server.calls.at(-1), ['confirmEmailChange', { code: '7K3M-9QXD' }]);
});

test('"This was not me" ends the session, and then asks for a password with the same code out of sight', async (t) => {
  const server = await openFakeServer(t);
  const code = linkCode();
  const response = await post(server, 'not-me', { code });
  t.equal(response.statusCode, 200);
  t.strictSame(server.calls, [['disown', { code }]]);
  t.strictSame(hiddenFields(response.body), [['code', code]]);
  t.strictSame(shownFields(response.body), ['password']);
  t.match(response.body, '<form method="post" action="/ui/reset"');
  const typed = { email: 'a&"b@example.com', code: '7K3M-9QXD' };
  const byHand = await post(server, 'not-me', typed);
  t.strictSame(hiddenFields(byHand.body), [
    ['code', typed.code],
    ['email', 'a&amp;&quot;b@example.com'],
  ]);
});

test('an address that another browser signed up with needs the password, or a new one', async (t) => {
  const server = await openFakeServer(t);
  server.state.isVerified = false;
  const code = linkCode();
  const asks = await post(server, 'verify', { code });
  t.equal(asks.statusCode, 200);
  t.strictSame(shownFields(asks.body), ['password']);
  t.match(asks.body, 'autocomplete="current-password"');
  t.strictSame(hiddenFields(asks.body), [
    ['code', code],
    ['code', code],
  ]);

  const { password } = newCredentials();
  server.fail(new AppError('invalid_credentials'));
  const wrong = await post(server, 'verify', { code, password });
  t.equal(wrong.statusCode, 401);
  t.strictSame(shownFields(wrong.body), ['password']);
  t.equal(errorOf(wrong.body, 'password'), 'The password is wrong.');
  t.notMatch(wrong.body, password);

  const right = await post(server, 'verify', { code, password });
  t.equal(right.headers.location, '/ui/verify/done');
  t.strictSame(server.calls.at(-1), ['verifyEmail', { code }, password]);

  const before = server.calls.length;
  const stranger = await post(server, 'verify/stranger', { code });
  t.equal(headingOf(stranger.body), 'Set a new password');
  t.strictSame(hiddenFields(stranger.body), [['code', code]]);
  t.equal(server.calls.length, before, 'nothing has happened yet');
});

test('signing up, in and out', async (t) => {
  const server = await openFakeServer(t);
  const credentials = newCredentials();
  for (const [page, action] of [
    ['sign-in', 'signIn'],
    ['sign-up', 'signUp'],
  ] as const) {
    const response = await post(server, page, credentials);
    t.equal(response.statusCode, 303);
    t.equal(response.headers.location, '/ui/sign-in');
    t.strictSame(server.calls.at(-1), [action, credentials]);
  }
  server.state.user = '<b>@example.com';
  const signedIn = await server.app.inject('/ui/sign-in');
  t.match(signedIn.body, 'As &lt;b&gt;@example.com.');
  t.match(signedIn.body, '<form method="post" action="/ui/sign-out">');
  const out = await server.app.inject({ method: 'POST', url: '/ui/sign-out' });
  t.equal(out.headers.location, '/ui/sign-in');
  t.strictSame(server.calls.at(-1), ['signOut']);
  server.state.signUp = 'verification_sent';
  const waiting = await post(server, 'sign-up', credentials);
  t.equal(waiting.headers.location, '/ui/sign-up/done');
  t.equal((await server.app.inject('/ui')).headers.location, '/ui/sign-in');
});

test('what is wrong stands beside its field, which has the focus; what was entered stays, but for passwords', async (t) => {
  const server = await openFakeServer(t);
  const credentials = newCredentials();
  server.fail(validationFailed([{ path: '/password', message: 'Use at least 15 characters.' }]));
  const { statusCode, body } = await post(server, 'sign-up', credentials);
  t.equal(statusCode, 400);
  t.match(body, '<title>Error: Sign up – Doorward</title>');
  t.equal(errorOf(body, 'password'), 'Use at least 15 characters.');
  t.match(
    body,
    /<input id="password"[^>]* aria-describedby="password-hint password-error" aria-invalid="true" autofocus>/,
  );
  t.match(body, new RegExp(`<input id="email"[^>]* value="${credentials.email}"`));
  t.notMatch(body, credentials.password);
  t.equal(body.match(/ autofocus/g)?.length, 1);
  t.notMatch(body, 'role="alert"');

  server.fail(validationFailed([{ path: '/email', message: 'has a space in it' }]));
  t.equal(
    errorOf((await post(server, 'forgot', { email: 'a b' })).body, 'email'),
    'E-mail address has a space in it.',
  );
  server.fail(
    validationFailed([
      { path: '/new_password', message: 'Too many people use this password. Choose another.' },
    ]),
  );
  const reset = await post(server, 'reset', { code: linkCode(), password: 'x' });
  t.equal(errorOf(reset.body, 'password'), 'Too many people use this password. Choose another.');
  t.strictSame(shownFields(reset.body), ['password'], 'the code of the link is still there, out of sight');
  server.fail(new AppError('email_taken'));
  const taken = await post(server, 'sign-up', credentials);
  t.equal(taken.statusCode, 409);
  t.match(errorOf(taken.body, 'email'), /already/);
});

test('a problem of the whole form is an alert with the focus', async (t) => {
  const server = await openFakeServer(t);
  server.fail(new AppError('invalid_credentials'));
  const { statusCode, body } = await post(server, 'sign-in', newCredentials());
  t.equal(statusCode, 401);
  t.match(
    body,
    '<p class="problem" role="alert" tabindex="-1" autofocus>The address or the password is wrong.</p>',
  );
  server.fail(new AppError('rate_limited', { retryAfterSeconds: 42 }));
  const limited = await post(server, 'sign-in', newCredentials());
  t.equal(limited.statusCode, 429);
  t.equal(limited.headers['retry-after'], '42');
  server.fail(validationFailed([{ path: '/elsewhere', message: 'is odd' }]));
  t.match((await post(server, 'sign-in', newCredentials())).body, 'role="alert"');
});

test('a code that is wrong can be corrected by hand; that of a link is dropped', async (t) => {
  const server = await openFakeServer(t);
  const { email } = newCredentials();
  for (const [page, fields, kept] of [
    ['reset', { email, code: '7K3M-9QXD', password: 'x' }, ['7K3M-9QXD']],
    ['reset', { code: linkCode(), password: 'x' }, []],
  ] as const) {
    server.fail(new AppError('invalid_code'));
    const { statusCode, body } = await post(server, page, fields);
    t.equal(statusCode, 400);
    t.strictSame(shownFields(body), ['email', 'code', 'password']);
    t.match(errorOf(body, 'code'), /wrong, used up or too old/);
    t.strictSame(
      [...body.matchAll(/<input id="code".* value="([^"]*)"/g)].map(([, value]) => value),
      kept,
    );
  }
});

test('an outage is told in words, and its cause in the log alone', async (t) => {
  const server = await openFakeServer(t);
  server.fail(new AppError('unavailable', { retryAfterSeconds: 1, cause: new Error('the cause') }));
  const form = await post(server, 'sign-in', newCredentials());
  t.equal(form.statusCode, 503);
  t.equal(form.headers['retry-after'], '1');
  t.match(server.log(), 'the cause');
  server.fail(new Error('a fault'));
  const fault = await post(server, 'sign-in', newCredentials());
  t.equal(fault.statusCode, 500);
  t.match(fault.body, 'Something went wrong on our side');
  t.match(server.log(), 'a fault');
  t.notMatch(form.body + fault.body, /the cause|a fault/);
  server.fail(new AppError('unavailable', { retryAfterSeconds: 1 }));
  const page = await server.app.inject('/ui/sign-in');
  t.equal(page.statusCode, 503);
  isStrict(t, page, 'a page that could not be made');
});

test('refuses forms of other sites, other fields and other bodies', async (t) => {
  const server = await openFakeServer(t);
  const credentials = newCredentials();
  for (const [name, status, response] of [
    ['another site', 403, await post(server, 'sign-in', credentials, { origin: 'https://evil.example' })],
    [
      'no origin, and no word on the site',
      403,
      await post(server, 'sign-in', credentials, { origin: 'null' }),
    ],
    ['an unknown field', 400, await post(server, 'sign-in', { ...credentials, more: '1' })],
    ['a missing field', 400, await post(server, 'sign-in', { email: credentials.email })],
    ['no code', 400, await post(server, 'email-undo', { email: credentials.email })],
    ['a NUL', 400, await post(server, 'sign-in', { ...credentials, password: 'a\0b' })],
    ['a field of another page', 400, await post(server, 'email-undo', { code: 'x', password: 'y' })],
    ['a field for signing out', 400, await post(server, 'sign-out', { a: 'b' })],
    ['JSON', 415, await server.app.inject({ method: 'POST', url: '/ui/sign-in', payload: credentials })],
    ['another page', 404, await server.app.inject('/ui/nowhere')],
  ] as const) {
    t.equal(response.statusCode, status, name);
    t.equal(response.headers['content-type'], 'text/html; charset=utf-8', name);
    isStrict(t, response, name);
  }
  const { body } = await server.app.inject({
    method: 'POST',
    url: '/ui/sign-in',
    payload: 'email=a&email=b&password=c',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  t.equal(headingOf(body), 'This did not work', 'a field that is there twice');
  t.strictSame(server.calls, []);
  const sameOrigin = { origin: 'null', 'sec-fetch-site': 'same-origin' };
  t.equal((await post(server, 'sign-in', credentials, sameOrigin)).statusCode, 303, 'as browsers send it');
});

test('pages speak the language of the browser', async (t) => {
  const server = await openFakeServer(t);
  for (const [header, language, heading] of [
    ['de-AT,de;q=0.9,en;q=0.8', 'de', 'Anmelden'],
    ['en', 'en', 'Sign in'],
    ['ja', 'en', 'Sign in'],
  ]) {
    const { body } = await server.app.inject({ url: '/ui/sign-in', headers: { 'accept-language': header } });
    t.match(body, `<html lang="${language}">`);
    t.equal(headingOf(body), heading);
  }
  server.fail(validationFailed([{ path: '/password', message: 'Use at least 15 characters.' }]));
  const { body } = await post(server, 'sign-up', newCredentials(), { 'accept-language': 'de' });
  t.equal(errorOf(body, 'password'), 'Nehmen Sie mindestens 15 Zeichen.');
});

test('without an action there is no page, no result and no link to it', async (t) => {
  const mails = [
    'forgot',
    'resetPassword',
    'verifyEmail',
    'undoDeletion',
    'undoEmailChange',
    'confirmEmailChange',
  ];
  const server = await openFakeServer(t, { without: [...(mails as 'forgot'[]), 'disown'] });
  for (const page of [...MAIL_PAGES, 'forgot', 'forgot/done', 'verify/stranger']) {
    t.equal((await server.app.inject(`/ui/${page}`)).statusCode, 404, page);
    t.equal((await post(server, page, { code: linkCode() })).statusCode, 404, page);
  }
  t.notMatch((await server.app.inject('/ui/sign-in')).body, '/ui/forgot');
  t.notMatch((await server.app.inject('/ui/sign-up/done')).body, '<ul>');
  const half = await openFakeServer(t, { without: ['resetPassword'] });
  half.state.isVerified = false;
  t.equal((await half.app.inject('/ui/not-me')).statusCode, 404, 'a new password must be able to follow');
  t.notMatch((await post(half, 'verify', { code: linkCode() })).body, 'stranger');
});

test('all links and files are below the path that browsers see', async (t) => {
  const server = await openFakeServer(t, {
    settings: { PUBLIC_URL: 'https://example.com/auth', PATH_PREFIX: '' },
  });
  const { body } = await server.app.inject('/ui/sign-in');
  const paths = [...body.matchAll(/(?:href|src|action)="([^"]+)"/g)].map(([, path]) => String(path));
  t.ok(paths.length > 5);
  for (const path of paths) {
    t.ok(path.startsWith('/auth/ui/'), path);
    t.equal((await server.app.inject(path.slice('/auth'.length))).statusCode, 200, path);
  }
});

test('over plain http to another machine the browser may say which page a form comes from', async (t) => {
  const { app } = await openFakeServer(t, {
    settings: { PUBLIC_URL: 'http://auth.lan', COOKIE_MODE: 'insecure' },
  });
  t.equal((await app.inject('/ui/sign-in')).headers['referrer-policy'], 'same-origin');
});

test('the files of the pages are kept by browsers until they change', async (t) => {
  const { app } = await openFakeServer(t);
  for (const [name, type] of [
    ['page.css', 'text/css; charset=utf-8'],
    ['page.js', 'text/javascript; charset=utf-8'],
    ['icon.svg', 'image/svg+xml'],
  ]) {
    const first = await app.inject(`/ui/${name}`);
    t.equal(first.statusCode, 200);
    t.equal(first.headers['content-type'], type);
    t.equal(first.headers['cache-control'], 'public, no-cache');
    const headers = { 'if-none-match': String(first.headers.etag) };
    const again = await app.inject({ url: `/ui/${name}`, headers });
    t.equal(again.statusCode, 304);
    t.equal(again.body, '');
  }
});
