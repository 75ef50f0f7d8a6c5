import { test } from 'tap';
import {
  build,
  buildEmbedded,
  codeOf,
  cookieHeader,
  cookieOf,
  createPlace,
  runSql,
  signUp,
} from '../helper.ts';
import { listen } from '../support/listen.ts';

const HOUR_MS = 3_600_000;

for (const [name, start] of [
  ['PostgreSQL', build],
  ['PGlite', buildEmbedded],
] as const) {
  test(`an export is one document with all that is held on the user, on ${name}`, async (t) => {
    const { app } = await start(t, { ACCOUNT_DELETION_DELAY: '7d' });
    const { cookie, user, email } = await signUp(app);
    const headers = { cookie, 'user-agent': 'Lynx' };
    const metadata = { fooBar: { bazQux: [1] } };
    await app.inject({ method: 'PATCH', url: '/me', headers, payload: { display_name: 'Ada', metadata } });
    const response = await app.inject({ url: '/me/export', headers });
    t.equal(response.statusCode, 200);
    t.match(response.headers, {
      'content-type': 'application/json; charset=utf-8',
      'content-disposition': 'attachment; filename="account.json"',
      'cache-control': 'no-store',
    });
    const held = response.json();
    t.same(Object.keys(held), [
      ...['schema_version', 'exported_at', 'left_out', 'user', 'sessions', 'codes', 'audit_events'],
    ]);
    t.equal(held.schema_version, 1);
    t.ok(Math.abs(Date.parse(held.exported_at) - Date.now()) < 60_000);
    t.match(held.left_out, [/hashes/, /wrong passwords/, /Mails/]);
    t.strictSame(Object.keys(held.user).sort(), [
      ...['ban_reason', 'banned_at', 'banned_until', 'claims_version', 'created_at', 'credentials_version'],
      ...['deletion_due_at', 'display_name', 'email', 'email_as_typed', 'email_verified_at', 'external_id'],
      ...[
        'has_password',
        'id',
        'locale',
        'metadata',
        'password_breached_at',
        'roles',
        'status',
        'updated_at',
      ],
    ]);
    t.match(held.user, {
      id: user.id,
      email,
      display_name: 'Ada',
      has_password: true,
      deletion_due_at: null,
    });
    t.strictSame(held.user.metadata, metadata, 'what the app keeps is as the app wrote it');
    t.match(held.sessions, [{ id: String, amr: ['pwd'], ip: '127.0.0.1', ended_at: null }]);
    t.strictSame(Object.keys(held.sessions[0]).sort(), [
      ...['acr', 'amr', 'authenticated_at', 'created_at', 'end_reason', 'ended_at', 'expires_at', 'id'],
      ...['idle_expires_at', 'ip', 'last_seen_at', 'user_agent'],
    ]);
    t.match(held.audit_events.filter(({ kind }: { kind: string }) => kind.startsWith('account.')).slice(-2), [
      { kind: 'account.profile_changed', details: { changed: ['display_name', 'metadata'] } },
      { kind: 'account.exported', user_agent: 'Lynx', session_id: held.sessions[0].id },
    ]);
  });
}

test('an export has nothing of others, and nothing to sign in with', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  const [user, other] = [await signUp(app), await signUp(app)];
  const { body } = await app.inject({ url: '/me/export', headers: { cookie: user.cookie } });
  t.notMatch(body, new RegExp(`${other.email}|${other.user.id}`));
  const secrets = await runSql<{ token: string; hash: string }>(
    place.DATABASE_URL,
    `select encode(generate_token, 'hex') as token, password_hash as hash from sessions join users on users.id = user_id`,
  );
  for (const { token, hash } of secrets) t.notOk(body.includes(token) || body.includes(hash));
  t.notOk(body.includes(user.token) || body.includes(user.password) || /argon2/.test(body));
});

test('sessions that have ended are in it too, however many there are', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  const user = await signUp(app);
  await runSql(
    place.DATABASE_URL,
    `insert into sessions (id, user_id, generate_token, expires_at, idle_expires_at, ended_at, end_reason)
     select gen_random_uuid(), '${user.user.id}', sha256(n::text::bytea), now(), now(), now(), 'signed_out'
     from generate_series(1, 2000) as n`,
  );
  const held = (await app.inject({ url: '/me/export', headers: { cookie: user.cookie } })).json();
  t.equal(new Set(held.sessions.map(({ id }: { id: string }) => id)).size, 2_001);
});

test('an export is for those who are signed in, and ten times an hour', async (t) => {
  const { app, advance } = await build(t);
  const [user, other] = [await signUp(app), await signUp(app)];
  const ask = (cookie: string) => app.inject({ url: '/me/export', headers: { cookie } });
  t.equal(codeOf(await ask('')), 'not_signed_in');
  for (let time = 0; time < 10; time += 1) t.equal((await ask(user.cookie)).statusCode, 200);
  const refused = await ask(user.cookie);
  t.equal(codeOf(refused), 'rate_limited');
  t.ok(Number(refused.headers['retry-after']) > 3_000);
  t.equal((await ask(other.cookie)).statusCode, 200);
  await advance(HOUR_MS);
  t.equal((await ask(user.cookie)).statusCode, 200);
});

test('an account that is gone has no export, although the cache still has the session', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  const { cookie } = await signUp(app);
  await runSql(place.DATABASE_URL, 'delete from users');
  t.equal(codeOf(await app.inject({ url: '/me/export', headers: { cookie } })), 'not_signed_in');
  t.same(await runSql(place.DATABASE_URL, `select id from audit_events where kind = 'account.exported'`), []);
});

test('a document that the database cut off is no document', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  const { cookie } = await signUp(app);
  const url = `http://127.0.0.1:${await listen(t, app)}/me/export`;
  const whole = await fetch(url, { headers: { cookie } });
  t.match(await whole.json(), { schema_version: 1 });
  await runSql(place.DATABASE_URL, 'alter table one_time_codes rename to away');
  await t.rejects(fetch(url, { headers: { cookie } }).then((response) => response.json()));
});

test('a sign-in elsewhere shows in the export of any session', async (t) => {
  const { app } = await build(t);
  const { cookie, email, password } = await signUp(app);
  const login = { method: 'POST', url: '/login', payload: { email, password } } as const;
  const other = cookieHeader(cookieOf(await app.inject(login)).value);
  for (const one of [cookie, other])
    t.equal((await app.inject({ url: '/me/export', headers: { cookie: one } })).json().sessions.length, 2);
});
