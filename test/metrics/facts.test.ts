/** What the rooms publish while a server is used. */
import { randomBytes } from 'node:crypto';
import { type Test, test } from 'tap';
import { channels, listenTo } from '../../src/core/channels.ts';
import { buildEmbedded, cookieHeader, newCredentials, signUp } from '../helper.ts';

/** Everything that is published from now on, by the name of the channel. */
function hear(t: Test) {
  const heard: Record<string, object[]> = {};
  for (const [name, channel] of Object.entries(channels)) {
    heard[name] = [];
    t.teardown(listenTo<object>(channel, (fact) => void heard[name]?.push(fact)));
  }
  return heard;
}

test('the rooms publish what becomes of requests, sessions, tokens and passwords', async (t) => {
  const { app } = await buildEmbedded(t, { ACCESS_TOKEN_REUSE: '10s', CREDENTIAL_RATE_LIMIT: '3' });
  const heard = hear(t);
  const credentials = newCredentials();
  const { cookie } = await signUp(app, credentials);
  const token = (body?: object, header = cookie) =>
    app.inject({
      method: 'POST',
      url: '/token',
      headers: { cookie: header },
      ...(body && { payload: body }),
    });
  const unknown = cookieHeader(randomBytes(32).toString('base64url'));
  await token();
  await token();
  await token({ audience: 'api', single_use: true });
  await token(undefined, unknown);
  await token(undefined, unknown);
  for (const _ of [1, 2, 3])
    await app.inject({
      method: 'POST',
      url: '/login',
      payload: { ...credentials, password: 'wrong password' },
    });
  await app.inject('/%zz');
  await app.inject({ method: 'DELETE', url: '/nowhere' });
  await app.inject({ method: 'POST', url: '/logout', headers: { cookie } });

  t.same(heard.signUp, [{ outcome: 'ok' }]);
  t.same(heard.signIn, [{ outcome: 'invalid_credentials' }, { outcome: 'invalid_credentials' }]);
  t.same(heard.limitReached, [{ limit: 'credentials' }]);
  t.same(heard.token, [{ kind: 'access' }, { kind: 'reused' }, { kind: 'single_use' }]);
  const results = heard.sessionLookUp?.map((fact) => Object.values(fact)[0]);
  t.same(results, ['hit', 'hit', 'hit', 'unknown', 'absent']);
  t.equal(heard.passwordHash?.length, 3);
  t.same(heard.unreadableRequest, [{ status: 400 }]);
  t.match(heard.delivery, [{ kind: 'sessions_ended', outcome: 'delivered', attempts: 1 }]);
  t.match(heard.request?.slice(0, 2), [
    { method: 'POST', route: '/signup', status: 201, durationMs: Number },
    { method: 'POST', route: '/token', status: 200, durationMs: Number },
  ]);
  t.match(heard.request?.at(-2), { method: 'DELETE', route: undefined, status: 404 });
  t.notMatch(JSON.stringify(heard), credentials.email);
  t.notMatch(JSON.stringify(heard), cookie.split('=')[1]);
});

test('a network that guesses is refused, and that is published', async (t) => {
  const { app } = await buildEmbedded(t);
  const heard = hear(t);
  const guess = () =>
    app.inject({
      method: 'POST',
      url: '/token',
      headers: { cookie: cookieHeader(randomBytes(32).toString('base64url')) },
    });
  for (let i = 0; i < 301; i += 1) await guess();
  t.same(heard.limitReached, [{ limit: 'misses' }]);
  t.same(heard.sessionLookUp?.at(-1), { result: 'refused' });
});
