import { type Test, test } from 'tap';
import { type AuthOptions, createAuth } from '../../src/browser/index.ts';
import {
  ada,
  answer,
  authUrl,
  bob,
  createFakeBrowser,
  newToken,
  problem,
  quiet,
  tokenAnswer,
} from './support/fake-page.ts';

const minute = 60_000;

type SignedIn = Awaited<ReturnType<typeof signedIn>>;

/** A page with a user whose first token is there. */
async function signedIn(t: Test, options: Partial<AuthOptions> = {}) {
  const tab = createFakeBrowser().openTab();
  const auth = createAuth({ url: authUrl, ...options }, tab.page);
  const first = newToken();
  tab.answer(() => tokenAnswer(first));
  t.equal(await auth.accessToken(), first);
  let signOuts = 0;
  auth.onSignedOut(() => {
    signOuts += 1;
  });
  return { ...tab, auth, first, signOuts: () => signOuts };
}

test('asks with the cookie, and once for all who want a token at the same time', async (t) => {
  const tab = createFakeBrowser().openTab();
  const auth = createAuth({ url: `${authUrl}/` }, tab.page);
  const arrived = Promise.withResolvers<Response>();
  tab.answer(() => arrived.promise);
  const wanted = [auth.accessToken(), auth.accessToken(), auth.onRouteChange()];
  await quiet();
  const token = newToken();
  arrived.resolve(tokenAnswer(token));
  const state = { status: 'signed-in', user: ada };
  t.strictSame(await Promise.all(wanted), [token, token, state]);
  t.match(tab.sent, [
    { method: 'POST', url: `${authUrl}/token`, credentials: 'include', redirect: 'error', body: '' },
  ]);
  t.equal(tab.sent.length, 1);
  t.equal(auth.getSnapshot(), auth.getSnapshot());
  t.notMatch(JSON.stringify(auth.getSnapshot()), token);
});

test('refreshes one minute before the end, by itself', async (t) => {
  const { auth, sent, advance, answer: respond, first } = await signedIn(t);
  const second = newToken();
  respond(() => tokenAnswer(second));
  await advance(29 * minute - 1);
  t.equal(sent.length, 1);
  t.equal(await auth.accessToken(), first);
  await advance(1);
  t.equal(sent.length, 2);
  t.equal(await auth.accessToken(), second);
  await advance(29 * minute);
  t.equal(sent.length, 3, 'and again');
});

test('a token of one minute is refreshed after half of it', async (t) => {
  const { sent, advance, answer: respond } = await signedIn(t);
  respond(() => tokenAnswer(newToken(), 60));
  await advance(29 * minute);
  t.equal(sent.length, 2);
  await advance(30_000 - 1);
  t.equal(sent.length, 2);
  await advance(1);
  t.equal(sent.length, 3);
});

test('a tab that slept refreshes when it wakes, whatever wakes it', async (t) => {
  for (const event of ['visibilitychange', 'focus', 'online']) {
    const { auth, sent, moveWall, dispatch, answer: respond } = await signedIn(t);
    const fresh = newToken();
    respond(() => tokenAnswer(fresh));
    moveWall(28 * minute);
    dispatch(event);
    t.equal(sent.length, 1, 'not before its time');
    moveWall(minute);
    dispatch(event);
    await quiet();
    t.equal(sent.length, 2, event);
    t.equal(await auth.accessToken(), fresh);
  }
});

test('a tab that nothing wakes notices within a minute', async (t) => {
  const { sent, advance, moveWall } = await signedIn(t);
  moveWall(29 * minute);
  await advance(minute);
  t.equal(sent.length, 2);
});

test('after a sleep that outlasts the token, callers wait for a new one', async (t) => {
  const { auth, moveWall, answer: respond } = await signedIn(t);
  const fresh = newToken();
  respond(() => tokenAnswer(fresh));
  moveWall(8 * 60 * minute);
  t.equal(await auth.accessToken(), fresh);
});

test('in the last minute callers get the token at once, and a fresh one is fetched', async (t) => {
  const { auth, sent, moveWall, first, answer: respond } = await signedIn(t);
  respond(() => new Promise(() => {}));
  moveWall(29.5 * minute);
  t.equal(await auth.accessToken(), first);
  t.equal(await auth.accessToken(), first);
  t.equal(sent.length, 2);
});

test('a clock that is set back prolongs nothing', async (t) => {
  const { sent, advance, moveWall } = await signedIn(t);
  moveWall(-24 * 60 * minute);
  await advance(29 * minute);
  t.equal(sent.length, 2);
});

test('404: signed out, told once, and not asked about again by callers', async (t) => {
  const { auth, sent, signOuts, answer: respond, advance, timers } = await signedIn(t);
  respond(() => problem(404, 'session_not_found'));
  t.strictSame(await auth.onRouteChange(), { status: 'signed-out', user: null });
  await auth.onRouteChange();
  await quiet();
  t.equal(signOuts(), 1);
  t.equal(sent.length, 3, 'each route change asks');
  await t.rejects(auth.accessToken(), { name: 'AuthError', code: 'session_not_found', status: 404 });
  await advance(60 * minute);
  t.equal(sent.length, 3, 'nobody else does');
  t.equal(timers.size, 0);
});

test('a 404 of a proxy signs out too: the cookie and the next route change tell otherwise', async (t) => {
  const { auth, answer: respond } = await signedIn(t);
  respond(() => answer(404, '<!doctype html>'));
  t.equal((await auth.onRouteChange()).status, 'signed-out');
  respond(() => tokenAnswer());
  t.equal((await auth.onRouteChange()).status, 'signed-in');
});

test('no failure signs out or takes a live token away', async (t) => {
  const failures: [string, () => Response | Promise<Response>][] = [
    ['429', () => problem(429, 'rate_limited', { 'retry-after': '2' })],
    ['503', () => problem(503, 'unavailable', { 'retry-after': '1' })],
    ['502 of a proxy', () => answer(502, '<h1>Bad gateway</h1>')],
    ['500 of a proxy', () => answer(500, { code: 'ECONNREFUSED' })],
    ['no network', () => Promise.reject(new TypeError('Failed to fetch'))],
    ['403', () => problem(403, 'origin_not_allowed')],
    ['200 of something else', () => answer(200, '<!doctype html>')],
    ['200 without a token', () => answer(200, {})],
    ['200 with no JWT', () => tokenAnswer('opaque')],
    ['200 with no life', () => tokenAnswer(newToken(), 0)],
  ];
  for (const [name, failure] of failures) {
    const { auth, first, signOuts, answer: respond, advance } = await signedIn(t);
    respond(failure);
    t.equal((await auth.onRouteChange()).status, 'signed-in', name);
    await advance(29.9 * minute);
    t.equal(await auth.accessToken(), first, name);
    await advance(0.2 * minute);
    await t.rejects(auth.accessToken(), { name: 'AuthError' }, `${name}, and the token is over`);
    t.equal(auth.getSnapshot().status, 'signed-in', name);
    respond(() => tokenAnswer());
    await advance(minute);
    await t.resolves(auth.accessToken(), `${name}, mended`);
    t.equal(signOuts(), 0, name);
  }
});

test('a failing server is asked again later and later, at most every 45 seconds', async (t) => {
  const { auth, sent, answer: respond, advance } = await signedIn(t);
  respond(() => Promise.reject(new TypeError('Failed to fetch')));
  await auth.onRouteChange();
  for (let calls = 0; calls < 10; calls += 1) await auth.accessToken();
  t.equal(sent.length, 2);
  await advance(1_500);
  t.equal(sent.length, 3, 'within a second and a half');
  await advance(10 * minute);
  const asked = sent.length;
  t.ok(asked >= 3 + 9 && asked <= 3 + 25, `${asked} times in ten minutes`);
  await advance(45_000);
  t.ok(sent.length > asked);
});

const noAnswer = () => Promise.reject(new TypeError('Failed to fetch'));

/** What can mean that the network is back, or that a user waits. */
const wakers = {
  online: ({ dispatch }: SignedIn) => dispatch('online'),
  focus: ({ dispatch }: SignedIn) => dispatch('focus'),
  visibilitychange: ({ dispatch }: SignedIn) => dispatch('visibilitychange'),
  'a route change': ({ auth }: SignedIn) => void auth.onRouteChange(),
};

test('after 36 minutes offline, whatever may mean that the network is back makes it ask at once', async (t) => {
  for (const [name, wake] of Object.entries(wakers)) {
    const tab = await signedIn(t);
    tab.answer(noAnswer);
    await tab.advance(36 * minute);
    const asked = tab.sent.length;
    const fresh = newToken();
    tab.answer(() => tokenAnswer(fresh));
    wake(tab);
    await quiet();
    t.equal(tab.sent.length, asked + 1, name);
    t.equal(await tab.auth.accessToken(), fresh, name);
  }
});

test('a server that asked for time is given it, whatever happens in the page', async (t) => {
  for (const status of [429, 503])
    for (const [name, wake] of Object.entries(wakers)) {
      const tab = await signedIn(t);
      tab.answer(() => problem(status, 'busy', { 'retry-after': '60' }));
      await tab.auth.onRouteChange();
      await tab.advance(minute - 1);
      wake(tab);
      await quiet();
      t.equal(tab.sent.length, 2, `${status}, ${name}`);
    }
});

test('offline, a burst of events makes one request at a time, and one more at its end', async (t) => {
  const tab = await signedIn(t);
  const { promise, reject } = Promise.withResolvers<Response>();
  tab.answer(() => promise);
  void tab.auth.onRouteChange();
  const burst = () => {
    for (let count = 0; count < 100; count += 1) for (const wake of Object.values(wakers)) wake(tab);
  };
  burst();
  await quiet();
  t.equal(tab.sent.length, 2, 'one is under way');
  tab.answer(noAnswer);
  reject(new TypeError('Failed to fetch'));
  await quiet();
  t.equal(tab.sent.length, 3, 'the network may have come back during the one that failed');
  burst();
  await quiet();
  t.equal(tab.sent.length, 5, 'the same again');
  await tab.advance(999);
  t.equal(tab.sent.length, 5, 'and then it waits');
});

test('a call of the page does not ask before it is time', async (t) => {
  const { auth, sent, answer: respond, advance } = await signedIn(t);
  respond(noAnswer);
  await advance(36 * minute);
  const asked = sent.length;
  for (let calls = 0; calls < 10; calls += 1) await t.rejects(auth.accessToken(), { name: 'AuthError' });
  t.equal(sent.length, asked);
});

test('Retry-After is kept to, never cut short, up to ten minutes', async (t) => {
  for (const [header, seconds] of [
    ['20', 20],
    ['86400', 600],
    ['Wed, 21 Oct 2026 07:28:00 GMT', 1],
  ] as const) {
    const { auth, sent, answer: respond, advance } = await signedIn(t);
    respond(() => problem(503, 'unavailable', { 'retry-after': header }));
    await auth.onRouteChange();
    await advance(seconds * 1000 - 1);
    t.equal(sent.length, 2, header);
    await advance(seconds * 500 + 1);
    t.equal(sent.length, 3, header);
  }
});

test('a page that never had an answer does not know who is signed in, and says so', async (t) => {
  const tab = createFakeBrowser().openTab();
  const auth = createAuth({ url: authUrl }, tab.page);
  tab.answer(() => problem(503, 'unavailable', { 'retry-after': '3' }, { detail: 'Busy.' }));
  t.strictSame(await auth.onRouteChange(), { status: 'unknown', user: null });
  await t.rejects(auth.accessToken(), {
    code: 'unavailable',
    status: 503,
    retryAfterSeconds: 3,
    message: 'Busy.',
  });
  t.equal(tab.sent.length, 1, 'the last answer still holds');
  tab.answer(() => tokenAnswer());
  await tab.advance(4_500);
  t.equal(auth.getSnapshot().status, 'signed-in', 'it went on asking');
});

test('a page that never asked is left alone', async (t) => {
  const tab = createFakeBrowser().openTab();
  const auth = createAuth({ url: authUrl }, tab.page);
  for (const event of ['visibilitychange', 'focus', 'online', 'pageshow']) tab.dispatch(event);
  await tab.advance(60 * minute);
  t.equal(tab.sent.length, 0);
  t.strictSame(auth.getSnapshot(), { status: 'unknown', user: null });
});

test('"when-stale" asks only where there is no fresh token and no word of a sign-out', async (t) => {
  const { auth, sent, moveWall, answer: respond } = await signedIn(t, { routeChange: 'when-stale' });
  await auth.onRouteChange();
  t.equal(sent.length, 1);
  moveWall(29 * minute);
  t.equal((await auth.onRouteChange()).status, 'signed-in');
  t.equal(sent.length, 2);
  respond(() => problem(404, 'session_not_found'));
  moveWall(29 * minute);
  t.equal((await auth.onRouteChange()).status, 'signed-out');
  await auth.onRouteChange();
  t.equal(sent.length, 3);
});

test('subscribers hear of changes only, and one that throws harms nobody', async (t) => {
  const { auth, answer: respond } = await signedIn(t);
  const seen: unknown[] = [];
  const thrown = Promise.withResolvers<unknown>();
  process.once('uncaughtException', thrown.resolve);
  t.teardown(() => process.off('uncaughtException', thrown.resolve));
  const unsubscribe = auth.subscribe(() => {
    throw new Error('of the page');
  });
  const stop = auth.subscribe((state) => void seen.push(state.user?.email));
  await auth.onRouteChange();
  await quiet();
  t.strictSame(seen, [], 'the same user again');
  respond(() => tokenAnswer(newToken(bob)));
  t.strictSame(await auth.onRouteChange(), { status: 'signed-in', user: bob });
  await quiet();
  t.strictSame(seen, [bob.email]);
  t.match(await thrown.promise, { message: 'of the page' });
  unsubscribe();
  stop();
  respond(() => tokenAnswer());
  await auth.onRouteChange();
  await quiet();
  t.strictSame(seen, [bob.email]);
});
