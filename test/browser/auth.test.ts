import { type Test, test } from 'tap';
import { AuthError, createAuth, type FieldError } from '../../src/browser/index.ts';
import {
  ada,
  answer,
  authUrl,
  bob,
  createFakeBrowser,
  type FakePage,
  newToken,
  problem,
  quiet,
  tokenAnswer,
} from './support/fake-page.ts';

const credentials = { email: 'ada@example.com', password: 'made up for this page' };

/** One tab, for which the test sets the server's answers, and its browser, for more tabs. */
function open(browser = createFakeBrowser()) {
  const tab = browser.openTab();
  return { ...tab, browser, auth: createAuth({ url: authUrl }, tab.page) };
}

type Tab = ReturnType<typeof open>;

async function signIn(tab: Tab, user = ada): Promise<void> {
  const token = newToken(user);
  tab.answer(({ url }) =>
    url.endsWith('/token') ? tokenAnswer(token) : answer(200, { user: { ...user, created_at: 'then' } }),
  );
  await tab.auth.signIn(credentials);
  await tab.auth.accessToken();
}

test('signs up and in with what the user typed, and knows them at once', async (t) => {
  for (const [path, status] of [
    ['signUp', 201],
    ['signIn', 200],
  ] as const) {
    const { auth, sent, answer: respond } = open();
    respond(() => answer(status, { user: { ...ada, created_at: 'then' } }));
    t.match(await auth[path](credentials), ada);
    t.match(sent, [{ method: 'POST', url: `${authUrl}/${path === 'signUp' ? 'signup' : 'login'}` }]);
    t.strictSame(JSON.parse(sent[0]?.body ?? ''), credentials);
    t.equal(sent[0]?.headers.get('content-type'), 'application/json');
    t.strictSame(auth.getSnapshot(), { status: 'signed-in', user: ada });
  }
});

test('a sign-up that is to be confirmed by mail signs nobody in', async (t) => {
  const { auth, answer: respond, browser } = open();
  respond(() => answer(202, {}));
  t.equal(await auth.signUp(credentials), null);
  t.equal(auth.getSnapshot().status, 'unknown');
  t.strictSame(browser.messages, []);
});

test('a refusal is an AuthError with all that the server said', async (t) => {
  const { auth, answer: respond } = open();
  const errors: FieldError[] = [{ path: '/password', message: 'Use at least 8 characters.' }];
  respond(() => problem(400, 'validation_failed', {}, { errors, detail: 'Look below.' }));
  const error = await auth.signUp(credentials).catch((thrown: unknown) => thrown);
  t.ok(error instanceof AuthError);
  t.match(error, { code: 'validation_failed', status: 400, errors, message: 'Look below.' });
  respond(() => problem(401, 'invalid_credentials'));
  await t.rejects(auth.signIn(credentials), {
    code: 'invalid_credentials',
    message: 'invalid_credentials',
    errors: [],
    retryAfterSeconds: 0,
  });
  t.equal(auth.getSnapshot().status, 'unknown', 'which says nothing about who is signed in');
  respond(() => Promise.reject(new TypeError('Failed to fetch')));
  await t.rejects(auth.signIn(credentials), { code: 'unavailable', status: 0 });
  respond(() => answer(500, { code: 'ECONNREFUSED', title: 'of a proxy' }));
  await t.rejects(auth.signIn(credentials), {
    code: 'unavailable',
    status: 500,
    message: 'The auth server gave no usable answer: try again',
  });
});

test('signs out everywhere: the server, this tab, the others, and each is told once', async (t) => {
  const here = open();
  const there = open(here.browser);
  await signIn(here);
  await signIn(there);
  const told: string[] = [];
  here.auth.onSignedOut(() => told.push('here'));
  there.auth.onSignedOut(() => told.push('there'));
  here.answer(() => answer(204, null));
  await here.auth.signOut();
  await quiet();
  t.strictSame(told.sort(), ['here', 'there']);
  t.match(here.sent.at(-1), { method: 'POST', url: `${authUrl}/logout`, body: '' });
  for (const { auth } of [here, there]) {
    t.strictSame(auth.getSnapshot(), { status: 'signed-out', user: null });
    await t.rejects(auth.accessToken(), { code: 'session_not_found' });
  }
  t.strictSame(here.browser.messages, ['in', 'in', 'out'], 'and nothing else was ever sent');
});

test('a sign-out of a session that is over already is done', async (t) => {
  const tab = open();
  await signIn(tab);
  tab.answer(() => problem(401, 'not_signed_in'));
  await tab.auth.signOut();
  t.equal(tab.auth.getSnapshot().status, 'signed-out');
});

test('a sign-out that could not be recorded is none, and says so', async (t) => {
  const tab = open();
  await signIn(tab);
  const token = await tab.auth.accessToken();
  tab.answer(() => problem(503, 'unavailable', { 'retry-after': '1' }));
  await t.rejects(tab.auth.signOut(), { code: 'unavailable', retryAfterSeconds: 1 });
  t.strictSame(tab.auth.getSnapshot(), { status: 'signed-in', user: ada });
  t.equal(await tab.auth.accessToken(), token);
  t.strictSame(tab.browser.messages, ['in']);
});

/** A running refresh, and its late answer. */
async function refreshing(tab: Tab) {
  const late = Promise.withResolvers<Response>();
  tab.answer(({ url }) => (url.endsWith('/token') ? late.promise : answer(204, null)));
  const routeChange = tab.auth.onRouteChange();
  await quiet();
  return { routeChange, answer: late.resolve };
}

test('a sign-out wins over a refresh that was under way', async (t) => {
  const tab = open();
  await signIn(tab);
  const refresh = await refreshing(tab);
  await tab.auth.signOut();
  refresh.answer(tokenAnswer());
  t.equal((await refresh.routeChange).status, 'signed-out');
  await t.rejects(tab.auth.accessToken(), { code: 'session_not_found' });
  t.equal(tab.timers.size, 0);
});

test('a late 404 or failure about the last user says nothing about the next one', async (t) => {
  for (const stale of [problem(404, 'session_not_found'), problem(503, 'unavailable')]) {
    const tab = open();
    await signIn(tab);
    const refresh = await refreshing(tab);
    const waiting = tab.auth.fetch('/anything');
    await signIn(tab, bob);
    refresh.answer(stale);
    await Promise.all([refresh.routeChange, waiting]);
    t.strictSame(tab.auth.getSnapshot(), { status: 'signed-in', user: bob });
    await t.resolves(tab.auth.accessToken());
  }
});

test('who waits for a token while somebody else signs in gets the new one', async (t) => {
  const tab = open();
  const late = Promise.withResolvers<Response>();
  tab.answer(() => late.promise);
  const waiting = tab.auth.accessToken();
  await signIn(tab, bob);
  late.resolve(tokenAnswer());
  t.equal(await waiting, await tab.auth.accessToken());
});

test('a sign-in in another tab drops the token of the last user', async (t) => {
  const here = open();
  const there = open(here.browser);
  await signIn(here);
  const old = await here.auth.accessToken();
  here.answer(() => tokenAnswer(newToken(bob)));
  await signIn(there, bob);
  t.not(await here.auth.accessToken(), old);
  t.strictSame(here.auth.getSnapshot(), { status: 'signed-in', user: bob });
});

test('the token of the last user is dropped even if the server cannot be reached then', async (t) => {
  const here = open();
  const there = open(here.browser);
  await signIn(here);
  here.answer(() => problem(503, 'unavailable'));
  await signIn(there, bob);
  await t.rejects(here.auth.accessToken(), { code: 'unavailable' });
  t.strictSame(here.auth.getSnapshot(), { status: 'unknown', user: null });
});

test('a page from the back/forward cache asks before it uses a token again', async (t) => {
  const tab = open();
  await signIn(tab);
  const old = await tab.auth.accessToken();
  tab.dispatch('pageshow', { persisted: false });
  t.equal(await tab.auth.accessToken(), old, 'not a page that was just loaded');
  tab.answer(() => tokenAnswer(newToken(bob)));
  tab.dispatch('pageshow', { persisted: true });
  t.not(await tab.auth.accessToken(), old);
  t.strictSame(tab.auth.getSnapshot(), { status: 'signed-in', user: bob });
});

test('a single-use token is for one service, and is not kept', async (t) => {
  const tab = open();
  await signIn(tab);
  const kept = await tab.auth.accessToken();
  tab.answer(() => answer(200, { access_token: 'one-time', token_type: 'Bearer', expires_in: 60 }));
  t.equal(await tab.auth.singleUseToken('payments'), 'one-time');
  t.equal(tab.sent.at(-1)?.body, '{"single_use":true,"audience":"payments"}');
  t.equal(await tab.auth.accessToken(), kept);
  tab.answer(() => problem(400, 'unknown_audience'));
  await t.rejects(tab.auth.singleUseToken('nobody'), { code: 'unknown_audience' });
  tab.answer(() => problem(404, 'session_not_found'));
  await t.rejects(tab.auth.singleUseToken('payments'), { code: 'session_not_found' });
  t.equal(tab.auth.getSnapshot().status, 'signed-out');
});

test('lists sessions, and ends them', async (t) => {
  const tab = open();
  await signIn(tab);
  tab.answer(() => answer(200, { sessions: [{ id: 's1', current: true }] }));
  t.match(await tab.auth.sessions(), [{ id: 's1', current: true }]);
  tab.answer(({ method }) => (method === 'DELETE' ? answer(204, null) : tokenAnswer()));
  await tab.auth.endOtherSessions();
  await tab.auth.endSession('s2');
  t.strictSame(lastCalls(tab, 3), ['DELETE /sessions', 'DELETE /sessions/s2', 'POST /token']);
  t.equal(tab.auth.getSnapshot().status, 'signed-in');
  tab.answer(({ method }) => (method === 'DELETE' ? answer(204, null) : problem(404, 'session_not_found')));
  await tab.auth.endSession('s1');
  t.equal(tab.auth.getSnapshot().status, 'signed-out', 'it was this one');
});

test('a call that finds nobody signed in signs the page out', async (t) => {
  const tab = open();
  await signIn(tab);
  tab.answer(() => problem(404, 'not_found'));
  await t.rejects(tab.auth.endSession('s9'), { code: 'not_found' });
  t.equal(tab.auth.getSnapshot().status, 'signed-in', 'not a 404 that is about something else');
  tab.answer(() => problem(401, 'not_signed_in'));
  await t.rejects(tab.auth.sessions(), { code: 'not_signed_in' });
  t.equal(tab.auth.getSnapshot().status, 'signed-out');
});

test('the last listener to unsubscribe is the last to hear', async (t) => {
  const tab = open();
  let calls = 0;
  const stop = tab.auth.onSignedOut(() => {
    calls += 1;
  });
  stop();
  await tab.auth.onRouteChange();
  await quiet();
  t.equal(calls, 0);
  t.equal(tab.auth.getSnapshot().status, 'signed-out');
});

function lastCalls({ sent }: Pick<FakePage, 'sent'>, count: number): string[] {
  return sent.slice(-count).map(({ method, url }) => `${method} ${url.slice(authUrl.length)}`);
}

test('nothing of it is left where other scripts look', async (t: Test) => {
  const tab = open();
  const before = new Set(Object.getOwnPropertyNames(globalThis));
  await signIn(tab);
  const token = await tab.auth.accessToken();
  t.strictSame(
    Object.getOwnPropertyNames(globalThis).filter((name) => !before.has(name)),
    [],
  );
  t.notMatch(JSON.stringify([tab.auth, tab.auth.getSnapshot(), tab.browser.messages]), token);
});
