import { type Test, test } from 'tap';
import { type AccountActionsParts, createAccountActions } from '../../src/ui/account-actions.ts';
import type { Exchange } from '../../src/ui/ui-actions.ts';
import { build, newCredentials, type TestApp } from '../helper.ts';
import { openVerifying } from '../support/verifying.ts';

/** A browser that sends forms, and keeps its cookies. */
function openBrowser({ app }: TestApp) {
  const jar = new Map<string, string>();
  const send = async (method: 'GET' | 'POST', page: string, fields?: Record<string, string>) => {
    const response = await app.inject({
      method,
      url: `/ui/${page}`,
      headers: {
        cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(fields && { 'content-type': 'application/x-www-form-urlencoded' }),
        ...(method === 'POST' && { origin: 'null', 'sec-fetch-site': 'same-origin' }),
      },
      ...(fields && { payload: new URLSearchParams(fields).toString() }),
    });
    for (const { name, value, maxAge } of response.cookies)
      if (maxAge === 0) jar.delete(name);
      else jar.set(name, value);
    return response;
  };
  return {
    jar,
    post: (page: string, fields?: Record<string, string>) => send('POST', page, fields),
    heading: async (page: string) => headingOf((await send('GET', page)).body),
  };
}

const headingOf = (html: string) => /<h1>(.*)<\/h1>/.exec(html)?.[1];

type Browser = ReturnType<typeof openBrowser>;

async function isSignedIn(t: Test, browser: Browser, expected: boolean): Promise<void> {
  t.equal(await browser.heading('sign-in'), expected ? 'You are signed in' : 'Sign in');
}

async function goesTo(
  t: Test,
  answer: Promise<{ statusCode: number; headers: Record<string, unknown> }>,
  page: string,
): Promise<void> {
  const { statusCode, headers } = await answer;
  t.strictSame([statusCode, headers.location], [303, `/ui/${page}`]);
}

test('signs up, out and in on a server without mails, which has no pages for them', async (t) => {
  const server = await build(t);
  const browser = openBrowser(server);
  const credentials = newCredentials();
  await isSignedIn(t, browser, false);
  await goesTo(t, browser.post('sign-up', credentials), 'sign-in');
  await isSignedIn(t, browser, true);
  t.equal((await browser.post('sign-up', credentials)).statusCode, 409);
  await goesTo(t, browser.post('sign-out'), 'sign-in');
  await isSignedIn(t, browser, false);
  await goesTo(t, browser.post('sign-out'), 'sign-in');
  const wrong = await browser.post('sign-in', { ...credentials, password: 'something else' });
  t.equal(wrong.statusCode, 401);
  await isSignedIn(t, browser, false);
  await goesTo(t, browser.post('sign-in', credentials), 'sign-in');
  await isSignedIn(t, browser, true);
  t.equal((await server.app.inject('/ui/forgot')).statusCode, 404);
  const twice = [...browser.jar].map(([name, value]) => `${name}=${value}; ${name}=${value}`).join('; ');
  const response = await server.app.inject({ url: '/ui/sign-in', headers: { cookie: twice } });
  t.equal(response.statusCode, 400);
  t.equal(headingOf(response.body), 'This did not work');
});

test('a forgotten password is replaced, and what was done with it ends', async (t) => {
  const world = await openVerifying(t, { EMAIL_VERIFICATION: 'off' });
  const [former, browser] = [openBrowser(world), openBrowser(world)];
  const { email, password } = newCredentials();
  await former.post('sign-up', { email, password });
  await goesTo(t, browser.post('forgot', { email }), 'forgot/done');
  const { linkCode, link } = await world.mails.next(email);
  const code = String(linkCode);
  t.match(link, /\/ui\/reset#code=/);
  t.equal((await browser.post('reset', { code, password: 'short' })).statusCode, 400);
  const next = newCredentials().password;
  await goesTo(t, browser.post('reset', { code, password: next }), 'reset/done');
  await isSignedIn(t, browser, true);
  await isSignedIn(t, former, false);
  t.equal((await openBrowser(world).post('reset', { code, password: next })).statusCode, 400, 'once');

  // The mail that tells the owner has a code as well, and both forms of it.
  const told = await world.mails.next(email);
  const typed = { email: email.toUpperCase(), code: String(told.code).toLowerCase() };
  const asks = await former.post('not-me', typed);
  t.equal(headingOf(asks.body), 'Set a new password');
  await isSignedIn(t, browser, false);
  await goesTo(t, former.post('reset', { ...typed, password: newCredentials().password }), 'reset/done');
  await isSignedIn(t, former, true);
});

test('an address is verified in the browser that signed up, elsewhere with the password', async (t) => {
  const world = await openVerifying(t);
  for (const isSame of [true, false]) {
    const [first, other] = [openBrowser(world), openBrowser(world)];
    const browser = isSame ? first : other;
    const { email, password } = newCredentials();
    await goesTo(t, first.post('sign-up', { email, password }), 'sign-up/done');
    await isSignedIn(t, first, false);
    const code = String((await world.mails.next(email)).linkCode);
    if (!isSame) {
      t.match((await browser.post('verify', { code })).body, 'id="password"');
      t.equal((await browser.post('verify', { code, password: 'not that one' })).statusCode, 401);
      await goesTo(t, browser.post('verify', { code, password }), 'verify/done');
    } else await goesTo(t, browser.post('verify', { code }), 'verify/done');
    await isSignedIn(t, browser, true);
    t.equal((await browser.post('verify', { code })).statusCode, 400, 'once');
  }
});

test('whoever squatted an address keeps nothing', async (t) => {
  const world = await openVerifying(t, { EMAIL_VERIFICATION: 'optional' });
  const [squatter, owner] = [openBrowser(world), openBrowser(world)];
  const { email, password } = newCredentials();
  await squatter.post('sign-up', { email, password });
  await isSignedIn(t, squatter, true);
  const code = String((await world.mails.next(email)).linkCode);
  t.equal(headingOf((await owner.post('verify', { code })).body), 'Confirm your address');
  t.equal(headingOf((await owner.post('verify/stranger', { code })).body), 'Set a new password');
  await goesTo(t, owner.post('reset', { code, password: newCredentials().password }), 'reset/done');
  await isSignedIn(t, owner, true);
  await isSignedIn(t, squatter, false);
  t.equal((await squatter.post('sign-in', { email, password })).statusCode, 401);
});

test('signed in, a code is enough', async (t) => {
  const world = await openVerifying(t, { EMAIL_VERIFICATION: 'optional' });
  const browser = openBrowser(world);
  const { email, password } = newCredentials();
  await browser.post('sign-up', { email, password });
  const code = String((await world.mails.next(email)).linkCode);
  const before = browser.jar.get('__Host-g_token');
  await goesTo(t, browser.post('verify', { code }), 'verify/done');
  t.equal(browser.jar.get('__Host-g_token'), before, 'the session goes on');
});

test('a new address is confirmed while signed in, and its owner before takes it back', async (t) => {
  const world = await openVerifying(t, { EMAIL_VERIFICATION: 'off' });
  const [browser, other] = [openBrowser(world), openBrowser(world)];
  const { email, password } = newCredentials();
  const next = newCredentials().email;
  await browser.post('sign-up', { email, password });
  const asked = await world.app.inject({
    ...{ method: 'POST', url: '/email/change', payload: { email: next, password } },
    headers: { cookie: `__Host-g_token=${browser.jar.get('__Host-g_token')}` },
  });
  t.equal(asked.statusCode, 202);
  const { code } = await world.mails.next(next);
  const stranger = await other.post('email-change', { code: String(code) });
  t.equal(stranger.statusCode, 401);
  t.match(stranger.body, 'You are not signed in here.');
  await goesTo(t, browser.post('email-change', { code: String(code) }), 'email-change/done');
  t.match((await browser.post('email-change', { code: String(code) })).body, 'used up');
  const told = await world.mails.next(email);
  const typed = { email, code: String(told.code) };
  await goesTo(t, other.post('email-undo', typed), 'email-undo/done');
  await isSignedIn(t, browser, false);
  const { linkCode } = await world.mails.next(email);
  const reset = { code: String(linkCode), password: newCredentials().password };
  await goesTo(t, other.post('reset', reset), 'reset/done');
  await isSignedIn(t, other, true);
});

test('the code of a mail undoes the deletion of an account', async (t) => {
  const calls: unknown[] = [];
  const parts = {
    mailIsOn: true,
    deletions: { undoByCode: async (...args: unknown[]) => void calls.push(args) },
  } as unknown as AccountActionsParts;
  const { undoDeletion } = createAccountActions(parts);
  const request = { id: 'r', headers: {}, ip: '192.0.2.1', socket: {} };
  await undoDeletion?.({ code: 'a' }, { request } as Exchange);
  t.strictSame(calls, [[{ link: 'a' }, { ip: '192.0.2.1', userAgent: null, requestId: 'r' }]]);
  t.end();
});
