import type { LightMyRequestResponse } from 'fastify';
import { decodeJwt } from 'jose';
import { type Test, test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { hashOfId } from '../../src/db/revocation-log.ts';
import { DOCTOR_CLIENT_ID } from '../../src/gateway/doctor-command.ts';
import type { OperatorCommands } from '../../src/operator/operator-commands.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import { listRoutes, usesOf } from '../canary/routes.ts';
import {
  build,
  cookieHeader,
  cookieOf,
  createPlace,
  newCredentials,
  quickSettings,
  runSql,
  signUp,
} from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { addClient, grantToken, mintToken, postForm } from '../support/clients.ts';
import { plantCode } from '../support/codes.ts';
import { catchMails } from '../support/mail-catcher.ts';

type World = Awaited<ReturnType<typeof setUp>>;

/** What an act must note, such as `session <id>` or `user <id> <least claims version>`, and the cookie that goes on. */
type Outcome = { notes: string[]; goesOn?: string };

type Act = (world: World) => Promise<Outcome>;

/** An act that makes nothing void. */
const quiet =
  (act: (world: World) => Promise<unknown>): Act =>
  async (world) => {
    await act(world);
    return { notes: [] };
  };

async function setUp(t: Test, more: Record<string, string> = {}) {
  const [place, catcher] = await Promise.all([createPlace(t), catchMails(t)]);
  const settings = { SMTP_URL: catcher.smtpUrl, NEW_DEVICE_MAIL: 'false', ...more };
  const { app } = await build(t, settings, place);
  const config = loadConfig({ ...quickSettings, ...place, ...settings });
  const scopes = ['a', 'b'];
  const client = await addClient(place, settings, { scopes, audiences: ['api', config.PUBLIC_URL] });
  const run = <Row extends object>(statement: string) => runSql<Row>(place.DATABASE_URL, statement);
  const call = async (method: 'POST' | 'DELETE' | 'PATCH', url: string, body?: object, cookie?: string) => {
    const headers = cookie === undefined ? {} : { cookie };
    const answer = await app.inject({ method, url, headers, ...(body && { payload: body }) });
    if (answer.statusCode >= 400) throw new Error(`${method} ${url}: ${answer.body}`);
    return answer;
  };
  const plant = (userId: string, purpose: string, email: string, context: Record<string, string> = {}) =>
    plantCode(place.DATABASE_URL, { userId, purpose, email, context });
  const sessionOf = async (cookie: string) => `session ${decodeJwt(await mintToken(app, cookie)).sid}`;
  /** Somebody with a session: its cookie, and what is noted of it when it ends. */
  const enter = async () => {
    const { user, email, password, cookie } = await signUp(app);
    return { id: user.id, email, password, cookie, session: await sessionOf(cookie) };
  };
  type Person = Awaited<ReturnType<typeof enter>>;
  const signInAgain = async ({ email, password }: Person, replaces?: string) =>
    sessionOf(cookieIn(await call('POST', '/login', { email, password }, replaces)));
  const openSessions = async () =>
    (await run<{ id: string }>('select id from sessions where ended_at is null')).map(
      ({ id }) => `session ${id}`,
    );
  const command = <Name extends keyof OperatorCommands>(
    name: Name,
    ...args: Parameters<OperatorCommands[Name]>
  ) => runCommand(config, name, ...args);
  const operator = await addClient(place, settings, {
    id: 'console',
    scopes: ['admin:sessions', 'admin:clients', 'admin:keys', 'admin:users:write'],
    audiences: [config.PUBLIC_URL],
  });
  /** As the service client of operators. */
  const operate = async (method: 'POST' | 'PUT' | 'DELETE' | 'PATCH', url: string, body?: object) => {
    const headers = { authorization: `Bearer ${await grantToken(app, operator)}` };
    const answer = await app.inject({ method, url, headers, ...(body && { payload: body }) });
    if (answer.statusCode >= 400) throw new Error(`${method} ${url}: ${answer.body}`);
    return answer;
  };
  return { app, config, client, operate, run, call, plant, enter, signInAgain, openSessions, command };
}

const cookieIn = (answer: LightMyRequestResponse) => cookieHeader(cookieOf(answer).value);

/** What has been noted since the last time. */
async function takeNotes({ run }: World): Promise<string[]> {
  const rows = await run<{ kind: string; subject: string; value: string | null }>(
    `delete from revocations returning kind, encode(subject, 'hex') as subject, value`,
  );
  return rows.map(({ kind, subject, value }) =>
    [kind, subject, ...(kind === 'user' ? [value] : [])].join(' '),
  );
}

/** The same of a note that names its subject. */
function hashed(note: string): string {
  const [kind, id = '', ...version] = note.split(' ');
  const subject = kind === 'key' ? Buffer.from(id) : hashOfId(id);
  return [kind, subject.toString('hex'), ...version].join(' ');
}

async function proves(t: Test, world: World, name: string, act: Act): Promise<void> {
  await takeNotes(world);
  const { notes, goesOn } = await act(world);
  t.strictSame((await takeNotes(world)).sort(), notes.map(hashed).sort(), name);
  if (goesOn === undefined) return;
  const version = notes.find((note) => note.startsWith('user '))?.split(' ')[2];
  const token = decodeJwt(await mintToken(world.app, goesOn));
  t.equal(token.cv, Number(version), `${name}: the next token says the new version`);
}

/** Each call of the documentation that changes something, as it is meant to be used. */
const CALLS: Record<string, Act[]> = {
  'POST /signup': [
    quiet(async ({ enter }) => {
      await enter();
    }),
    async ({ enter, call }) => {
      const { cookie, session } = await enter();
      await call('POST', '/signup', newCredentials(), cookie);
      return { notes: [session] };
    },
  ],
  'POST /login': [
    quiet(async ({ enter, signInAgain }) => {
      await signInAgain(await enter());
    }),
    async ({ enter, signInAgain }) => {
      const ada = await enter();
      await signInAgain(ada, ada.cookie);
      return { notes: [ada.session] };
    },
    async ({ enter, signInAgain, run }) => {
      const ada = await enter();
      await run(`insert into sessions (id, user_id, generate_token, expires_at, idle_expires_at)
        select gen_random_uuid(), '${ada.id}', sha256(n::text::bytea), now() + interval '1 day', now() + interval '1 day'
        from generate_series(2, 100) as n`);
      await signInAgain(ada);
      await run(`delete from sessions where user_id = '${ada.id}'`);
      return { notes: [ada.session] };
    },
  ],
  'POST /logout': [
    async ({ enter, call }) => {
      const { cookie, session } = await enter();
      await call('POST', '/logout', undefined, cookie);
      return { notes: [session] };
    },
  ],
  'POST /token': [
    quiet(async ({ enter, call }) => {
      const { cookie } = await enter();
      await call('POST', '/token', {}, cookie);
      await call('POST', '/token', { single_use: true, audience: 'api' }, cookie);
    }),
  ],
  'DELETE /sessions': [
    async ({ enter, signInAgain, call }) => {
      const ada = await enter();
      const others = [await signInAgain(ada), await signInAgain(ada)];
      await call('DELETE', '/sessions', undefined, ada.cookie);
      return { notes: others };
    },
  ],
  'DELETE /sessions/:id': [
    async ({ enter, signInAgain, call }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      await call('DELETE', `/sessions/${other.split(' ')[1]}`, undefined, ada.cookie);
      return { notes: [other] };
    },
  ],
  'POST /sessions/disown': [
    async ({ enter, signInAgain, call, plant }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      const context = { session_id: String(other.split(' ')[1]) };
      await call('POST', '/sessions/disown', { code: await plant(ada.id, 'not_me', ada.email, context) });
      return { notes: [other] };
    },
    async ({ enter, signInAgain, call, plant }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      await call('POST', '/sessions/disown', { code: await plant(ada.id, 'not_me', ada.email) });
      return { notes: [ada.session, other, `user ${ada.id} 2`] };
    },
  ],
  'POST /password/forgot': [
    quiet(async ({ enter, call }) => {
      await call('POST', '/password/forgot', { email: (await enter()).email });
    }),
  ],
  'POST /password/reset': ['reset_password', 'verify_email'].map(
    (purpose): Act =>
      async (world) => {
        const { call, plant } = world;
        const ada = await world.enter();
        const code = await plant(ada.id, purpose, ada.email);
        const answer = await call('POST', '/password/reset', { code, password: newCredentials().password });
        return { notes: [ada.session, `user ${ada.id} 2`], goesOn: cookieIn(answer) };
      },
  ),
  'POST /password/change': [
    async ({ enter, signInAgain, call }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      const wish = { current_password: ada.password, new_password: newCredentials().password };
      const answer = await call('POST', '/password/change', wish, ada.cookie);
      return { notes: [ada.session, other, `user ${ada.id} 2`], goesOn: cookieIn(answer) };
    },
  ],
  'POST /email/verify/send': [
    quiet(async ({ enter, call }) => {
      await call('POST', '/email/verify/send', {}, (await enter()).cookie);
    }),
  ],
  'POST /email/verify': [
    async ({ enter, call, plant }) => {
      const ada = await enter();
      const code = await plant(ada.id, 'verify_email', ada.email);
      await call('POST', '/email/verify', { code }, ada.cookie);
      return { notes: [`user ${ada.id} 2`], goesOn: ada.cookie };
    },
  ],
  'POST /email/change': [
    quiet(async ({ enter, call }) => {
      const { cookie } = await enter();
      await call('POST', '/email/change', { email: newCredentials().email }, cookie);
    }),
  ],
  'POST /email/change/confirm': [
    async ({ enter, signInAgain, call, plant }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      const { email } = newCredentials();
      const code = await plant(ada.id, 'change_email', email, { as_typed: email });
      await call('POST', '/email/change/confirm', { code }, ada.cookie);
      return { notes: [other, `user ${ada.id} 2`], goesOn: ada.cookie };
    },
  ],
  'POST /email/change/undo': [
    async ({ enter, call, plant }) => {
      const ada = await enter();
      const { email } = newCredentials();
      const code = await plant(ada.id, 'undo_email_change', email, { as_typed: email });
      await call('POST', '/email/change/undo', { code });
      return { notes: [ada.session, `user ${ada.id} 2`] };
    },
  ],
  'PATCH /me': [
    quiet(async ({ enter, call }) => {
      await call('PATCH', '/me', { display_name: 'Ada' }, (await enter()).cookie);
    }),
  ],
  'DELETE /me': [
    async ({ enter, signInAgain, call }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      await call('DELETE', '/me', undefined, ada.cookie);
      return { notes: [ada.session, other, `user ${ada.id} 2`] };
    },
  ],
  'POST /me/undo-deletion': [
    quiet(async ({ enter, call }) => {
      await call('POST', '/me/undo-deletion', undefined, (await enter()).cookie);
    }),
  ],
  'POST /oauth/token': [
    quiet(async ({ app, client }) => {
      await grantToken(app, client);
    }),
  ],
  'POST /oauth/introspect': [
    quiet(async ({ app, client, enter }) => {
      const { cookie } = await enter();
      for (const wish of [{}, { single_use: true, audience: 'api' }]) {
        const token = await mintToken(app, cookie, wish);
        const answer = await postForm(app, '/oauth/introspect', { token }, client);
        if (answer.json().active !== true) throw new Error(answer.body);
      }
    }),
  ],
  'POST /oauth/revoke': [
    async ({ app, client }) => {
      const token = await grantToken(app, client);
      for (const _ of ['once', 'and again']) await postForm(app, '/oauth/revoke', { token }, client);
      return { notes: [`token ${decodeJwt(token).jti}`] };
    },
  ],
};

/** Waits until a change of a role has reached all who have it. */
async function reachesAll({ run }: World): Promise<void> {
  await eventually(async () => {
    const left = await run(`select from outbox where kind = 'role_changed'`);
    if (left.length > 0) throw new Error('the change of a role has not reached all users');
  });
}

/** The calls of operators. */
const OPERATORS_CALLS: Record<string, Act[]> = {
  'POST /admin/users': [
    quiet(({ operate }) => operate('POST', '/admin/users', { email: newCredentials().email })),
  ],
  'PATCH /admin/users/:id': [
    quiet(async ({ enter, operate }) =>
      operate('PATCH', `/admin/users/${(await enter()).id}`, { locale: 'de' }),
    ),
    async ({ enter, operate }) => {
      const ada = await enter();
      await operate('PATCH', `/admin/users/${ada.id}`, { email_verified: true });
      return { notes: [`user ${ada.id} 2`], goesOn: ada.cookie };
    },
  ],
  'POST /admin/users/:id/unban': [
    quiet(async ({ enter, operate }) => operate('POST', `/admin/users/${(await enter()).id}/unban`)),
  ],
  ...Object.fromEntries(
    ['DELETE /admin/users/:id', 'POST /admin/users/:id/ban', 'POST /admin/users/:id/force-reset'].map(
      (name) => [
        name,
        [
          async ({ enter, operate }: World) => {
            const ada = await enter();
            const [method, path = ''] = name.split(' ');
            await operate(method as 'POST' | 'DELETE', path.replace(':id', ada.id));
            return { notes: [ada.session, `user ${ada.id} 2`] };
          },
        ],
      ],
    ),
  ),
  'DELETE /admin/sessions/:id': [
    async ({ enter, operate }) => {
      const { session } = await enter();
      await operate('DELETE', `/admin/sessions/${session.split(' ')[1]}`);
      return { notes: [session] };
    },
  ],
  'DELETE /admin/users/:id/sessions': [
    async ({ enter, signInAgain, operate }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      await operate('DELETE', `/admin/users/${ada.id}/sessions`);
      return { notes: [ada.session, other] };
    },
  ],
  'POST /admin/clients': [
    quiet(({ operate }) => operate('POST', '/admin/clients', { client_id: 'shop', audiences: ['api'] })),
  ],
  'PATCH /admin/clients/:id': [
    quiet(({ operate, client: { id } }) => operate('PATCH', `/admin/clients/${id}`, { name: 'Payments' })),
    async ({ operate, client: { id } }) => {
      await operate('PATCH', `/admin/clients/${id}`, { scopes: ['a'] });
      return { notes: [`client ${id}`] };
    },
  ],
  'POST /admin/clients/:id/rotate-secret': [
    quiet(({ operate }) => operate('POST', '/admin/clients/shop/rotate-secret')),
  ],
  'POST /admin/clients/:id/disable': [
    async ({ operate }) => {
      for (const _ of ['once', 'and again']) await operate('POST', '/admin/clients/shop/disable');
      return { notes: ['client shop'] };
    },
  ],
  'POST /admin/clients/:id/enable': [quiet(({ operate }) => operate('POST', '/admin/clients/shop/enable'))],
  'POST /admin/keys/rotate': [
    quiet(({ operate }) => operate('POST', '/admin/keys/rotate')),
    async ({ command, operate }) => {
      const revoke = String((await command('keys.list')).find(({ status }) => status === 'pending')?.kid);
      await operate('POST', '/admin/keys/rotate', { revoke });
      return { notes: [`key ${revoke}`] };
    },
  ],
  // There is no message to retry or to drop.
  'PUT /admin/roles/:name': [
    async (world) => {
      const { command, enter, operate } = world;
      const { id, email } = await enter();
      await operate('PUT', '/admin/roles/reader', { scopes: ['posts:read'] });
      await reachesAll(world);
      await command('users.grant', { email, role: 'reader' });
      for (const _ of ['once', 'and again'])
        await operate('PUT', '/admin/roles/reader', { scopes: ['posts:list'] });
      await reachesAll(world);
      return { notes: [`user ${id} 2`, `user ${id} 3`] };
    },
  ],
  'DELETE /admin/roles/:name': [
    async (world) => {
      const { command, enter, operate } = world;
      await operate('PUT', '/admin/roles/visitor', { scopes: [] });
      await reachesAll(world);
      const { id, email } = await enter();
      await command('users.grant', { email, role: 'visitor' });
      await operate('DELETE', '/admin/roles/visitor');
      await reachesAll(world);
      return { notes: [`user ${id} 2`, `user ${id} 3`] };
    },
  ],
  'POST /admin/outbox/:id/retry': [
    quiet(({ operate }) => operate('POST', `/admin/outbox/${NOBODY}/retry`).catch(() => {})),
  ],
  'DELETE /admin/outbox/:id': [
    quiet(({ operate }) => operate('DELETE', `/admin/outbox/${NOBODY}`).catch(() => {})),
  ],
};

const NOBODY = '01890a5d-ac96-774b-bcce-b302099a8057';

/** The commands of operators. */
const COMMANDS: Record<keyof OperatorCommands, Act[]> = {
  'keys.list': [quiet(({ command }) => command('keys.list'))],
  'keys.rewrap': [quiet(({ command }) => command('keys.rewrap'))],
  'keys.rotate': [
    quiet(({ command }) => command('keys.rotate', {})),
    quiet(({ command }) => command('keys.rotate', { now: true })),
    async ({ command }) => {
      const [key] = await command('keys.list');
      await command('keys.rotate', { now: true, revoke: String(key?.kid) });
      return { notes: [`key ${key?.kid}`] };
    },
  ],
  'clients.list': [quiet(({ command }) => command('clients.list'))],
  'clients.add': [quiet(({ command }) => command('clients.add', { id: 'books', audiences: ['api'] }))],
  'clients.rotate-secret': [
    quiet(({ command, client: { id } }) => command('clients.rotate-secret', { id, overlap_ms: 1_000 })),
  ],
  'clients.update': [
    quiet(({ command, client: { id } }) => command('clients.update', { id, name: 'Payments' })),
    quiet(({ command, client: { id } }) => command('clients.update', { id, scopes: ['c', 'b', 'a'] })),
    async ({ command, client: { id } }) => {
      await command('clients.update', { id, scopes: ['a', 'c', 'd'] });
      return { notes: [`client ${id}`] };
    },
    async ({ command, client: { id } }) => {
      await command('clients.update', { id, audiences: ['api'] });
      return { notes: [`client ${id}`] };
    },
  ],
  'clients.disable': [
    async ({ command, client: { id } }) => {
      for (const _ of ['once', 'and again']) await command('clients.disable', { id });
      return { notes: [`client ${id}`] };
    },
  ],
  'clients.enable': [quiet(({ command, client: { id } }) => command('clients.enable', { id }))],
  'audit.list': [quiet(({ command }) => command('audit.list', {}))],
  'outbox.list': [quiet(({ command }) => command('outbox.list'))],
  'outbox.retry': [quiet(({ command }) => command('outbox.retry', {}))],
  // There is no message to drop, and no backup of PostgreSQL.
  'outbox.drop': [quiet(({ command }) => command('outbox.drop', { id: 'none' }).catch(() => {}))],
  'backup.write': [quiet(({ command }) => command('backup.write', { file: 'none' }).catch(() => {}))],
  'doctor.ticket': [quiet(({ command }) => command('doctor.ticket'))],
  'migrations.last': [quiet(({ command }) => command('migrations.last'))],
  'roles.list': [quiet(({ command }) => command('roles.list'))],
  'roles.set': [
    quiet(async (world) => {
      await world.command('roles.set', { name: 'editor', scopes: ['posts'] });
      await reachesAll(world);
    }),
    async (world) => {
      const { command, enter } = world;
      const { id, email, cookie } = await enter();
      await command('users.grant', { email, role: 'editor' });
      await command('roles.set', { name: 'editor', scopes: ['posts', 'pages'] });
      await reachesAll(world);
      await command('roles.set', { name: 'editor', scopes: ['pages', 'posts'], description: 'Writes' });
      await reachesAll(world);
      // The last one first: the next token says that version.
      return { notes: [`user ${id} 3`, `user ${id} 2`], goesOn: cookie };
    },
  ],
  'roles.remove': [
    async (world) => {
      const { command, enter } = world;
      const { id, email } = await enter();
      await command('roles.set', { name: 'guest', scopes: [] });
      await reachesAll(world);
      await command('users.grant', { email, role: 'guest' });
      await command('roles.remove', { name: 'guest' });
      await reachesAll(world);
      return { notes: [`user ${id} 2`, `user ${id} 3`] };
    },
  ],
  'users.grant': [
    async ({ command, enter }) => {
      const { id, email, cookie } = await enter();
      for (const _ of ['once', 'and again']) await command('users.grant', { email, role: 'admin' });
      return { notes: [`user ${id} 2`], goesOn: cookie };
    },
  ],
  'users.revoke-role': [
    async ({ command, enter }) => {
      const { id, email } = await enter();
      await command('users.grant', { email, role: 'editor' });
      for (const _ of ['once', 'and again']) await command('users.revoke-role', { email, role: 'editor' });
      return { notes: [`user ${id} 2`, `user ${id} 3`] };
    },
  ],
  'users.import-batch': [
    quiet(({ command }) =>
      command('users.import-batch', { records: [{ email: 'imported@example.com' }], dry_run: false }),
    ),
  ],
  'users.export-batch': [quiet(({ command }) => command('users.export-batch', { after: null, limit: 1 }))],
  'users.list': [quiet(({ command }) => command('users.list', { limit: 1 }))],
  'users.show': [quiet(async ({ command, enter }) => command('users.show', { user: (await enter()).id }))],
  'users.create': [
    quiet(({ command }) => command('users.create', { email: newCredentials().email, invite: true })),
  ],
  'users.change': [
    quiet(async ({ command, enter }) =>
      command('users.change', { user: (await enter()).email, display_name: 'Ada' }),
    ),
    async ({ command, enter }) => {
      const ada = await enter();
      await command('users.change', { user: ada.id, email: newCredentials().email });
      return { notes: [`user ${ada.id} 2`], goesOn: ada.cookie };
    },
  ],
  'users.ban': [
    async ({ command, enter, signInAgain }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      for (const _ of ['once', 'and again']) await command('users.ban', { user: ada.id });
      return { notes: [ada.session, other, `user ${ada.id} 2`] };
    },
  ],
  'users.unban': [
    quiet(async ({ command, enter }) => command('users.unban', { user: (await enter()).id })),
    async ({ command, enter }) => {
      const ada = await enter();
      await command('users.ban', { user: ada.id });
      await command('users.unban', { user: ada.id });
      return { notes: [ada.session, `user ${ada.id} 2`] };
    },
  ],
  'users.force-reset': [
    async ({ command, enter, signInAgain }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      await command('users.force-reset', { user: ada.id });
      return { notes: [ada.session, other, `user ${ada.id} 2`] };
    },
  ],
  'users.end-sessions': [
    async ({ command, enter, signInAgain }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      await command('users.end-sessions', { user: ada.id });
      return { notes: [ada.session, other] };
    },
  ],
  'users.delete': [
    async ({ command, enter, signInAgain }) => {
      const ada = await enter();
      const other = await signInAgain(ada);
      await command('users.delete', { user: ada.id });
      return { notes: [ada.session, other, `user ${ada.id} 2`] };
    },
  ],
  'sessions.end-all': [
    async ({ enter, command, openSessions }) => {
      await enter();
      const notes = await openSessions();
      await command('sessions.end-all');
      return { notes };
    },
  ],
};

test('each call notes in its transaction exactly what it makes void, and the next token passes', async (t) => {
  const routes = usesOf(await listRoutes(t));
  const [reads, writes] = [routes.filter(isRead), routes.filter((use) => !isRead(use))];
  const all = { ...CALLS, ...OPERATORS_CALLS };
  t.strictSame(Object.keys(all).sort(), writes.sort(), 'a new call needs an act here');
  const world = await setUp(t);
  for (const [name, acts] of Object.entries(all)) for (const act of acts) await proves(t, world, name, act);
  for (const read of reads) await proves(t, world, read, quiet(readWith(read)));
});

const readWith =
  (use: string) =>
  async ({ app, enter }: World) =>
    app.inject({ url: use.replace('GET ', ''), headers: { cookie: (await enter()).cookie } });

const isRead = (use: string) => use.startsWith('GET ');

test('an account that waits for its deletion notes it when that is asked', async (t) => {
  const world = await setUp(t, { ACCOUNT_DELETION_DELAY: '7d' });
  await proves(t, world, 'asked', async ({ enter, call }) => {
    const ada = await enter();
    await call('DELETE', '/me', undefined, ada.cookie);
    return { notes: [ada.session, `user ${ada.id} 2`] };
  });
});

test('no client gets the client_id of users, and one that had it before takes no token of theirs along', async (t) => {
  const world = await setUp(t);
  const { config, client } = world;
  for (const id of [config.CLIENT_ID, DOCTOR_CLIENT_ID]) {
    const wish = runCommand(config, 'clients.add', { id, audiences: ['api'] });
    await t.rejects(wish, { code: 'validation_failed' }, id);
  }
  const namesake = { ...config, CLIENT_ID: client.id };
  const disable = async () => {
    await runCommand(namesake, 'clients.update', { id: client.id, scopes: [] });
    await runCommand(namesake, 'clients.disable', { id: client.id });
  };
  await proves(t, world, 'clients.disable', quiet(disable));
});

test('each command of operators notes in its transaction exactly what it makes void', async (t) => {
  const world = await setUp(t);
  for (const [name, acts] of Object.entries(COMMANDS))
    for (const act of acts) await proves(t, world, name, act);
});
