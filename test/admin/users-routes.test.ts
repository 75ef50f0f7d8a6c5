import { randomUUID } from 'node:crypto';
import { test } from 'tap';
import { codeOf, cookieHeader, cookieOf, newCredentials, signUp } from '../helper.ts';
import { openAdminWorld } from '../support/admin-world.ts';

const DAY_MS = 24 * 3_600_000;

test('operators and the accounts of users', async (t) => {
  const world = await openAdminWorld(t);
  const { app, admin, call, eventsOf, signIn, catcher, openSessions, rowOf } = world;
  const tokenStatus = async (cookie: string) =>
    (await app.inject({ method: 'POST', url: '/token', headers: { cookie } })).statusCode;
  const resetBy = (code: string, password: string) =>
    app.inject({ method: 'POST', url: '/password/reset', payload: { code, password } });
  const codeIn = (text: string) => String(/#code=([\w-]{43})/.exec(text)?.[1]);

  t.test('an account is made with all that an operator says of it, and can be signed in to', async (t) => {
    const { email, password } = newCredentials();
    const wish = {
      ...{ email: email.toUpperCase(), password, email_verified: true, display_name: ' Ada ', locale: 'de' },
      metadata: { plan: 'pro' },
    };
    const response = await call('POST', '/users', wish);
    t.equal(response.statusCode, 201);
    const made = response.json();
    t.match(made, {
      ...{ email, email_as_typed: email.toUpperCase(), email_verified: true, display_name: 'Ada' },
      ...{ locale: 'de', metadata: { plan: 'pro' }, roles: [], status: 'active', has_password: true },
      ...{ banned_at: null, banned_until: null, ban_reason: null, external_id: null },
      deletion_due_at: null,
    });
    t.match(made.created_at, /^\d{4}-.*Z$/);
    t.same((await call('GET', `/users/${made.id}`)).json(), made);
    t.equal((await signIn({ email, password })).statusCode, 200);
    const [event] = await eventsOf(made.id);
    t.match(event, { kind: 'account.created', actorKind: 'user', actorId: admin.user.id });
    t.same(event?.details, {
      after: { email, has_password: true, email_verified: true },
      invited: false,
    });
    t.type(event?.requestId, 'string');
    t.equal(codeOf(await call('POST', '/users', wish)), 'email_taken');
  });

  t.test('an account is refused for what sign-up would refuse too', async (t) => {
    const { email } = newCredentials();
    t.same((await call('POST', '/users', { email: 'nobody' })).json().errors[0].path, '/email');
    t.same((await call('POST', '/users', { email, password: 'short' })).json().errors[0].path, '/password');
    t.same((await call('POST', '/users', { email, locale: '?' })).json().errors[0].path, '/locale');
    t.equal(codeOf(await call('POST', '/users', { email, roles: ['admin'] })), 'only_on_the_machine');
    t.equal(codeOf(await call('POST', '/users', { email, is_admin: true })), 'validation_failed');
    t.same((await call('GET', `/users?search=${email}`)).json().users, [], 'nothing is left of it');
  });

  t.test('an invitation is a mail whose code sets the password within seven days', async (t) => {
    const { email, password } = newCredentials();
    const made = (await call('POST', '/users', { email, invite: true, locale: 'de' })).json();
    t.match(made, { has_password: false, email_verified: false });
    t.equal(codeOf(await signIn({ email, password })), 'invalid_credentials');
    const mail = await catcher.next(email);
    t.match(mail.subject, /Einladung/);
    await world.advance(7 * DAY_MS - 60_000);
    await world.signInAgain();
    t.equal((await resetBy(codeIn(mail.text), password)).statusCode, 200);
    t.match((await call('GET', `/users/${made.id}`)).json(), { has_password: true, email_verified: true });
    t.equal((await signIn({ email, password })).statusCode, 200);
  });

  t.test('a patch changes what it names, and the audit has it from before and after', async (t) => {
    const ada = await signUp(app);
    const { id } = ada.user;
    const patch = { display_name: 'Ada', metadata: { a: 1 }, email_verified: true };
    const changed = await call('PATCH', `/users/${id}`, patch);
    t.equal(changed.statusCode, 200);
    t.match(changed.json(), { display_name: 'Ada', metadata: { a: 1 }, email_verified: true });
    const event = (await eventsOf(id)).at(-1);
    t.match(event, { kind: 'account.changed', actorId: admin.user.id });
    t.same(event?.details, {
      before: { email_verified: false, display_name: null, metadata: {} },
      after: { email_verified: true, display_name: 'Ada', metadata: { a: 1 } },
    });
    const { updated_at } = changed.json();
    t.equal((await call('PATCH', `/users/${id}`, patch)).json().updated_at, updated_at, 'again is nothing');
    t.equal((await eventsOf(id)).at(-1)?.id, event?.id);
    const taken = await call('PATCH', `/users/${id}`, { email: admin.email });
    t.equal(codeOf(taken), 'email_taken');
    t.same((await call('PATCH', `/users/${id}`, { email_verified: false })).json().email_verified_at, null);
  });

  t.test('a patch may be a JSON Merge Patch by its name', async (t) => {
    const { user } = await signUp(app);
    const response = await app.inject({
      ...{ method: 'PATCH', url: `/admin/users/${user.id}` },
      headers: {
        authorization: await world.bearerOf(admin),
        'content-type': 'application/merge-patch+json',
      },
      payload: JSON.stringify({ display_name: 'Bob' }),
    });
    t.equal(response.json().display_name, 'Bob');
  });

  t.test('another address is told to the former one, which can bring itself back', async (t) => {
    const ada = await signUp(app);
    const { id } = ada.user;
    const { email } = newCredentials();
    await call('PATCH', `/users/${id}`, { email_verified: true });
    const version = Number((await rowOf(id))?.claimsVersion);
    const moved = (await call('PATCH', `/users/${id}`, { email: `X${email}` })).json();
    t.match(moved, { email: `x${email}`, email_as_typed: `X${email}`, email_verified: false });
    t.equal((await rowOf(id))?.claimsVersion, version + 1);
    t.equal((await call('PATCH', `/users/${id}`, { email: `x${email}` })).json().email_as_typed, `x${email}`);
    t.equal((await rowOf(id))?.claimsVersion, version + 1, 'tokens say the canonical one');
    const kinds = (await eventsOf(id)).map(({ kind }) => kind);
    t.same(kinds.slice(-3), ['email.changed', 'account.changed', 'account.changed']);
    const mail = await catcher.next(ada.email);
    t.notMatch(mail.text, /127\.0\.0\.1/, 'not from where the operator did that');
    t.equal(codeOf(await call('POST', '/users', { email: ada.email })), 'email_taken', 'it is reserved');
    const payload = { code: codeIn(mail.text) };
    const undone = await app.inject({ method: 'POST', url: '/email/change/undo', payload });
    t.equal(undone.statusCode, 200);
    t.equal((await call('GET', `/users/${id}`)).json().email, ada.email);
  });

  t.test('another address may be known to be theirs', async (t) => {
    const { user } = await signUp(app);
    const { email } = newCredentials();
    const moved = await call('PATCH', `/users/${user.id}`, { email, email_verified: true });
    t.match(moved.json(), { email, email_verified: true });
  });

  t.test('a ban ends all sessions at once, and keeps the user out until it is lifted', async (t) => {
    const ada = await signUp(app);
    const { id } = ada.user;
    const other = cookieHeader(cookieOf(await signIn(ada)).value);
    t.same([await tokenStatus(ada.cookie), await tokenStatus(other)], [200, 200], 'both are in the cache');
    const banned = await call('POST', `/users/${id}/ban`, { reason: 'spam' });
    t.equal(banned.statusCode, 200);
    t.match(banned.json(), { status: 'banned', ban_reason: 'spam', banned_until: null });
    t.same([await tokenStatus(ada.cookie), await tokenStatus(other)], [404, 404]);
    t.equal(codeOf(await signIn(ada)), 'invalid_credentials');
    t.same((await call('POST', `/users/${id}/ban`, { reason: 'spam' })).json(), banned.json(), 'again');
    const other2 = (await call('POST', `/users/${id}/ban`)).json();
    t.match(other2, { ban_reason: null, banned_at: banned.json().banned_at }, 'another reason, one ban');
    t.match((await call('POST', `/users/${id}/unban`)).json(), { status: 'active', banned_at: null });
    t.equal((await call('POST', `/users/${id}/unban`)).statusCode, 200, 'again is nothing');
    t.equal((await signIn(ada)).statusCode, 200);
    t.equal(await tokenStatus(ada.cookie), 404, 'what has ended stays ended');
    const events = (await eventsOf(id)).filter(({ kind }) => /ban|ended/.test(kind));
    t.same(
      events.map(({ kind, actorId, details }) => [kind, actorId, details]),
      [
        ['session.ended', admin.user.id, { reason: 'banned', count: 2 }],
        ['account.banned', admin.user.id, { before: null, after: { reason: 'spam', until: null } }],
        [
          'account.banned',
          admin.user.id,
          { before: { reason: 'spam', until: null }, after: { reason: null, until: null } },
        ],
        ['account.unbanned', admin.user.id, { before: { reason: null, until: null } }],
      ],
    );
  });

  t.test('a ban with an end is over at it, and a sweep takes it out of the row', async (t) => {
    const ada = await signUp(app);
    const { id } = ada.user;
    const at = Date.parse((await call('GET', `/users/${id}`)).json().created_at);
    for (const until of [new Date(at - 1).toISOString(), '2020-01-01T00:00:00Z'])
      t.same((await call('POST', `/users/${id}/ban`, { until })).json().errors[0].path, '/until');
    for (const no of ['tomorrow', '0000-01-01T00:00:00Z']) {
      t.equal(codeOf(await call('POST', `/users/${id}/ban`, { until: no })), 'validation_failed');
      for (const field of ['created_after', 'created_before'])
        t.same((await call('GET', `/users?${field}=${no}`)).json().errors[0].path, `/${field}`);
    }
    const found = await call('GET', `/users?created_after=1970-01-01&created_before=1970-01-02T00:00:00Z`);
    t.same(found.json(), { users: [], next: null });
    const until = new Date(at + 3_600_000).toISOString();
    for (const _time of [1, 2])
      t.equal((await call('POST', `/users/${id}/ban`, { until })).json().banned_until, until);
    t.equal(codeOf(await signIn(ada)), 'invalid_credentials');
    const inList = async (status: string) =>
      (await call('GET', `/users?search=${ada.email}&status=${status}`)).json().users.length;
    t.same([await inList('banned'), await inList('active')], [1, 0]);
    await world.advance(3_700_000);
    await world.signInAgain();
    t.match((await call('GET', `/users/${id}`)).json(), {
      ...{ status: 'active', banned_at: null, banned_until: null, ban_reason: null },
    });
    t.same([await inList('banned'), await inList('active')], [0, 1]);
    const back = await signIn(ada);
    t.equal(back.statusCode, 200);
    t.equal(await tokenStatus(cookieHeader(cookieOf(back).value)), 200);
  });

  t.test('a forced reset leaves a code as the only way back', async (t) => {
    const ada = await signUp(app);
    const { id } = ada.user;
    const forced = await call('POST', `/users/${id}/force-reset`);
    t.match(forced.json(), { id, has_password: false });
    t.equal(await tokenStatus(ada.cookie), 404);
    t.equal(codeOf(await signIn(ada)), 'invalid_credentials');
    const mail = await catcher.next(ada.email);
    const { password } = newCredentials();
    await world.advance(DAY_MS - 60_000);
    await world.signInAgain();
    t.equal((await resetBy(codeIn(mail.text), password)).statusCode, 200);
    t.equal((await signIn({ email: ada.email, password })).statusCode, 200);
    const event = (await eventsOf(id)).find(({ kind }) => kind === 'password.reset_forced');
    t.same(event?.details, { before: { has_password: true }, after: { has_password: false } });
  });

  t.test('an account is deleted at once, and the owner is told', async (t) => {
    const ada = await signUp(app);
    const { id } = ada.user;
    const response = await call('DELETE', `/users/${id}`);
    t.equal(response.statusCode, 204);
    t.equal(await tokenStatus(ada.cookie), 404);
    t.ok(await catcher.next(ada.email));
    t.equal(
      (await signUp(app, { email: ada.email, password: ada.password })).email,
      ada.email,
      'the address is free',
    );
    t.equal(codeOf(await call('DELETE', `/users/${id}`)), 'not_found');
    t.match((await eventsOf(id)).at(-1), { kind: 'account.deleted', actorId: admin.user.id, details: null });
  });

  t.test('the last admin is neither banned, nor deleted, nor demoted; another one is', async (t) => {
    const { id } = admin.user;
    for (const call_ of [
      call('POST', `/users/${id}/ban`),
      call('DELETE', `/users/${id}`),
      call('PATCH', `/users/${id}`, { roles: [] }),
    ])
      t.equal(codeOf(await call_), 'last_admin');
    t.ok(Number(await openSessions(id)) > 0, 'no session has ended');
    const { user } = await signUp(app);
    await world.database.execute(`update users set roles = '{admin}' where id = '${user.id}'`);
    t.match((await call('GET', '/users?role=admin')).json().users, [{ id: user.id }, { id }]);
    t.same((await call('PATCH', `/users/${user.id}`, { roles: [] })).json().roles, []);
    await world.database.execute(`update users set roles = '{admin}' where id = '${user.id}'`);
    t.equal((await call('POST', `/users/${user.id}/ban`)).json().status, 'banned');
    t.equal(codeOf(await call('DELETE', `/users/${id}`)), 'last_admin', 'a banned one does not count');
    t.equal((await call('DELETE', `/users/${user.id}`)).statusCode, 204);
  });

  t.test('a list goes on where a part has ended', async (t) => {
    for (let n = 0; n < 2; n += 1) await signUp(app);
    const first = (await call('GET', '/users?limit=1&verified=false')).json();
    const second = (await call('GET', `/users?limit=1&verified=false&after=${first.next}`)).json();
    t.not(first.users[0].id, second.users[0].id);
    t.same((await call('GET', '/users?after=x')).json().errors[0].path, '/after');
    t.equal(codeOf(await call('GET', '/users?sort=email')), 'validation_failed');
  });

  t.test('nobody else does any of that', async (t) => {
    const ada = await signUp(app);
    const bearer = await world.bearerOf(ada);
    const id = randomUUID();
    const calls = [
      ...([
        ['GET', '/users'],
        ['POST', '/users', { email: 'a@example.com' }],
      ] as const),
      ...([
        ['GET', `/users/${id}`],
        ['PATCH', `/users/${id}`, {}],
      ] as const),
      ...([
        ['DELETE', `/users/${id}`],
        ['POST', `/users/${id}/ban`],
      ] as const),
      ...([
        ['POST', `/users/${id}/unban`],
        ['POST', `/users/${id}/force-reset`],
      ] as const),
    ];
    for (const [method, url, body] of calls) {
      const answer = await call(method, url, body, bearer);
      t.ok([401, 403].includes(answer.statusCode), `${method} ${url}`);
      if (url.includes(id)) t.equal(codeOf(await call(method, url, body)), 'not_found', `${method} ${url}`);
    }
  });
});

/** A server that is not embedded may have no mail server; the rest of the test is embedded all the same. */
const WITHOUT_MAILS = {
  ...{ SMTP_URL: '', EMBEDDED: 'false', DATABASE_URL: 'postgres://localhost/none' },
  ...{ REDIS_URL: 'redis://localhost', KEY_ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64') },
};

test('where no mails can be sent, nobody is invited, and no password is taken away', async (t) => {
  const { call, app, eventsOf } = await openAdminWorld(t, WITHOUT_MAILS);
  const { user } = await signUp(app);
  t.equal(codeOf(await call('POST', '/users', { ...newCredentials(), invite: true })), 'not_found');
  t.equal(codeOf(await call('POST', `/users/${user.id}/force-reset`)), 'not_found');
  const { email } = newCredentials();
  t.equal((await call('PATCH', `/users/${user.id}`, { email })).json().email, email);
  t.match((await eventsOf(user.id)).at(-2), { kind: 'email.changed' });
});
