import { test } from 'tap';
import { createAuth } from '../../src/browser/index.ts';
import {
  answer,
  authUrl,
  bob,
  createFakeBrowser,
  newToken,
  pageOrigin,
  problem,
  quiet,
  type Sent,
  tokenAnswer,
} from './support/fake-page.ts';

const refusal = { 'www-authenticate': 'Bearer realm="shop", error="invalid_token"' };

/** A signed-in page whose other calls `serve` answers. */
function open(serve: (sent: Sent) => Response = () => answer(200, {}), allowedOrigins?: string[]) {
  const tab = createFakeBrowser().openTab();
  const auth = createAuth({ url: authUrl, ...(allowedOrigins && { allowedOrigins }) }, tab.page);
  const tokens: string[] = [];
  tab.answer((sent) => {
    if (sent.url !== `${authUrl}/token`) return serve(sent);
    const token = newToken();
    tokens.push(token);
    return tokenAnswer(token);
  });
  const calls = () => tab.sent.filter(({ url }) => url !== `${authUrl}/token`);
  return { ...tab, auth, tokens, calls };
}

const bearer = (token: string | undefined) => `Bearer ${token}`;

test("the page's own origin gets the token, and the call as it was made", async (t) => {
  const { auth, tokens, calls } = open();
  await auth.fetch('/shop/cart');
  await auth.fetch(new URL('/shop/cart', pageOrigin), {
    method: 'POST',
    headers: { 'x-mine': 'kept' },
    body: '{"item":"1"}',
  });
  await auth.fetch(
    new Request(`${pageOrigin}/shop/cart`, { method: 'PUT', headers: { 'x-mine': 'kept' }, body: 'b' }),
  );
  t.match(calls(), [
    { method: 'GET', url: `${pageOrigin}/shop/cart`, redirect: 'error' },
    { method: 'POST', url: `${pageOrigin}/shop/cart`, body: '{"item":"1"}' },
    { method: 'PUT', url: `${pageOrigin}/shop/cart`, body: 'b' },
  ]);
  for (const { headers } of calls()) t.equal(headers.get('authorization'), bearer(tokens[0]));
  for (const { headers } of calls().slice(1)) t.equal(headers.get('x-mine'), 'kept');
  t.equal(tokens.length, 1);
});

test('no other origin gets it, that of the auth server included', async (t) => {
  const { auth, calls, tokens } = open();
  const others = [
    `${authUrl}/me`,
    'https://club.example.evil.example/',
    'https://evil.example/https://club.example',
    'http://club.example/',
    'https://club.example:444/',
    '//evil.example/shop',
  ];
  for (const url of others) {
    await auth.fetch(url, { headers: { 'x-mine': 'kept' } });
    t.notOk(calls().at(-1)?.headers.has('authorization'), url);
    t.equal(calls().at(-1)?.headers.get('x-mine'), 'kept');
    t.equal(calls().at(-1)?.redirect, 'follow', 'the call is left as it was');
  }
  t.equal(tokens.length, 0, 'it is not even asked for');
});

test('with a list of origins, exactly these get it', async (t) => {
  const { auth, calls, tokens } = open(undefined, ['https://api.example:8443/']);
  await auth.fetch('https://api.example:8443/orders');
  t.equal(calls().at(-1)?.headers.get('authorization'), bearer(tokens[0]));
  await auth.fetch('https://api.example/orders');
  await auth.fetch('/orders');
  for (const { headers } of calls().slice(1)) t.notOk(headers.has('authorization'));
  t.throws(() => open(undefined, ['*']), TypeError);
});

test('an Authorization of the caller is left alone', async (t) => {
  const { auth, calls, tokens } = open();
  await auth.fetch('/payments/buy', { headers: { Authorization: 'Bearer one-time' } });
  await auth.fetch(
    new Request(`${pageOrigin}/payments/buy`, { headers: { Authorization: 'Bearer one-time' } }),
  );
  for (const { headers } of calls()) t.equal(headers.get('authorization'), 'Bearer one-time');
  t.equal(tokens.length, 0);
});

test('without a user the call goes out bare, for open doors', async (t) => {
  const tab = open();
  tab.answer(({ url }) => (url === `${authUrl}/token` ? problem(404, 'session_not_found') : answer(200, {})));
  t.equal((await tab.auth.fetch('/shop/catalogue')).status, 200);
  t.notOk(tab.calls()[0]?.headers.has('authorization'));
});

test('where it is unknown whether there is a user, nothing goes out', async (t) => {
  const tab = open();
  tab.answer(() => problem(503, 'unavailable'));
  await t.rejects(tab.auth.fetch('/shop/cart'), { code: 'unavailable', status: 503 });
  t.equal(tab.calls().length, 0);
});

test('a token that a service no longer takes is replaced, and the call repeated once', async (t) => {
  const tab = open((sent) =>
    sent.headers.get('authorization') === bearer(tab.tokens[0]) ? answer(401, {}, refusal) : answer(200, {}),
  );
  const response = await tab.auth.fetch('/shop/cart', { method: 'POST', body: '{"item":"1"}' });
  t.equal(response.status, 200);
  t.strictSame(
    tab.calls().map(({ headers, body, method }) => [method, body, headers.get('authorization')]),
    tab.tokens.map((token) => ['POST', '{"item":"1"}', bearer(token)]),
  );
  t.equal(tab.tokens.length, 2);
});

test('once, and not for ever', async (t) => {
  const { auth, calls } = open(() => answer(401, {}, refusal));
  t.equal((await auth.fetch('/shop/cart')).status, 401);
  t.equal(calls().length, 2);
});

/** A page whose first token the service has stopped taking. `renew` answers the next `/token`. */
async function openWithRevokedToken({
  refuse = () => answer(401, {}, refusal),
  serve = () => answer(200, {}),
}: Service = {}) {
  const tab = open();
  const revoked = await tab.auth.accessToken();
  const renewal = Promise.withResolvers<Response>();
  tab.answer((sent) => {
    if (sent.url === `${authUrl}/token`) return renewal.promise;
    return sent.headers.get('authorization') === bearer(revoked) ? refuse(sent) : serve(sent);
  });
  const asked = () => tab.sent.filter(({ url }) => url === `${authUrl}/token`).length - 1;
  const sentWith = (token: string) =>
    tab.calls().filter(({ headers }) => headers.get('authorization') === bearer(token)).length;
  return { ...tab, revoked, renew: renewal.resolve, asked, sentWith };
}

type Service = Partial<Record<'refuse' | 'serve', (sent: Sent) => Response | Promise<Response>>>;

test('several calls that are refused at once share one renewal, and those that come after it need none', async (t) => {
  const late = Promise.withResolvers<Response>();
  const tab = await openWithRevokedToken({
    refuse: ({ url }) => (url.endsWith('/late') ? late.promise : answer(401, {}, refusal)),
  });
  const calls = ['/a', '/b', '/c', '/late'].map((path) => tab.auth.fetch(path));
  await quiet();
  t.equal(tab.sentWith(tab.revoked), 4);
  t.equal(tab.asked(), 1);
  const fresh = newToken();
  tab.renew(tokenAnswer(fresh));
  t.strictSame(
    (await Promise.all(calls.slice(0, 3))).map(({ status }) => status),
    [200, 200, 200],
  );
  late.resolve(answer(401, {}, refusal));
  t.equal((await calls[3])?.status, 200, 'its refusal was about the old token');
  t.equal(tab.sentWith(fresh), 4);
  t.equal(tab.asked(), 1);
});

test('a token that was refused is not given out again while another one is fetched', async (t) => {
  const tab = await openWithRevokedToken();
  const first = tab.auth.fetch('/a');
  await quiet();
  const second = tab.auth.fetch('/b');
  const token = tab.auth.accessToken();
  const state = tab.auth.onRouteChange();
  await quiet();
  t.equal(tab.sentWith(tab.revoked), 1);
  const fresh = newToken();
  tab.renew(tokenAnswer(fresh));
  t.equal((await first).status, 200);
  t.equal((await second).status, 200);
  t.equal(await token, fresh);
  t.equal((await state).status, 'signed-in');
  t.equal(tab.sentWith(tab.revoked), 1);
  t.equal(tab.asked(), 1);
});

test('with "when-stale", a route change waits for the answer about a token that was refused', async (t) => {
  const tab = createFakeBrowser().openTab();
  const auth = createAuth({ url: authUrl, routeChange: 'when-stale' }, tab.page);
  tab.answer(() => tokenAnswer());
  await auth.accessToken();
  const renewal = Promise.withResolvers<Response>();
  tab.answer(({ url }) => (url === `${authUrl}/token` ? renewal.promise : answer(401, {}, refusal)));
  const refused = auth.fetch('/shop/cart');
  await quiet();
  const state = auth.onRouteChange();
  renewal.resolve(problem(404, 'session_not_found'));
  t.equal((await state).status, 'signed-out');
  t.equal((await refused).status, 401);
});

test('a session that has ended signs the page out at the first refusal, and its tokens are gone', async (t) => {
  const tab = await openWithRevokedToken();
  let signOuts = 0;
  tab.auth.onSignedOut(() => {
    signOuts += 1;
  });
  const calls = [tab.auth.fetch('/a'), tab.auth.fetch('/b', { method: 'POST', body: 'b' })];
  tab.renew(problem(404, 'session_not_found'));
  t.strictSame(
    (await Promise.all(calls)).map(({ status }) => status),
    [401, 401],
  );
  await quiet();
  t.strictSame(tab.auth.getSnapshot(), { status: 'signed-out', user: null });
  t.equal(signOuts, 1);
  t.equal(tab.asked(), 1);
  t.equal(tab.calls().length, 2, 'nothing is repeated');
  await t.rejects(tab.auth.accessToken(), { code: 'session_not_found' });
});

test('a server that gives no answer leaves a refused token to the services that still take it', async (t) => {
  const tab = await openWithRevokedToken();
  const call = tab.auth.fetch('/a');
  await quiet();
  const waiting = tab.auth.accessToken();
  tab.renew(problem(503, 'unavailable', { 'retry-after': '20' }));
  t.equal((await call).status, 401);
  t.equal(await waiting, tab.revoked);
  t.equal((await tab.auth.fetch('/b')).status, 401);
  t.equal(await tab.auth.accessToken(), tab.revoked);
  t.equal(tab.asked(), 1, 'and is given the time it asked for');
  t.equal(tab.auth.getSnapshot().status, 'signed-in');
});

test('a call of one user is not repeated for the next one', async (t) => {
  const tab = await openWithRevokedToken();
  const call = tab.auth.fetch('/transfer', { method: 'POST', body: 'all of it' });
  await quiet();
  const ofBob = newToken(bob);
  tab.renew(tokenAnswer(ofBob));
  t.equal((await call).status, 401);
  t.equal(tab.sentWith(ofBob), 0);
  t.strictSame(tab.auth.getSnapshot().user, bob);
  t.equal((await tab.auth.fetch('/cart')).status, 200, 'who may call on their own');
});

test('when the repeated call gets no answer, neither does the page: the service may have done it', async (t) => {
  const failure = new TypeError('Failed to fetch');
  const tab = await openWithRevokedToken({ serve: () => Promise.reject(failure) });
  const call = tab.auth.fetch('/buy', { method: 'POST', body: 'b' });
  tab.renew(tokenAnswer());
  t.equal(await call.catch((error: unknown) => error), failure);
});

test('a call that is given up meanwhile is not repeated', async (t) => {
  const tab = await openWithRevokedToken();
  const given = new AbortController();
  const call = tab.auth.fetch('/buy', { method: 'POST', body: 'b', signal: given.signal });
  await quiet();
  given.abort();
  tab.renew(tokenAnswer());
  await t.rejects(call, { name: 'AbortError' });
  t.equal(tab.calls().length, 1);
});

test('no other refusal is repeated', async (t) => {
  for (const response of [
    answer(401, {}),
    answer(401, {}, { 'www-authenticate': 'Bearer error="insufficient_user_authentication"' }),
    answer(403, {}, { 'www-authenticate': 'Bearer error="insufficient_scope"' }),
    answer(500, {}, refusal),
  ]) {
    const { auth, calls, tokens } = open(() => response);
    t.equal(await auth.fetch('/shop/cart'), response);
    t.equal(calls().length, 1);
    t.equal(tokens.length, 1);
  }
});

test('a refusal stands when there is no other token to be had', async (t) => {
  for (const failure of [problem(503, 'unavailable'), problem(404, 'session_not_found')]) {
    const tab = open();
    await tab.auth.accessToken();
    tab.answer(({ url }) => (url === `${authUrl}/token` ? failure : answer(401, {}, refusal)));
    t.equal((await tab.auth.fetch('/shop/cart')).status, 401);
    t.equal(tab.calls().length, 1);
  }
});

test('a body that can be read only once is not sent twice', async (t) => {
  const { auth, calls, tokens } = open(() => answer(401, {}, refusal));
  const body = new Blob(['once']).stream();
  t.equal((await auth.fetch('/upload', { method: 'POST', body, duplex: 'half' })).status, 401);
  const request = new Request(`${pageOrigin}/upload`, { method: 'POST', body: 'once' });
  t.equal((await auth.fetch(request)).status, 401);
  const bodies = calls().map((sent) => sent.body);
  t.strictSame(bodies, ['once', 'once'], 'once each');
  t.equal(tokens.length, 3, 'although there were fresh tokens');
});

/** A page whose services have audiences of their own. Each token says what was asked for. */
function openWithAudiences() {
  const tab = createFakeBrowser().openTab();
  const auth = createAuth(
    { url: authUrl, audience: 'shop', audiences: { 'https://pay.example.com/': 'payments' } },
    tab.page,
  );
  const issued: { audience: string; token: string }[] = [];
  tab.answer(({ url, body }) => {
    if (url !== `${authUrl}/token`) return answer(200, {});
    const { audience } = JSON.parse(body);
    const token = newToken();
    issued.push({ audience, token });
    return tokenAnswer(token);
  });
  const sentTo = (origin: string) =>
    tab.sent
      .filter(({ url }) => new URL(url).origin === origin)
      .map(({ headers }) => headers.get('authorization'));
  const tokensFor = (audience: string) =>
    issued.filter((entry) => entry.audience === audience).map(({ token }) => token);
  return { ...tab, auth, sentTo, tokensFor, issued };
}

test('each service gets a token for its own audience alone, asked for once', async (t) => {
  const { auth, sentTo, tokensFor, issued } = openWithAudiences();
  for (let round = 0; round < 2; round += 1)
    await Promise.all([auth.fetch('/shop/cart'), auth.fetch('https://pay.example.com/receipts')]);
  t.equal(issued.length, 2);
  const [shop] = tokensFor('shop');
  const [payments] = tokensFor('payments');
  t.strictSame(sentTo(pageOrigin), [bearer(shop), bearer(shop)]);
  t.strictSame(sentTo('https://pay.example.com'), [bearer(payments), bearer(payments)]);
  t.equal(await auth.accessToken(), shop);
  t.equal(await auth.accessToken('payments'), payments);
  await auth.fetch('https://other.example.com/');
  t.strictSame(sentTo('https://other.example.com'), [null]);
});

test('the audience of the options is asked for at each renewal, and for `accessToken` any other', async (t) => {
  const { auth, advance, issued } = openWithAudiences();
  await auth.accessToken();
  await auth.accessToken('payments');
  await advance(29 * 60_000);
  await auth.accessToken('books');
  t.strictSame(
    issued.map(({ audience }) => audience),
    ['shop', 'payments', 'shop', 'payments', 'books'],
  );
});

test('a service without an audience of its own gets the token that the server chooses', async (t) => {
  const { auth, sent } = open();
  await auth.fetch('/shop/cart');
  t.equal(sent[0]?.body, '');
});

test('a sign-out drops the tokens of all audiences', async (t) => {
  const tab = openWithAudiences();
  await tab.auth.fetch('https://pay.example.com/receipts');
  tab.answer(() => answer(204, {}));
  await tab.auth.signOut();
  await tab.auth.fetch('https://pay.example.com/receipts');
  t.equal(tab.sentTo('https://pay.example.com')[1], null);
  await t.rejects(tab.auth.accessToken('payments'), { code: 'session_not_found' });
});

test('a token that shows another user drops those of the last one', async (t) => {
  const tab = openWithAudiences();
  const ofAda = await tab.auth.accessToken();
  const ofBob = { shop: newToken(bob), payments: newToken(bob) };
  tab.answer(({ body }) => tokenAnswer(ofBob[JSON.parse(body).audience as 'shop' | 'payments']));
  t.equal(await tab.auth.accessToken('payments'), ofBob.payments);
  t.strictSame(tab.auth.getSnapshot().user, bob);
  t.not(await tab.auth.accessToken(), ofAda);
  t.equal(await tab.auth.accessToken(), ofBob.shop);
});

test('an audience that the server does not know fails, and the others go on', async (t) => {
  const tab = openWithAudiences();
  const shop = await tab.auth.accessToken();
  tab.answer(() => problem(400, 'unknown_audience'));
  await t.rejects(tab.auth.accessToken('books'), { code: 'unknown_audience' });
  await t.rejects(tab.auth.accessToken('books'), { code: 'unknown_audience' });
  t.equal(tab.sent.length, 2, 'a page that repeats it does not flood the server');
  t.equal(await tab.auth.accessToken(), shop);
});

test('when the network comes back, the tokens of all audiences are asked for at once', async (t) => {
  const tab = openWithAudiences();
  await Promise.all([tab.auth.accessToken(), tab.auth.accessToken('payments')]);
  tab.answer(() => Promise.reject(new TypeError('Failed to fetch')));
  await tab.advance(36 * 60_000);
  const asked = tab.sent.length;
  tab.answer(() => tokenAnswer());
  tab.dispatch('online');
  await tab.advance(0);
  t.equal(tab.sent.length, asked + 2);
});
