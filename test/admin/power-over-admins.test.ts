import { randomUUID } from 'node:crypto';
import { test } from 'tap';
import { OPERATOR } from '../../src/audit/audit-event.ts';
import { eq, sql } from '../../src/db/drizzle.ts';
import { hashOfId } from '../../src/db/revocation-log.ts';
import { revocations, roles, users } from '../../src/db/schema.ts';
import { codeOf, newCredentials } from '../helper.ts';
import { openOperators } from '../support/operators.ts';

const SMTP = { SMTP_URL: 'smtp://127.0.0.1:9', MAIL_FROM: 'doorward@example.com' };
const FAR_AWAY = '9999-01-01T00:00:00Z';

test('operators have no power over those who may do more, and lists do not err', async (t) => {
  const { app, call, addClient, addUser, database, commands } = await openOperators(t, SMTP);
  await database.insert(roles).values([
    { name: 'support', scopes: ['admin:users:read', 'admin:users:write'] },
    { name: 'shopper', scopes: ['shop:buy'] },
  ]);
  /** An account that is not signed in to. */
  const insertUser = async (changes: Partial<typeof users.$inferInsert> = {}) => {
    const { email } = newCredentials();
    const [user] = await database
      .insert(users)
      .values({ id: randomUUID(), email, emailAsTyped: email, ...changes })
      .returning();
    return user as typeof users.$inferSelect;
  };
  await insertUser({ roles: ['admin'] });
  const boss = await insertUser({ roles: ['admin', 'shopper'] });
  const support = await addUser(['support', 'shopper']);
  const former = await addUser(['admin']);
  const root = await addClient();
  const as = ({ bearer }: { bearer: string }) => ({
    patch: (id: string, body: object) => call('PATCH', `/admin/users/${id}`, { body, bearer }),
    post: (path: string, body?: object) => call('POST', `/admin/${path}`, { bearer, ...(body && { body }) }),
  });
  const banned = async (id: string) => {
    const [row] = await database.select().from(users).where(eq(users.id, id));
    return row?.status === 'banned';
  };

  t.test('the address of an account that opens /admin is changed on the machine alone', async (t) => {
    const { email } = newCredentials();
    for (const operator of [support, former, root])
      for (const target of [boss, support]) {
        const answer = await as(operator).patch(target.id, { email, email_verified: true });
        t.same([answer.statusCode, codeOf(answer)], [403, 'only_on_the_machine']);
        t.match(answer.json().detail, `doorward users change ${target.id} --email`);
      }
    const [row] = await database.select().from(users).where(eq(users.id, boss.id));
    t.match(row, { email: boss.email, emailVerifiedAt: null }, 'nothing of the patch was done');
    const same = await as(support).patch(boss.id, { email: boss.email.toUpperCase(), display_name: 'Boss' });
    t.match(same.json(), { email: boss.email, display_name: 'Boss' }, 'the same address, and the rest');
  });

  t.test('other roles do not keep an address from being changed', async (t) => {
    const { email } = newCredentials();
    const shopper = await insertUser({ roles: ['shopper', 'removed'] });
    t.match((await as(support).patch(shopper.id, { email })).json(), { email });
  });

  t.test('a ban of somebody who may do more is neither lifted nor replaced', async (t) => {
    const ban = `users/${boss.id}/ban`;
    t.equal((await as(support).post(ban, { reason: 'left' })).statusCode, 200, 'banning is for all');
    t.equal((await as(support).post(ban, { reason: 'left' })).statusCode, 200, 'repeating is harmless');
    for (const [path, body] of [
      [`users/${boss.id}/unban`, undefined],
      [ban, { reason: 'left', until: FAR_AWAY }],
    ] as const) {
      const answer = await as(support).post(path, body);
      t.same([answer.statusCode, codeOf(answer)], [403, 'insufficient_scope']);
      t.match(answer.json().detail, /admin:audit/);
    }
    t.ok(await banned(boss.id));
    t.match((await as(root).post(ban, { until: FAR_AWAY })).json(), { banned_until: /^9999/ });
    t.match((await as(root).post(`users/${boss.id}/unban`)).json(), { status: 'active' });
  });

  t.test('what a role has given up since the token was made does not count', async (t) => {
    await database
      .update(users)
      .set({ roles: ['support'] })
      .where(eq(users.id, former.id));
    await as(support).post(`users/${boss.id}/ban`);
    t.equal(codeOf(await as(former).post(`users/${boss.id}/unban`)), 'insufficient_scope');
    t.equal((await as(root).post(`users/${boss.id}/unban`)).statusCode, 200);
  });

  t.test('a disabled client with a scope of operators is enabled on the machine alone', async (t) => {
    const client = await addClient({ scopes: ['admin:users:write'] });
    const clerk = await addClient({ scopes: ['admin:clients'] });
    const turn = (to: string) => as(clerk).post(`clients/${client.id}/${to}`);
    t.equal((await turn('enable')).statusCode, 200, 'it is not disabled');
    t.equal((await turn('disable')).statusCode, 200);
    t.equal(codeOf(await turn('enable')), 'only_on_the_machine');
    t.equal((await commands.enable({ id: client.id }, OPERATOR)).disabled_at, null);
  });

  t.test('instants and searches as people write them', async (t) => {
    const ada = await insertUser({ displayName: 'Åsa_1' });
    const get = (path: string, query: Record<string, string>) =>
      call('GET', `/admin/${path}?${new URLSearchParams(query)}`);

    for (const instant of [
      '0000-01-01T00:00:00Z',
      '0001-01-01T00:00:00+10:00',
      '9999-12-31T23:59:59-10:00',
    ]) {
      for (const name of ['created_after', 'created_before'])
        t.match((await get('users', { [name]: instant })).json().errors, [{ path: `/${name}` }], instant);
      for (const name of ['since', 'until'])
        t.match((await get('audit', { [name]: instant })).json().errors, [{ path: `/${name}` }], instant);
      const body = { until: instant };
      t.equal((await call('POST', `/admin/users/${ada.id}/ban`, { body })).statusCode, 400, instant);
    }
    const found = await get('users', { created_after: '2020-01-01T00:00:00+23:59' });
    t.equal(found.statusCode, 200, 'an offset that PostgreSQL does not know');

    for (const search of ['Åsa_', 'Åsa_1'.normalize('NFD'), ada.email.toUpperCase()])
      t.match((await get('users', { search })).json().users, [{ id: ada.id }], search);
    for (const search of ['Åsa%', 'Å_a', 'Åsa\\_1', '%', '_'])
      t.same((await get('users', { search })).json().users, [], search);
  });

  t.test('a list goes on behind accounts of any year, and behind no invented place', async (t) => {
    const instants = [
      '9999-12-31 23:59:59.999+00',
      '0001-01-01 00:00:00.003+00',
      '0001-01-01 00:00:00.001+00',
    ];
    const ids: string[] = [];
    for (const instant of instants) {
      const { id } = await addUser();
      await database
        .update(users)
        .set({ createdAt: sql`${instant}::timestamptz` })
        .where(eq(users.id, id));
      ids.push(id);
    }
    const listed: string[] = [];
    for (let query = '?limit=2'; query !== ''; ) {
      const page = (await call('GET', `/admin/users${query}`)).json();
      listed.push(...page.users.map(({ id }: { id: string }) => id));
      query = page.next === null ? '' : `?limit=2&after=${page.next}`;
    }
    t.same([listed[0], ...listed.slice(-2)], ids);

    for (const micros of ['-100000000000000000', '999999999999999999']) {
      const after = Buffer.from(`${micros}.${ids[0]}`).toString('base64url');
      t.equal(codeOf(await call('GET', `/admin/users?after=${after}`)), 'validation_failed', micros);
    }
  });

  t.test('an id in capitals is the same id, also for services that follow the revocation feed', async (t) => {
    for (const act of ['ban', 'force-reset']) {
      const { id } = await insertUser();
      const answer = await call('POST', `/admin/users/${id.toUpperCase()}/${act}`);
      t.match(answer.json(), { id }, act);
      const noted = sql`${revocations.kind} = 'user' and ${revocations.subject} = ${hashOfId(id)}`;
      t.equal(await database.$count(revocations, noted), 1, act);
    }
    const { paths } = (await app.inject('/openapi.json')).json();
    t.ok(paths['/admin/clients/{id}/enable'].post.responses['403'], 'a refusal that is documented');
    const roles = await call('GET', '/admin/roles?x=1');
    t.match([roles.statusCode, codeOf(roles)], [400, 'validation_failed']);
  });
});
