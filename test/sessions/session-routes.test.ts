import { randomUUID } from 'node:crypto';
import { test } from 'tap';
import { createGenerateToken } from '../../src/sessions/generate-token.ts';
import {
  build,
  codeOf,
  cookieHeader,
  cookieOf,
  createPlace,
  runSql,
  signUp,
  type TestApp,
} from '../helper.ts';

type App = TestApp['app'];

const logOut = (app: App, cookie: string) =>
  app.inject({ method: 'POST', url: '/logout', headers: { cookie } });
const endSession = (app: App, cookie: string, id: string) =>
  app.inject({ method: 'DELETE', url: `/sessions/${id}`, headers: { cookie } });

async function list(app: App, cookie: string) {
  return (await app.inject({ url: '/sessions', headers: { cookie } })).json().sessions;
}

/** One more device of a user who has signed up. */
async function signIn(app: App, user: { email: string; password: string }, userAgent = 'test') {
  const { email, password } = user;
  const headers = { 'user-agent': userAgent };
  const response = await app.inject({ method: 'POST', url: '/login', payload: { email, password }, headers });
  return cookieHeader(cookieOf(response).value);
}

async function isAlive(app: App, cookie: string): Promise<boolean> {
  return (await app.inject({ method: 'POST', url: '/token', headers: { cookie } })).statusCode === 200;
}

test('sign-out ends the session and takes the cookie away', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  t.ok(await isAlive(app, cookie));
  const response = await logOut(app, cookie);
  t.equal(response.statusCode, 204);
  t.equal(response.body, '');
  t.equal(response.headers['clear-site-data'], '"storage"', 'clearing the cache takes seconds');
  t.equal(
    response.headers['set-cookie'],
    '__Host-g_token=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax',
  );
  t.notOk(await isAlive(app, cookie));
});

test('sign-out without a live session is 401, and takes a dead cookie away', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  await logOut(app, cookie);
  const unknown = cookieHeader(Buffer.alloc(32, 7).toString('base64url'));
  for (const [sent, cleared] of [
    ['', 0],
    ['a=b', 0],
    [cookieHeader('nonsense'), 1],
    [unknown, 1],
    [cookie, 1],
  ] as const) {
    const response = await logOut(app, sent);
    t.equal(response.statusCode, 401);
    t.equal(codeOf(response), 'not_signed_in');
    t.equal(response.cookies.length, cleared, sent);
    for (const { name, value, maxAge } of response.cookies) {
      t.strictSame({ name, value, maxAge }, { name: '__Host-g_token', value: '', maxAge: 0 });
    }
    t.notOk('clear-site-data' in response.headers);
  }
});

test('a body that says something is not ignored where none is needed', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const headers = { cookie };
  for (const [method, url] of [
    ['POST', '/logout'],
    ['DELETE', '/sessions'],
  ] as const) {
    const response = await app.inject({ method, url, headers, payload: { everywhere: true } });
    t.equal(response.statusCode, 400, url);
    t.equal(codeOf(response), 'validation_failed');
    t.strictSame(response.json().errors, [{ path: '/everywhere', message: 'is not a known field' }]);
    t.ok(await isAlive(app, cookie), 'and nothing was ended');
  }
  for (const [method, url] of [
    ['DELETE', '/sessions'],
    ['POST', '/logout'],
  ] as const) {
    t.equal((await app.inject({ method, url, headers, payload: {} })).statusCode, 204, `${url} takes {}`);
  }
});

test('lists where the user is signed in, the latest used first, the own session marked', async (t) => {
  const { app, advance } = await build(t);
  const user = await signUp(app);
  await signUp(app);
  await advance(60_000);
  const tablet = await signIn(app, user, `Tablet ${'x'.repeat(1000)}`);
  const sessions = await list(app, tablet);
  t.equal(sessions.length, 2);
  const [newest, oldest] = sessions;
  t.strictSame([newest.current, oldest.current], [true, false]);
  t.strictSame(
    (await list(app, user.cookie)).map((session: { current: boolean }) => session.current),
    [false, true],
  );
  t.equal(newest.user_agent, `Tablet ${'x'.repeat(505)}`);
  t.strictSame(Object.keys(newest), [
    ...['id', 'current', 'created_at', 'last_seen_at', 'expires_at', 'ip', 'user_agent'],
  ]);
  t.equal(newest.ip, '127.0.0.1');
  t.equal(Date.parse(newest.expires_at) - Date.parse(newest.created_at), 30 * 86_400_000);
  t.equal(newest.last_seen_at, newest.created_at);
});

test('lists in parts, with the own session marked wherever it is', async (t) => {
  const { app } = await build(t);
  const user = await signUp(app);
  for (let n = 0; n < 4; n += 1) await signIn(app, user);
  const whole = await list(app, user.cookie);
  const part = async (query: string) =>
    (await app.inject({ url: `/sessions${query}`, headers: { cookie: user.cookie } })).json();
  t.strictSame(await part(''), { sessions: whole, next: null });
  t.strictSame(await part('?limit=5'), { sessions: whole, next: null });
  const parts = [await part('?limit=2')];
  while (parts.length < 4 && parts.at(-1).next !== null)
    parts.push(await part(`?limit=2&after=${parts.at(-1).next}`));
  t.strictSame(
    parts.map(({ sessions }) => sessions.length),
    [2, 2, 1],
  );
  t.strictSame(
    parts.flatMap(({ sessions }) => sessions),
    whole,
  );
  t.equal(whole.filter((session: { current: boolean }) => session.current).length, 1);
});

test('refuses a part that makes no sense', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  for (const [query, path] of [
    ['limit=0', '/limit'],
    ['limit=101', '/limit'],
    ['limit=1.5', '/limit'],
    ['limit=', '/limit'],
    ['limit=1&limit=2', '/limit'],
    ['after=', '/after'],
    ['after=1', '/after'],
    [`after=${randomUUID()}`, '/after'],
    ["after=1.' or 1", '/after'],
    ['page=2', '/page'],
  ] as const) {
    const response = await app.inject({ url: `/sessions?${query}`, headers: { cookie } });
    t.equal(codeOf(response), 'validation_failed', query);
    t.equal(response.json().errors[0].path, path);
  }
  const nowhere = `after=9999999999999999.${randomUUID()}`;
  t.equal((await app.inject({ url: `/sessions?${nowhere}`, headers: { cookie } })).statusCode, 200);
});

test('a new sign-in ends the oldest session beyond SESSIONS_PER_USER', async (t) => {
  const { app } = await build(t, { SESSIONS_PER_USER: '2' });
  const [user, stranger] = [await signUp(app), await signUp(app)];
  const phone = await signIn(app, user);
  const tablet = await signIn(app, user);
  const alive = () => Promise.all([user.cookie, phone, tablet].map((cookie) => isAlive(app, cookie)));
  t.strictSame(await alive(), [false, true, true]);
  const { email, password } = user;
  const again = { method: 'POST', url: '/login', headers: { cookie: tablet } } as const;
  t.equal((await app.inject({ ...again, payload: { email, password } })).statusCode, 200);
  t.strictSame(await alive(), [false, true, false], 'the session that it replaces is not counted');
  t.ok(await isAlive(app, stranger.cookie));
});

test('racing sign-ins of one user leave the bound, on two replicas, and none fails', async (t) => {
  const place = await createPlace(t);
  const settings = { SESSIONS_PER_USER: '5' };
  const [one, other] = [await build(t, settings, place), await build(t, settings, place)];
  const users = [await signUp(one.app), await signUp(one.app)];
  const { email, password } = users[0] as (typeof users)[0];
  const cookies = [users[0]?.cookie ?? '', users[1]?.cookie ?? ''];
  // Some replace a session of the other user, and some end all others meanwhile.
  const attempts = Array.from({ length: 30 }, (_, n) => {
    const { app } = n % 2 === 0 ? one : other;
    const { email, password } = users[n % 3 === 0 ? 1 : 0] as (typeof users)[0];
    const headers = { cookie: n % 5 === 0 ? (cookies[n % 2] ?? '') : '' };
    return app.inject({ method: 'POST', url: '/login', payload: { email, password }, headers });
  });
  const answers = await Promise.all(attempts);
  t.strictSame([...new Set(answers.map(({ statusCode }) => statusCode))], [200]);
  const open = await runSql<{ n: string }>(
    place.DATABASE_URL,
    'select count(*) as n from sessions where ended_at is null group by user_id',
  );
  t.ok(open.length > 0 && open.every(({ n }) => Number(n) <= 5), JSON.stringify(open));
  const newest = await signIn(one.app, { email, password });
  const ending = [one, other].map(({ app }) =>
    app.inject({ method: 'DELETE', url: '/sessions', headers: { cookie: newest } }),
  );
  const racing = [signIn(one.app, { email, password }), signIn(other.app, { email, password })];
  await Promise.all(racing);
  t.strictSame(
    (await Promise.all(ending)).map(({ statusCode }) => statusCode),
    [204, 204],
  );
  t.ok(await isAlive(one.app, newest));
});

test('SESSIONS_PER_USER=0 is no bound', async (t) => {
  const { app } = await build(t, { SESSIONS_PER_USER: '0' });
  const user = await signUp(app);
  for (let n = 0; n < 3; n += 1) await signIn(app, user);
  t.equal((await list(app, user.cookie)).length, 4);
});

test('after a burst of unknown cookies from its address, a user who signs in is served', async (t) => {
  const place = await createPlace(t);
  const [one, other] = [await build(t, {}, place), await build(t, {}, place)];
  const known = await signUp(one.app);
  for (const { app } of [one, other])
    for (let n = 0; n < 310; n += 1)
      await app.inject({ url: '/me', headers: { cookie: cookieHeader(createGenerateToken()) } });
  const unknown = { cookie: cookieHeader(createGenerateToken()) };
  t.equal((await one.app.inject({ url: '/sessions', headers: unknown })).statusCode, 429);
  const cookies = [await signIn(one.app, known), (await signUp(one.app)).cookie];
  for (const { app } of [one, other])
    for (const cookie of cookies)
      t.equal((await app.inject({ url: '/sessions', headers: { cookie } })).statusCode, 200);
});

test('tells a session without a User-Agent', async (t) => {
  const { app } = await build(t);
  const user = await signUp(app);
  const { email, password } = user;
  // Undefined, because `inject` would send a User-Agent of its own.
  const headers = { 'user-agent': undefined };
  await app.inject({ method: 'POST', url: '/login', payload: { email, password }, headers });
  const agents = (await list(app, user.cookie)).map((session: { user_agent: unknown }) => session.user_agent);
  t.ok(agents.includes(null), agents);
});

test('leaves out sessions that are over', async (t) => {
  const { app, advance } = await build(t);
  const user = await signUp(app);
  const ended = await signIn(app, user);
  await logOut(app, ended);
  t.equal((await list(app, user.cookie)).length, 1);
  await advance(14 * 86_400_000);
  const current = await signIn(app, user);
  t.equal((await list(app, current)).length, 1);
});

test('ends one other session', async (t) => {
  const { app } = await build(t);
  const user = await signUp(app);
  const [phone, tablet] = [await signIn(app, user), await signIn(app, user)];
  const { id } = (await list(app, phone)).find((session: { current: boolean }) => session.current);
  const response = await endSession(app, user.cookie, id);
  t.equal(response.statusCode, 204);
  t.strictSame(response.cookies, []);
  t.strictSame(await Promise.all([user.cookie, phone, tablet].map((cookie) => isAlive(app, cookie))), [
    true,
    false,
    true,
  ]);
  t.equal(codeOf(await endSession(app, user.cookie, id)), 'not_found');
});

test('ending the own session takes the cookie away', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const [{ id }] = await list(app, cookie);
  const response = await endSession(app, cookie, id);
  t.equal(response.statusCode, 204);
  t.equal(cookieOf(response).maxAge, 0);
  t.notOk(await isAlive(app, cookie));
});

test("another user's session is not found, like one that never was", async (t) => {
  const { app } = await build(t);
  const [user, stranger] = [await signUp(app), await signUp(app)];
  const [{ id }] = await list(app, stranger.cookie);
  const bodies = new Set<string>();
  for (const foreign of [id, id.toUpperCase(), randomUUID()]) {
    const response = await endSession(app, user.cookie, foreign);
    t.equal(response.statusCode, 404);
    t.equal(codeOf(response), 'not_found');
    bodies.add(response.body);
  }
  t.equal(bodies.size, 1);
  t.ok(await isAlive(app, stranger.cookie));
});

test('a session id that is not a UUID is refused', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  for (const id of ['1', 'x', '%00', `${randomUUID()}x`, '%27%20or%201=1', '%F0%9F%94%91']) {
    const response = await endSession(app, cookie, id);
    t.equal(response.statusCode, 400, id);
    t.same(
      [codeOf(response), response.json().errors],
      ['validation_failed', [{ path: '/id', message: 'must be a UUID' }]],
    );
  }
});

test('ends all sessions but the own one', async (t) => {
  const { app } = await build(t);
  const [user, stranger] = [await signUp(app), await signUp(app)];
  const others = [await signIn(app, user), await signIn(app, user)];
  const end = () => app.inject({ method: 'DELETE', url: '/sessions', headers: { cookie: user.cookie } });
  t.equal((await end()).statusCode, 204);
  t.strictSame(await Promise.all(others.map((cookie) => isAlive(app, cookie))), [false, false]);
  t.ok(await isAlive(app, user.cookie));
  t.ok(await isAlive(app, stranger.cookie));
  t.equal((await end()).statusCode, 204, 'also when there are none');
});

test('nobody sees or ends sessions without being signed in', async (t) => {
  const { app } = await build(t);
  for (const [method, url] of [
    ['GET', '/sessions'],
    ['DELETE', '/sessions'],
    ['DELETE', `/sessions/${randomUUID()}`],
  ] as const) {
    for (const cookie of ['', cookieHeader('x'), cookieHeader(Buffer.alloc(32).toString('base64url'))]) {
      const response = await app.inject({ method, url, headers: { cookie } });
      t.equal(response.statusCode, 401);
      t.equal(codeOf(response), 'not_signed_in');
    }
  }
});

test('the database keeps only the SHA-256 of the generate token', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  const { token } = await signUp(app);
  const [row] = await runSql<{ ok: boolean }>(
    place.DATABASE_URL,
    `select generate_token = sha256('${token}') as ok from sessions`,
  );
  t.strictSame(row, { ok: true });
});
