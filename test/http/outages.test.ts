import { type Test, test } from 'tap';
import {
  build,
  codeOf,
  cookieHeader,
  cookieOf,
  createPlace,
  createWire,
  forget,
  newCredentials,
  signUp,
  type TestApp,
} from '../helper.ts';

type App = TestApp['app'];

const post = (app: App, url: string, cookie = '', payload?: object) =>
  app.inject({ method: 'POST', url, headers: { cookie }, ...(payload && { payload }) });

/** An app whose database and Redis a test can cut off. */
async function buildOnWires(t: Test) {
  const place = await createPlace(t);
  const database = await createWire(t, place.DATABASE_URL);
  const redis = await createWire(t, place.REDIS_URL);
  const built = await build(t, { DATABASE_URL: database.url, REDIS_URL: redis.url }, place);
  return { ...built, place, database, redis };
}

for (const trouble of ['cut', 'freeze'] as const) {
  test(`without a database (${trouble}) whatever needs it is 503 within 3 s, and cookies are left alone`, async (t) => {
    const { app, place, database } = await buildOnWires(t);
    const user = await signUp(app);
    await forget(place, user.token);
    const unknown = cookieHeader(Buffer.alloc(32, 3).toString('base64url'));
    database[trouble]();
    const startedAt = Date.now();
    const responses = await Promise.all([
      post(app, '/token', user.cookie),
      post(app, '/token', unknown),
      post(app, '/logout', user.cookie),
      post(app, '/login', '', { email: user.email, password: user.password }),
      post(app, '/login', user.cookie, newCredentials()),
      post(app, '/signup', '', newCredentials()),
      app.inject({ url: '/me', headers: { cookie: user.cookie } }),
      app.inject({ url: '/sessions', headers: { cookie: user.cookie } }),
      app.inject({ method: 'DELETE', url: '/sessions', headers: { cookie: user.cookie } }),
    ]);
    // Less than two deadlines, so no request waits twice. A busy machine alone may take a second.
    t.ok(Date.now() - startedAt < 3_900);
    for (const response of responses) {
      t.equal(response.statusCode, 503);
      t.equal(codeOf(response), 'unavailable');
      t.match(response.headers['retry-after'], /^[1-9]\d*$/);
      t.notOk('set-cookie' in response.headers);
      t.notOk('clear-site-data' in response.headers);
    }
  });
}

test('without a database, what can be known is still answered', async (t) => {
  const { app, database, advance } = await buildOnWires(t);
  const { cookie } = await signUp(app);
  t.equal((await post(app, '/token', cookie)).statusCode, 200);
  database.cut();
  t.equal((await retried(() => post(app, '/token', cookie))).statusCode, 200, 'the cache knows the session');
  t.equal(codeOf(await post(app, '/token')), 'session_not_found', 'no cookie is no session');
  t.equal(codeOf(await post(app, '/token', cookieHeader('garbage'))), 'session_not_found');
  t.equal((await app.inject('/.well-known/jwks.json')).statusCode, 200);
  await advance(5 * 60_000);
  t.equal((await retried(() => post(app, '/token', cookie))).statusCode, 200, 'stale is better than nothing');
});

test('nothing that was refused for want of a database was half done', async (t) => {
  const { app, place, database } = await buildOnWires(t);
  const user = await signUp(app);
  // So that it is asked for in the database.
  await forget(place, user.token);
  const newcomer = newCredentials();
  database.cut();
  t.equal((await post(app, '/signup', '', newcomer)).statusCode, 503);
  t.equal((await post(app, '/logout', user.cookie)).statusCode, 503);
  database.mend();
  t.equal((await retried(() => post(app, '/token', user.cookie))).statusCode, 200, 'still signed in');
  t.equal(codeOf(await post(app, '/login', '', newcomer)), 'invalid_credentials', 'no account');
  t.equal((await post(app, '/signup', '', newcomer)).statusCode, 201);
});

/**
 * The first answer that is not 503, or the last one after 10 seconds. On a busy machine Redis may miss its 100 ms, and
 * without the database the answer is 503 then.
 */
async function retried<Answer extends { statusCode: number }>(ask: () => Promise<Answer>): Promise<Answer> {
  const deadline = Date.now() + 10_000;
  let answer = await ask();
  while (answer.statusCode === 503 && Date.now() < deadline) answer = await ask();
  return answer;
}

for (const trouble of ['cut', 'freeze'] as const) {
  test(`without Redis (${trouble}) everything works`, async (t) => {
    const { app, redis, log } = await buildOnWires(t);
    const { cookie: old } = await signUp(app);
    redis[trouble]();
    const { cookie, email, password } = await signUp(app);
    t.equal((await post(app, '/token', old)).statusCode, 200);
    t.equal((await post(app, '/token', cookie)).statusCode, 200);
    t.equal((await app.inject({ url: '/me', headers: { cookie } })).statusCode, 200);
    const signedIn = await post(app, '/login', '', { email, password });
    t.equal(signedIn.statusCode, 200);
    t.equal((await post(app, '/logout', cookie)).statusCode, 204);
    t.equal(codeOf(await post(app, '/token', cookie)), 'session_not_found');
    const second = cookieHeader(cookieOf(signedIn).value);
    t.equal((await post(app, '/token', second)).statusCode, 200);
    t.match(log(), /"kind":"sessions_ended".*could not deliver a message/);
    redis.mend();
    t.equal((await post(app, '/token', second)).statusCode, 200);
    t.equal((await post(app, '/logout', second)).statusCode, 204);
    t.equal((await post(app, '/token', second)).statusCode, 404);
  });
}

test('without both nobody is told that there is no session', async (t) => {
  const { app, database, redis } = await buildOnWires(t);
  const { cookie } = await signUp(app);
  t.equal((await post(app, '/token', cookie)).statusCode, 200);
  database.cut();
  redis.cut();
  const response = await post(app, '/token', cookie);
  t.equal(codeOf(response), 'unavailable');
  t.notOk('set-cookie' in response.headers);
});
