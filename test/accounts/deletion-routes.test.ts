import { test } from 'tap';
import {
  appOrigin,
  build,
  buildEmbedded,
  codeOf,
  cookieHeader,
  cookieOf,
  createPlace,
  type Place,
  runSql,
  signUp,
  type TestApp,
} from '../helper.ts';

type App = TestApp['app'];

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const WITH_DELAY = { ACCOUNT_DELETION_DELAY: '7d' };

const send = (app: App, method: 'POST' | 'DELETE', url: string, cookie?: string, payload?: object) =>
  app.inject({ method, url, headers: { ...(cookie && { cookie }) }, ...(payload && { payload }) });

const signIn = (app: App, { email, password }: { email: string; password: string }) =>
  send(app, 'POST', '/login', undefined, { email, password });

async function isAlive(app: App, cookie: string): Promise<boolean> {
  return (await send(app, 'POST', '/token', cookie)).statusCode === 200;
}

async function me(app: App, cookie: string) {
  return (await app.inject({ url: '/me', headers: { cookie } })).json().user;
}

const kindsOf = async ({ DATABASE_URL }: Place, userId: string): Promise<string[]> => {
  const statement = `select kind from audit_events where user_id = '${userId}' order by id`;
  return (await runSql<{ kind: string }>(DATABASE_URL, statement)).map(({ kind }) => kind);
};

for (const [name, start] of [
  ['PostgreSQL and Redis', build],
  ['PGlite and memory', buildEmbedded],
] as const) {
  test(`an account is deleted at once, and its address is free, on ${name}`, async (t) => {
    const { app } = await start(t);
    const user = await signUp(app);
    const other = cookieHeader(cookieOf(await signIn(app, user)).value);
    t.ok((await isAlive(app, user.cookie)) && (await isAlive(app, other)));
    const response = await send(app, 'DELETE', '/me', user.cookie, { password: user.password });
    t.equal(response.statusCode, 204);
    t.equal(response.body, '');
    t.match(response.headers['set-cookie'], /^__Host-g_token=; Max-Age=0;/);
    t.equal(response.headers['clear-site-data'], '"storage"');
    t.notOk((await isAlive(app, user.cookie)) || (await isAlive(app, other)));
    t.equal(codeOf(await signIn(app, user)), 'invalid_credentials');
    const { email, password } = user;
    const again = await signUp(app, { email, password });
    t.not(again.user.id, user.user.id);
  });
}

test('a deletion ends the sessions on every replica, whose cache has them', async (t) => {
  const place = await createPlace(t);
  const [one, two] = [await build(t, {}, place), await build(t, {}, place)];
  const user = await signUp(one.app);
  t.ok(await isAlive(two.app, user.cookie));
  t.equal((await send(one.app, 'DELETE', '/me', user.cookie)).statusCode, 204);
  t.notOk(await isAlive(two.app, user.cookie));
  t.equal(codeOf(await two.app.inject({ url: '/me', headers: { cookie: user.cookie } })), 'not_signed_in');
});

test('only the owner deletes an account: by the password, or soon after signing in', async (t) => {
  const { app, advance } = await build(t);
  const user = await signUp(app);
  t.equal(codeOf(await send(app, 'DELETE', '/me')), 'not_signed_in');
  const wrong = await send(app, 'DELETE', '/me', user.cookie, { password: `${user.password}x` });
  t.equal(codeOf(wrong), 'invalid_credentials');
  t.strictSame(wrong.cookies, []);
  await advance(11 * MINUTE_MS);
  t.equal(codeOf(await send(app, 'DELETE', '/me', user.cookie)), 'reauthentication_required');
  t.ok(await isAlive(app, user.cookie));
  const { password } = user;
  t.equal((await send(app, 'DELETE', '/me', user.cookie, { password })).statusCode, 204);
});

test('neither a page of others nor an unknown field deletes anything', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const headers = { cookie, origin: 'https://evil.example' };
  t.equal(codeOf(await app.inject({ method: 'DELETE', url: '/me', headers })), 'origin_not_allowed');
  const undo = { method: 'POST', url: '/me/undo-deletion', headers } as const;
  t.equal(codeOf(await app.inject(undo)), 'origin_not_allowed');
  t.equal(codeOf(await send(app, 'DELETE', '/me', cookie, { confirm: true })), 'validation_failed');
  t.ok(await isAlive(app, cookie));
  const own = { method: 'DELETE', url: '/me', headers: { cookie, origin: appOrigin } } as const;
  t.equal((await app.inject(own)).statusCode, 204);
});

test('of many deletions at the same time one is done, and no sign-in comes in between', async (t) => {
  const place = await createPlace(t);
  const [one, two] = [await build(t, {}, place), await build(t, {}, place)];
  const user = await signUp(one.app);
  const race = await Promise.all([
    ...[one, two, one, two].map(({ app }) => send(app, 'DELETE', '/me', user.cookie)),
    ...[one, two, one, two].map(({ app }) => signIn(app, user)),
  ]);
  const statuses = race.map(({ statusCode }) => statusCode);
  t.equal(statuses.slice(0, 4).filter((status) => status === 204).length, 1, statuses.join());
  t.ok(
    statuses.slice(0, 4).every((status) => status === 204 || status === 401),
    statuses.join(),
  );
  t.ok(
    statuses.slice(4).every((status) => status === 200 || status === 401),
    statuses.join(),
  );
  for (const answer of race.slice(4))
    if (answer.statusCode === 200) t.notOk(await isAlive(two.app, cookieHeader(cookieOf(answer).value)));
  t.same(await runSql(place.DATABASE_URL, 'select id from users'), []);
});

test('with a delay the account waits, its sessions end, and signing in shows until when', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, WITH_DELAY, place);
  const user = await signUp(app);
  const other = cookieHeader(cookieOf(await signIn(app, user)).value);
  const response = await send(app, 'DELETE', '/me', user.cookie);
  t.equal(response.statusCode, 202);
  t.match(response.headers['set-cookie'], /^__Host-g_token=; Max-Age=0;/);
  const { deletion_due_at } = response.json();
  const inMs = Date.parse(deletion_due_at) - Date.now();
  t.ok(Math.abs(inMs - 7 * DAY_MS) < MINUTE_MS, `${inMs} ms`);
  t.notOk((await isAlive(app, user.cookie)) || (await isAlive(app, other)));

  const back = await signIn(app, user);
  t.equal(back.statusCode, 200);
  t.equal(back.json().user.deletion_due_at, deletion_due_at);
  const cookie = cookieHeader(cookieOf(back).value);
  t.equal((await me(app, cookie)).deletion_due_at, deletion_due_at);
  const again = await send(app, 'DELETE', '/me', cookie);
  t.strictSame(again.json(), { deletion_due_at }, 'asking again puts it off no further');
  t.same(
    (await kindsOf(place, user.user.id)).filter((kind) => kind.startsWith('account.deletion')),
    ['account.deletion_asked'],
  );
});

test('whoever signs in again can keep the account', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, WITH_DELAY, place);
  const user = await signUp(app);
  await send(app, 'DELETE', '/me', user.cookie);
  t.equal(codeOf(await send(app, 'POST', '/me/undo-deletion')), 'not_signed_in');
  t.equal(codeOf(await send(app, 'POST', '/me/undo-deletion', user.cookie)), 'not_signed_in');
  const cookie = cookieHeader(cookieOf(await signIn(app, user)).value);
  for (let time = 0; time < 2; time += 1) {
    const response = await send(app, 'POST', '/me/undo-deletion', cookie);
    t.equal(response.statusCode, 200);
    t.strictSame(response.json(), { status: 'undone' });
  }
  t.equal((await me(app, cookie)).deletion_due_at, null);
  const kinds = await kindsOf(place, user.user.id);
  t.equal(kinds.filter((kind) => kind === 'account.deletion_undone').length, 1);
});

test('a code that is none keeps nothing', async (t) => {
  const { app } = await build(t, WITH_DELAY);
  const { email, cookie } = await signUp(app);
  const undo = (payload: object) => send(app, 'POST', '/me/undo-deletion', cookie, payload);
  t.equal(codeOf(await undo({ code: 'A'.repeat(43) })), 'invalid_code');
  t.equal(codeOf(await undo({ code: 'AAAA-AAAA', email })), 'invalid_code');
  t.equal(codeOf(await undo({ code: 'AAAA-AAAA', email: 'nobody' })), 'validation_failed');
  const withoutCode = await undo({ email });
  t.equal(codeOf(withoutCode), 'validation_failed');
  t.match(withoutCode.json().errors, [{ path: '/code' }]);
});
