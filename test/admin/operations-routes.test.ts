import { randomUUID } from 'node:crypto';
import { decodeJwt, exportJWK, generateKeyPair } from 'jose';
import { test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import { cursorOf } from '../../src/admin/admin-page.ts';
import { auditEvents, outbox } from '../../src/db/schema.ts';
import { codeOf } from '../helper.ts';
import { mintToken } from '../support/clients.ts';
import { openOperators } from '../support/operators.ts';

test('what operators do over HTTP', async (t) => {
  const operators = await openOperators(t);
  const { app, call, addClient, addUser, root, database, eventsOf } = operators;
  const instant = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

  t.test('sessions are listed in parts, and ended one by one or all of a user', async (t) => {
    const ada = await addUser(['admin']);
    for (const url of [`/admin/sessions?user_id=${ada.id}`, `/admin/users/${ada.id}/sessions?`]) {
      const first = (await call('GET', `${url}&limit=1`)).json();
      t.match(first.sessions, [
        {
          ...{ user_id: ada.id, created_at: instant, last_seen_at: instant, authenticated_at: instant },
          ...{ expires_at: instant, ip: '127.0.0.1', user_agent: 'lightMyRequest', amr: ['pwd'] },
        },
      ]);
      const second = (await call('GET', `${url}&limit=1&after=${first.next}`)).json();
      t.match(second, { sessions: [{ user_id: ada.id }], next: null });
      t.not(second.sessions[0].id, first.sessions[0].id);
      t.same((await call('GET', url)).json().sessions.length, 2);
    }
    const own = String(decodeJwt(ada.bearer.slice(7)).sid);
    t.equal((await call('DELETE', `/admin/sessions/${own}`, { bearer: ada.bearer })).statusCode, 204);
    const again = await call('DELETE', `/admin/sessions/${own}`);
    t.same([again.statusCode, codeOf(again)], [404, 'not_found']);
    t.equal(
      (await call('GET', '/admin/stats', { bearer: ada.bearer })).statusCode,
      401,
      'it has ended at once',
    );
    t.same((await call('DELETE', `/admin/users/${ada.id}/sessions`)).json(), { ended: 1 });
    t.same((await call('DELETE', `/admin/users/${ada.id}/sessions`)).json(), { ended: 0 });
    for (const method of ['GET', 'DELETE'] as const) {
      const unknown = await call(method, `/admin/users/${randomUUID()}/sessions`);
      t.same([unknown.statusCode, codeOf(unknown)], [404, 'not_found'], method);
    }
    const none = await call('GET', `/admin/sessions?user_id=${randomUUID()}`);
    t.same(none.json(), { sessions: [], next: null }, 'a filter that fits nothing');
    t.match(await eventsOf('session.ended'), [
      { userId: ada.id, actorKind: 'user', actorId: ada.id, sessionId: own, details: { session_id: own } },
      { userId: ada.id, actorKind: 'client', actorId: root.id, requestId: String, details: { count: 1 } },
    ]);
  });

  t.test('clients are registered, shown, changed, and their secret is shown once', async (t) => {
    const made = await call('POST', '/admin/clients', {
      body: { client_id: 'shop', name: 'Shop', scopes: ['orders', 'orders'], audiences: ['shop'] },
    });
    t.equal(made.statusCode, 201);
    const { client, client_secret: secret } = made.json();
    const listing = {
      ...{ client_id: 'shop', name: 'Shop', authentication: 'secret', scopes: ['orders'] },
      ...{ audiences: ['shop'], created_at: client.created_at, disabled_at: null },
    };
    t.strictSame(client, listing);
    t.strictSame((await call('GET', '/admin/clients/shop')).json(), listing);
    const taken = await call('POST', '/admin/clients', { body: { client_id: 'shop', audiences: ['shop'] } });
    t.match(taken.json(), { code: 'validation_failed', errors: [{ path: '/client_id' }] });

    const changed = await call('PATCH', '/admin/clients/shop', { body: { name: 'Laden', scopes: [] } });
    t.strictSame(changed.json(), { ...listing, name: 'Laden', scopes: [] });
    const rotated = await call('POST', '/admin/clients/shop/rotate-secret', { body: { overlap_seconds: 0 } });
    t.match(rotated.json(), { client: { client_id: 'shop' }, client_secret: String });
    t.match((await call('POST', '/admin/clients/shop/rotate-secret')).json(), { client_secret: String });
    const { publicKey } = await generateKeyPair('ES256');
    const public_keys = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' };
    const keyed = await call('POST', '/admin/clients/shop/rotate-secret', { body: { public_keys } });
    t.match(keyed.json(), { client: { authentication: 'public_keys' }, client_secret: null });

    for (const _ of ['once', 'and again'])
      t.match((await call('POST', '/admin/clients/shop/disable')).json(), { disabled_at: instant });
    const refused = await call('POST', '/admin/clients/shop/rotate-secret');
    t.match(refused.json(), { code: 'validation_failed', errors: [{ message: /clients enable shop/ }] });
    for (const _ of ['once', 'and again'])
      t.match((await call('POST', '/admin/clients/shop/enable')).json(), { disabled_at: null });

    const by = { userId: null, actorKind: 'client', actorId: root.id, ip: '127.0.0.1', requestId: String };
    const events = (kind: string) =>
      eventsOf(kind).then((all) => all.filter(({ actorId }) => actorId !== null));
    const [first] = await eventsOf('client.added');
    t.match(
      first,
      { actorKind: 'operator', actorId: null, details: { client_id: root.id } },
      'the command line',
    );
    t.match(await events('client.added'), [{ ...by, details: { client_id: 'shop', after: listing } }]);
    t.match(await events('client.changed'), [
      {
        ...by,
        details: { before: { name: 'Shop', scopes: ['orders'] }, after: { name: 'Laden', scopes: [] } },
      },
    ]);
    t.match(
      (await events('client.secret_rotated')).map(({ details }) => details),
      [{ overlap_seconds: 0 }, { overlap_seconds: 86_400 }, { after: { authentication: 'public_keys' } }],
    );
    t.match(await events('client.disabled'), [{ ...by, details: { before: { disabled_at: null } } }]);
    t.match(await events('client.enabled'), [{ ...by, details: { after: { disabled_at: null } } }]);
    t.notMatch(JSON.stringify(await eventsOf('client.added')), secret);
    t.equal((await eventsOf('client.enabled')).length, 1, 'what changes nothing is no event');
  });

  t.test('the list of clients goes on where it ended', async (t) => {
    const all = (await call('GET', '/admin/clients')).json();
    const first = (await call('GET', '/admin/clients?limit=1')).json();
    const rest = (await call('GET', `/admin/clients?after=${first.next}`)).json();
    t.same([...first.clients, ...rest.clients], all.clients);
    t.same([all.next, rest.next], [null, null]);
  });

  t.test('nobody makes an operator over HTTP, by whatever client', async (t) => {
    const onMachine = async (url: string, method: 'POST' | 'PATCH', body?: object) => {
      const answer = await call(method, url, body && { body });
      t.same([answer.statusCode, codeOf(answer)], [403, 'only_on_the_machine'], url);
      t.match(answer.json().detail, /`doorward clients (add|update|rotate-secret) /);
    };
    const scopes = ['orders', 'admin:keys'];
    await onMachine('/admin/clients', 'POST', { client_id: 'evil', scopes, audiences: ['shop'] });
    t.equal((await call('GET', '/admin/clients/evil')).statusCode, 404);
    await onMachine('/admin/clients/shop', 'PATCH', { scopes });
    const other = await addClient({ scopes: ['admin:clients', 'admin:keys'] });
    await onMachine(`/admin/clients/${other.id}/rotate-secret`, 'POST');
    const own = await call('POST', `/admin/clients/${other.id}/rotate-secret`, { bearer: other.bearer });
    t.equal(codeOf(own), 'only_on_the_machine', 'nor does a stolen token of the client itself');
    await onMachine(`/admin/clients/${other.id}`, 'PATCH', { scopes: ['admin:clients', 'admin:audit'] });
    const fewer = await call('PATCH', `/admin/clients/${other.id}`, { body: { scopes: ['admin:clients'] } });
    t.match(fewer.json(), { scopes: ['admin:clients'] }, 'what it has, it may keep or lose');
  });

  t.test('dead messages are listed by lane, tried again, and dropped', async (t) => {
    const dead = ['mail', 'mail', 'webhook'].map((kind, n) => ({
      ...{ id: randomUUID(), kind, payload: { code: 'secret' }, attempts: 9, lastError: 'EAUTH' },
      deadAt: new Date(Date.now() - n * 1000),
    }));
    await database.insert(outbox).values(dead);
    const list = async (query: string) => (await call('GET', `/admin/outbox${query}`)).json();
    const first = await list('?limit=2');
    t.match(first.messages, [
      {
        id: dead[0]?.id,
        lane: 'mail',
        attempts: 9,
        dead_at: instant,
        created_at: instant,
        last_error: 'EAUTH',
      },
      { id: dead[1]?.id },
    ]);
    t.match(await list(`?limit=2&after=${first.next}`), { messages: [{ id: dead[2]?.id }], next: null });
    t.match(await list('?lane=webhook'), { messages: [{ id: dead[2]?.id }], next: null });
    t.notMatch(JSON.stringify(await list('')), 'secret');

    const retry = `/admin/outbox/${dead[2]?.id}/retry`;
    t.equal((await call('POST', retry)).statusCode, 204);
    t.equal((await call('POST', retry)).statusCode, 404);
    const drop = `/admin/outbox/${dead[0]?.id}`;
    t.equal((await call('DELETE', drop)).statusCode, 204);
    t.equal((await call('DELETE', drop)).statusCode, 404);
    t.match(await list(''), { messages: [{ id: dead[1]?.id }] });
    const by = { userId: null, actorKind: 'client', requestId: String };
    t.match(await eventsOf('outbox.retried'), [{ ...by, details: { id: dead[2]?.id, lane: 'webhook' } }]);
    t.match(await eventsOf('outbox.dropped'), [{ ...by, details: { id: dead[0]?.id, lane: 'mail' } }]);
  });

  t.test('the settings that the server runs with are shown, and no secret', async (t) => {
    const { settings } = (await call('GET', '/admin/settings')).json();
    const of = (name: string) => settings.find((setting: { name: string }) => setting.name === name);
    t.same(of('AUDIENCES'), { name: 'AUDIENCES', value: 'shop,pay', source: 'set' });
    t.same(of('ADMIN_MAX_AUTH_AGE'), { name: 'ADMIN_MAX_AUTH_AGE', value: '15m', source: 'default' });
    t.same(of('SMTP_URL'), { name: 'SMTP_URL', value: null, source: 'default' });
  });

  t.test('the figures say how many there are, and what happened in each hour', async (t) => {
    await addUser();
    await database.insert(auditEvents).values({ id: uuidv7(), kind: 'sign_in.failed' });
    const stats = (await call('GET', '/admin/stats')).json();
    t.match(stats, { live_sessions_estimated: false, users: { banned: 0, estimated: false } });
    t.ok(stats.users.total >= 2 && stats.users.active === stats.users.total && stats.live_sessions >= 2);
    t.equal(stats.users.unverified, stats.users.total);
    t.equal(stats.by_hour.length, 24);
    const last = stats.by_hour
      .slice(-2)
      .reduce((sum: number, hour: { failures: number }) => sum + hour.failures, 0);
    t.equal(last, 1);
    await addUser();
    t.same((await call('GET', '/admin/stats')).json(), stats, 'it is counted once in a while');
  });

  t.test('what no route knows is refused, and says where', async (t) => {
    const id = randomUUID();
    const wrong: [method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, body?: object][] = [
      ['GET', '/admin/sessions'],
      ['GET', '/admin/sessions?user_id=ada'],
      ['GET', `/admin/sessions?user_id=${id}&more=1`],
      ['GET', `/admin/sessions?user_id=${id}&after=rubbish`],
      ['GET', `/admin/sessions?user_id=${id}&limit=0`],
      ['GET', '/admin/users/ada/sessions'],
      ['DELETE', '/admin/sessions/ada'],
      ['DELETE', `/admin/users/${id}/sessions`, { more: 1 }],
      ['GET', '/admin/clients?limit=101'],
      ['GET', `/admin/clients?after=${cursorOf('SHOP')}`],
      ['GET', '/admin/clients?after=%00'],
      ['GET', '/admin/clients/%00'],
      ['POST', '/admin/clients', { client_id: 'a\0b' }],
      ['POST', '/admin/clients', { client_id: 'shop', audiences: ['shop'], secret: 'x' }],
      ['POST', '/admin/clients', { client_id: 'Shop', audiences: ['shop'] }],
      ['PATCH', '/admin/clients/shop', {}],
      ['PATCH', '/admin/clients/shop', { audiences: ['elsewhere'] }],
      ['POST', '/admin/clients/shop/rotate-secret', { overlap_seconds: -1 }],
      ['GET', '/admin/keys?more=1'],
      ['POST', '/admin/keys/rotate', { revoke: '\0' }],
      ['GET', '/admin/outbox?kind=mail'],
      ['GET', `/admin/outbox?after=${cursorOf('1.x')}`],
      ['DELETE', '/admin/outbox/none'],
      ['GET', '/admin/settings?secrets=1'],
      ['GET', '/admin/stats?more=1'],
    ];
    for (const [method, url, body] of wrong) {
      const answer = await call(method, url, body && { body });
      t.same([answer.statusCode, codeOf(answer)], [400, 'validation_failed'], `${method} ${url}`);
    }
    const long = await call('GET', `/admin/clients/${'a'.repeat(200)}`);
    t.same([long.statusCode, codeOf(long)], [414, 'uri_too_long']);
    t.equal((await call('GET', '/admin/clients/nobody')).statusCode, 404);
    for (const turn of ['disable', 'enable', 'rotate-secret'])
      t.equal((await call('POST', `/admin/clients/nobody/${turn}`)).statusCode, 404);
  });

  t.test('a user with the role does all that, too', async (t) => {
    const { cookie } = await addUser(['admin']);
    const own = `Bearer ${await mintToken(app, cookie)}`;
    t.equal((await call('POST', '/admin/clients/shop/disable', { bearer: own })).statusCode, 200);
  });

  t.test('keys are shown with their schedule, and rotated', async (t) => {
    const before = (await call('GET', '/admin/keys')).json();
    t.match(before, {
      keys: [{ status: 'active', algorithm: 'ES256', published_at: instant, revoked_at: null }],
      schedule: {
        ...{ algorithm: 'ES256', rotate_every_seconds: 30 * 86_400, publish_ahead_seconds: 900 },
        ...{ retain_seconds: 2_700, next_rotation_at: instant },
      },
    });
    const next = (await call('POST', '/admin/keys/rotate')).json();
    t.match(next, { changed: true, reason: null, keys: [{ status: 'active' }, { status: 'pending' }] });
    t.match((await call('POST', '/admin/keys/rotate')).json(), { changed: false, reason: /the next key/ });
    const [leaked] = before.keys;
    const revoked = await call('POST', '/admin/keys/rotate', { body: { revoke: leaked.kid } });
    t.match(revoked.json(), { keys: [{ status: 'revoked' }, { status: 'active' }] });
    t.equal((await call('GET', '/admin/keys')).statusCode, 401, 'tokens of the leaked key are void at once');
    const { bearer } = await addClient();
    t.match((await call('POST', '/admin/keys/rotate', { bearer, body: { now: true } })).json(), {
      keys: [{ status: 'revoked' }, { status: 'retired' }, { status: 'active' }],
    });
    const unknown = await call('POST', '/admin/keys/rotate', { bearer, body: { revoke: 'none' } });
    t.same([unknown.statusCode, codeOf(unknown)], [404, 'not_found']);
    const again = await call('POST', '/admin/keys/rotate', { bearer, body: { revoke: leaked.kid } });
    t.match(again.json(), { changed: false, reason: /was revoked at/ });
    t.match(await eventsOf('key.revoked'), [
      { userId: null, actorKind: 'client', actorId: root.id, details: { kid: leaked.kid } },
    ]);
    t.match(await eventsOf('key.rotated'), [
      { actorKind: 'server', actorId: null, details: { activated: leaked.kid } },
      { actorKind: 'client', actorId: root.id, details: { published: next.keys[1].kid } },
      { actorKind: 'client', details: { activated: next.keys[1].kid, retired: leaked.kid } },
      { actorKind: 'client', details: { retired: next.keys[1].kid } },
    ]);
  });
});
