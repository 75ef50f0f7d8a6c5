import { test } from 'tap';
import {
  appOrigin,
  build,
  buildEmbedded,
  codeOf,
  createPlace,
  runSql,
  signUp,
  type TestApp,
} from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { listen } from '../support/listen.ts';

const MERGE_PATCH = 'application/merge-patch+json';

type App = TestApp['app'];

const patch = (app: App, cookie: string, payload: object | string, headers: Record<string, string> = {}) =>
  app.inject({
    method: 'PATCH',
    url: '/me',
    payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
    headers: { cookie, 'content-type': MERGE_PATCH, ...headers },
  });

async function me(app: App, cookie: string) {
  return (await app.inject({ url: '/me', headers: { cookie } })).json().user;
}

for (const [name, start] of [
  ['PostgreSQL', build],
  ['PGlite', buildEmbedded],
] as const) {
  test(`a profile is changed in part, and seen so from then on, on ${name}`, async (t) => {
    const { app } = await start(t);
    const { cookie, user } = await signUp(app);
    t.match(user, { display_name: null, locale: null, metadata: {}, password_leaked: false });
    const all = {
      display_name: 'Zoë',
      locale: 'de-AT',
      metadata: { theme: 'dark', tours: { seen: [1, 2] } },
    };
    const first = await patch(app, cookie, all);
    t.equal(first.statusCode, 200);
    t.strictSame(first.json(), { user: { ...user, ...all } });
    const second = await patch(app, cookie, { metadata: { theme: null, tours: { next: 'b"\u2028' } } });
    t.strictSame(second.json().user.metadata, { tours: { seen: [1, 2], next: 'b"\u2028' } });
    t.strictSame(await me(app, cookie), second.json().user);
    const removed = await patch(app, cookie, { display_name: null, locale: null, metadata: null });
    t.strictSame(removed.json(), { user });
  });
}

test('a patch may be sent as plain JSON too; another type is refused, and a patch elsewhere', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const body = { display_name: 'Ada' };
  for (const type of ['application/json', `${MERGE_PATCH}; charset=utf-8`])
    t.equal((await patch(app, cookie, body, { 'content-type': type })).statusCode, 200, type);
  for (const type of ['application/json-patch+json', 'text/plain', `${MERGE_PATCH}; charset=latin1`])
    t.equal(codeOf(await patch(app, cookie, body, { 'content-type': type })), 'unsupported_media_type', type);
  const elsewhere = await app.inject({
    method: 'POST',
    url: '/token',
    payload: '{}',
    headers: { cookie, 'content-type': MERGE_PATCH },
  });
  t.equal(codeOf(elsewhere), 'unsupported_media_type');
});

test('what is no patch of a profile is refused, with the place that is wrong', async (t) => {
  const { app } = await build(t);
  const { cookie, user } = await signUp(app);
  for (const [body, path] of [
    [{ email: 'eve@example.com' }, '/email'],
    [{ id: user.id }, '/id'],
    [{ display_name: 'Ada', deletion_due_at: null }, '/deletion_due_at'],
    [{ display_name: 1 }, '/display_name'],
    [{ display_name: 'a\0b' }, '/display_name'],
    [{ locale: ['de'] }, '/locale'],
    [{ metadata: [] }, '/metadata'],
    [{ metadata: 'x' }, '/metadata'],
    [[], ''],
    ['null', ''],
    ['', ''],
  ] as const) {
    const response = await patch(app, cookie, body);
    t.equal(codeOf(response), 'validation_failed', JSON.stringify(body));
    t.equal(response.json().errors[0].path, path, JSON.stringify(body));
  }
  for (const body of ['{', '{"metadata":{"__proto__":{"a":1}}}', '{"locale":"de","locale":"fr"}'])
    t.equal(codeOf(await patch(app, cookie, body)), 'malformed_request', body);
  t.strictSame(await me(app, cookie), user, 'nothing was changed');
});

test('of twenty patches at the same time none is lost', async (t) => {
  const place = await createPlace(t);
  const [one, two] = [await build(t, {}, place), await build(t, {}, place)];
  const { cookie } = await signUp(one.app);
  const names = Array.from({ length: 20 }, (_, index) => `n${index}`);
  // A machine that stalls may answer 503: then the patch is sent again.
  const send = (app: App, metadata: object) =>
    eventually(async () => {
      const { statusCode, body } = await patch(app, cookie, { metadata });
      if (statusCode !== 200) throw new Error(body);
    });
  await Promise.all(names.map((name, index) => send(index % 2 === 0 ? one.app : two.app, { [name]: index })));
  const { metadata } = await eventually(() => me(one.app, cookie));
  t.same(Object.keys(metadata).sort(), names.sort());
});

test('a change is on record with the names of what was changed, and without the values', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  const { cookie, user } = await signUp(app);
  const events = () =>
    runSql<{ user_id: string; actor_id: string; session_id: string; ip: string; details: object }>(
      place.DATABASE_URL,
      `select * from audit_events where kind = 'account.profile_changed'`,
    );
  await patch(app, cookie, {});
  await patch(app, cookie, { display_name: null });
  t.same(await events(), [], 'nothing was changed');
  await patch(app, cookie, { display_name: 'Ada', metadata: { plan: 'gold' } });
  const [event, ...others] = await events();
  t.same(others, []);
  t.match(event, { user_id: user.id, actor_id: user.id, ip: '127.0.0.1', session_id: /^[\da-f-]{36}$/ });
  t.strictSame(event?.details, { changed: ['display_name', 'metadata'] });
});

test('a profile is for those who are signed in, and not for pages of others', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  const { cookie } = await signUp(app);
  const body = { display_name: 'Eve' };
  t.equal(codeOf(await patch(app, '', body)), 'not_signed_in');
  t.equal(codeOf(await patch(app, cookie, body, { origin: 'https://evil.example' })), 'origin_not_allowed');
  t.equal((await patch(app, cookie, body, { origin: appOrigin })).statusCode, 200);
  await runSql(place.DATABASE_URL, 'delete from users');
  t.equal(codeOf(await patch(app, cookie, body)), 'not_signed_in', 'the cache still has the session');
});

test('patches are under the limit of the network', async (t) => {
  const { app } = await build(t, { CREDENTIAL_RATE_LIMIT: '2' });
  const { cookie } = await signUp(app);
  t.equal((await patch(app, cookie, {})).statusCode, 200);
  t.equal(codeOf(await patch(app, cookie, {})), 'rate_limited');
});

test('a browser may send a patch from an allowed page, over a real socket', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const url = `http://127.0.0.1:${await listen(t, app)}/me`;
  const preflight = await fetch(url, {
    method: 'OPTIONS',
    headers: {
      origin: appOrigin,
      'access-control-request-method': 'PATCH',
      'access-control-request-headers': 'content-type',
    },
  });
  t.equal(preflight.status, 204);
  t.match(preflight.headers.get('access-control-allow-methods'), /\bPATCH\b/);
  t.equal(preflight.headers.get('access-control-allow-headers'), 'content-type');
  t.equal(preflight.headers.get('access-control-allow-origin'), appOrigin);
  const answer = await fetch(url, {
    method: 'PATCH',
    headers: { origin: appOrigin, cookie, 'content-type': MERGE_PATCH },
    body: '{"display_name":"Ada"}',
  });
  t.equal(answer.status, 200);
  t.equal(answer.headers.get('access-control-allow-origin'), appOrigin);
  t.match(await answer.json(), { user: { display_name: 'Ada' } });
});
