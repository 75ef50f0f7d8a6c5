import { randomUUID } from 'node:crypto';
import { type Test, test } from 'tap';
import { OPERATOR } from '../../src/audit/audit-event.ts';
import { sql } from '../../src/db/drizzle.ts';
import { outbox, users } from '../../src/db/schema.ts';
import { databases } from '../support/adapters.ts';
import { CALLER, openRoleRoom } from '../support/role-room.ts';

const ALL = [
  'admin:audit',
  'admin:clients',
  'admin:keys',
  'admin:sessions',
  'admin:users:read',
  'admin:users:write',
];
const device = { ip: '192.0.2.1', userAgent: 'Lynx' };

const [embedded] = databases;

async function setUp(t: Test) {
  if (embedded === undefined) throw new Error('there is no embedded database');
  return openRoleRoom(t, await embedded.open(t));
}

test('a new role has its scopes in order, and each change of it is recorded with what was before', async (t) => {
  const { roles, events } = await setUp(t);
  const wish = { name: 'editor', scopes: ['b', 'a', 'b'], description: 'Writes' };
  const first = { name: 'editor', scopes: ['a', 'b'], description: 'Writes' };
  t.strictSame(await roles.put(wish, OPERATOR), first);
  t.strictSame(
    await roles.put({ name: 'editor', scopes: ['b', 'a'] }, CALLER),
    first,
    'the same again is no change',
  );
  const second = { ...first, scopes: ['c'] };
  t.strictSame(await roles.put({ name: 'editor', scopes: ['c'] }, CALLER), second, 'the description stays');
  const third = { ...second, description: '' };
  t.strictSame(await roles.put(third, CALLER), third);
  t.strictSame(
    (await roles.list()).map(({ name }) => name),
    ['admin', 'editor'],
  );
  await roles.remove('editor', CALLER);
  const byOperator = { userId: null, actorKind: 'operator', actorId: null };
  const byCaller = { userId: null, actorKind: 'client', actorId: 'console' };
  t.strictSame(await events(), [
    { kind: 'role.changed', ...byOperator, details: { before: null, after: first } },
    { kind: 'role.changed', ...byCaller, details: { before: first, after: second } },
    { kind: 'role.changed', ...byCaller, details: { before: second, after: third } },
    { kind: 'role.removed', ...byCaller, details: { before: third, after: null } },
  ]);
  await t.rejects(roles.remove('editor', CALLER), { code: 'not_found' });
});

test('there are 200 roles at most', async (t) => {
  const { roles, database } = await setUp(t);
  await database.execute(
    sql`insert into roles (name, scopes) select 'r' || n, '{}' from generate_series(1, 199) as n`,
  );
  await t.rejects(roles.put({ name: 'more', scopes: [] }, OPERATOR), { errors: [{ path: '/name' }] });
  await t.resolves(roles.put({ name: 'r1', scopes: ['a'] }, OPERATOR), 'those that are there can change');
});

test('over HTTP nobody gives a scope of /admin to a role, and everybody may take one away', async (t) => {
  const { roles } = await setUp(t);
  const power = { name: 'support', scopes: ['admin:sessions', 'desk'] };
  const refused = { code: 'only_on_the_machine', detail: /doorward roles set support --scope/ };
  await t.rejects(roles.put(power, CALLER), refused);
  await t.rejects(roles.put(power, { kind: 'user', id: 'u1' }), refused);
  await roles.put(power, OPERATOR);
  await t.rejects(roles.put({ ...power, scopes: [...power.scopes, 'admin:keys'] }, CALLER), refused);
  t.match(
    await roles.put({ ...power, description: 'Helps' }, CALLER),
    { scopes: power.scopes },
    'what it has may stay',
  );
  t.match(await roles.put({ name: 'support', scopes: ['desk'] }, CALLER), { scopes: ['desk'] });
  await t.rejects(roles.put(power, CALLER), refused, 'and does not come back');
});

test('the role admin keeps its scopes and stays, whoever asks; it may get more', async (t) => {
  const { roles } = await setUp(t);
  for (const actor of [CALLER, OPERATOR]) {
    const fewer = roles.put({ name: 'admin', scopes: ALL.slice(1) }, actor);
    await t.rejects(fewer, { code: 'last_admin', detail: /admin:audit/ });
    await t.rejects(roles.remove('admin', actor), { code: 'last_admin' });
  }
  t.match(await roles.put({ name: 'admin', scopes: [...ALL, 'desk'] }, CALLER), { scopes: [...ALL, 'desk'] });
  t.match(await roles.put({ name: 'admin', scopes: ALL }, CALLER), { scopes: ALL });
});

test('a role is granted by address or id, once, which voids earlier tokens and is recorded', async (t) => {
  const { roles, addUser, rolesOf, events, countNotes } = await setUp(t);
  const id = await addUser('ada');
  const granted = { id, email: 'ada@example.com', roles: ['admin'] };
  t.strictSame(await roles.grant(' ADA@example.com', 'admin', OPERATOR), granted);
  t.strictSame(await rolesOf(id), { roles: ['admin'], version: 2 });
  t.strictSame(await roles.grant('ada@example.com', 'admin', OPERATOR), granted, 'again');
  t.strictSame(await roles.grant(id, 'admin', OPERATOR), granted, 'by id');
  t.strictSame(await rolesOf(id), { roles: ['admin'], version: 2 });
  t.equal(await countNotes(), 1);
  t.strictSame(await events(), [
    {
      ...{ kind: 'account.roles_changed', userId: id, actorKind: 'operator', actorId: null },
      details: { before: [], after: ['admin'] },
    },
  ]);
});

test('an unknown address, an unknown role and an address that is none are told apart', async (t) => {
  const { roles, addUser } = await setUp(t);
  await addUser('ada');
  const unknown = { code: 'not_found', detail: 'There is no account with the address eve@example.com.' };
  await t.rejects(roles.grant('eve@example.com', 'admin', OPERATOR), unknown);
  await t.rejects(roles.revoke('eve@example.com', 'admin', OPERATOR), unknown);
  await t.rejects(roles.grant(randomUUID(), 'admin', OPERATOR), { message: 'There is no such user.' });
  await t.rejects(roles.grant('ada@example.com', 'amdin', OPERATOR), {
    errors: [{ path: '/roles', message: /^"amdin" is no role: `doorward roles list`/ }],
  });
  await t.rejects(roles.grant('ada', 'admin', OPERATOR), { errors: [{ path: '/email' }] });
});

test('over HTTP nobody becomes an admin, and nobody gets another role that opens /admin', async (t) => {
  const { roles, addUser, rolesOf, transact } = await setUp(t);
  const id = await addUser('ada');
  await roles.put({ name: 'support', scopes: ['admin:sessions'] }, OPERATOR);
  await roles.put({ name: 'editor', scopes: ['posts'] }, OPERATOR);
  const set = (names: string[], actor = CALLER) =>
    transact((transaction) => roles.setRoles(transaction, id, names, actor));
  for (const name of ['admin', 'support'])
    await t.rejects(set(['editor', name]), {
      ...{ code: 'only_on_the_machine', detail: new RegExp(`users grant ADDRESS ${name}`) },
    });
  t.strictSame(await rolesOf(id), { roles: [], version: 1 });
  t.strictSame(await set(['editor', 'editor']), ['editor']);
  await set(['support'], OPERATOR);
  t.strictSame(await set(['support', 'editor']), ['editor', 'support'], 'what the machine gave may stay');
  t.strictSame(await set(['editor']), ['editor'], 'and may be taken away');
  await t.rejects(set(['support']), { code: 'only_on_the_machine' });
  await t.rejects(set(Array.from({ length: 51 }, (_, at) => `r${at}`)), { code: 'validation_failed' });
});

test('roles that are no longer there may stay, and an unknown user has none to set', async (t) => {
  const { roles, addUser, transact } = await setUp(t);
  const id = await addUser('ada', { roles: ['gone'] });
  await roles.put({ name: 'editor', scopes: [] }, OPERATOR);
  const set = (userId: string) =>
    transact((transaction) => roles.setRoles(transaction, userId, ['editor', 'gone'], CALLER));
  t.strictSame(await set(id), ['editor', 'gone']);
  await t.rejects(set('00000000-0000-4000-8000-000000000000'), { code: 'not_found' });
});

test('the last active admin stays one; banned ones and those who leave do not count', async (t) => {
  const { roles, addUser, transact, database } = await setUp(t);
  const admin = { roles: ['admin'] };
  const ada = await addUser('ada', admin);
  await addUser('banned', { ...admin, status: 'banned' });
  await addUser('leaving', { ...admin, deletionDueAt: new Date() });
  await addUser('eve');
  const demote = (name: string) => roles.revoke(`${name}@example.com`, 'admin', OPERATOR);
  await t.rejects(demote('ada'), { code: 'last_admin', detail: /doorward users grant ADDRESS admin/ });
  const requireOther = (id: string) => transact((transaction) => roles.requireOtherAdmin(transaction, id));
  await t.rejects(requireOther(ada), { code: 'last_admin' });
  await t.resolves(demote('banned'), 'whoever cannot act is no loss');
  await t.resolves(demote('leaving'));
  await roles.grant('eve@example.com', 'admin', OPERATOR);
  await t.resolves(requireOther(ada));
  t.match(await demote('ada'), { roles: [] });
  await t.rejects(demote('eve'), { code: 'last_admin' });
  await database.update(users).set({ status: 'banned' }).where(sql`email = 'eve@example.com'`);
  await t.resolves(demote('eve'), 'a banned one again');
});

test('a change of scopes reaches each holder, 100 at a time, and no one else', async (t) => {
  const {
    roles,
    sessions,
    outbox: service,
    database,
    transact,
    addUser,
    rolesOf,
    countNotes,
  } = await setUp(t);
  await roles.put({ name: 'editor', scopes: ['a'] }, OPERATOR);
  await service.deliverDue();
  const other = await addUser('other', { roles: ['admin'] });
  const ada = await addUser('ada', { roles: ['editor'] });
  await addMany(database, 250, 'editor');
  // A floating-point number does not hold these microseconds, and the lane would find the user again and again.
  await addUser('zoe', { roles: ['editor'], createdAt: new Date('9999-12-31T23:59:59.997Z') });
  const { generateToken } = await transact((transaction) => sessions.start(transaction, ada, device));
  t.match(await sessions.find(generateToken, device.ip), { claims: { scope: 'a' } });
  await roles.put({ name: 'editor', scopes: ['b'] }, CALLER);
  await service.deliverDue();
  t.match(await sessions.find(generateToken, device.ip), { claims: { scope: 'b', cv: 2 } });
  t.equal(await database.$count(users, sql`claims_version = 2`), 252);
  t.equal(await countNotes(), 252);
  t.equal((await rolesOf(other))?.version, 1);
  t.equal(await database.$count(outbox), 0);
});

test('a removed role gives no scope at once, and is taken from each holder, which is recorded', async (t) => {
  const { roles, sessions, outbox: service, database, transact, addUser, rolesOf, events } = await setUp(t);
  await roles.put({ name: 'editor', scopes: ['a'] }, OPERATOR);
  await roles.put({ name: 'reader', scopes: ['r'] }, OPERATOR);
  await service.deliverDue();
  const ada = await addUser('ada', { roles: ['editor', 'reader'] });
  await addMany(database, 150, 'editor');
  await roles.remove('editor', CALLER);
  const { generateToken } = await transact((transaction) => sessions.start(transaction, ada, device));
  t.match(await sessions.find(generateToken, device.ip), { claims: { scope: 'r' } });
  await t.rejects(roles.put({ name: 'editor', scopes: ['z'] }, OPERATOR), {
    errors: [{ path: '/name', message: /still being taken/ }],
  });
  await service.deliverDue();
  t.strictSame(await rolesOf(ada), { roles: ['reader'], version: 2 });
  t.equal(await database.$count(users, sql`'editor' = any(roles)`), 0);
  const taken = (await events()).filter(({ kind }) => kind === 'account.roles_changed');
  t.equal(taken.length, 151);
  t.match(
    taken.find(({ userId }) => userId === ada),
    {
      ...{ actorKind: 'client', actorId: 'console' },
      details: { before: ['editor', 'reader'], after: ['reader'] },
    },
  );
  await t.resolves(roles.put({ name: 'editor', scopes: ['z'] }, OPERATOR), 'now the name is free again');
});

/** Users with a role, made in one statement. */
async function addMany(database: Awaited<ReturnType<typeof setUp>>['database'], count: number, role: string) {
  await database.execute(sql`
    insert into users (id, email, email_as_typed, password_hash, roles)
    select gen_random_uuid(), n || '@example.com', n || '@example.com', 'hash', array[${role}]
    from generate_series(1, ${count}::int) as n`);
}
