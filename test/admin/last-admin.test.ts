import { test } from 'tap';
import { OPERATOR } from '../../src/audit/audit-event.ts';
import { sql } from '../../src/db/drizzle.ts';
import { eventually, openPostgres } from '../support/adapters.ts';
import { openRoleRoom } from '../support/role-room.ts';

test('of two admins who demote each other at the same time, one stays', async (t) => {
  const { roles, addUser, rolesOf, transact, database } = await openRoleRoom(t, await openPostgres());
  const [ada, eve] = [await addUser('ada', { roles: ['admin'] }), await addUser('eve', { roles: ['admin'] })];
  const holding = Promise.withResolvers<void>();
  const goesOn = Promise.withResolvers<void>();
  const first = transact(async (transaction) => {
    await roles.setRoles(transaction, eve, [], { kind: 'user', id: ada });
    holding.resolve();
    await goesOn.promise;
  });
  await holding.promise;
  const second = roles.revoke('ada@example.com', 'admin', OPERATOR);
  await eventually(async () => {
    const waiting = await database.execute(
      sql`select from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())`,
    );
    if ([...(waiting as unknown as object[])].length === 0) throw new Error('nobody waits for the other');
  });
  goesOn.resolve();
  await first;
  await t.rejects(second, { code: 'last_admin' });
  t.match([await rolesOf(ada), await rolesOf(eve)], [{ roles: ['admin'] }, { roles: [] }]);
});

test('a role that is removed while it is granted is taken again', async (t) => {
  const { roles, addUser, rolesOf, transact, outbox } = await openRoleRoom(t, await openPostgres());
  await roles.put({ name: 'editor', scopes: ['a'] }, OPERATOR);
  const ada = await addUser('ada');
  const granted = Promise.withResolvers<void>();
  const goesOn = Promise.withResolvers<void>();
  const granting = transact(async (transaction) => {
    await roles.setRoles(transaction, ada, ['editor'], OPERATOR);
    granted.resolve();
    await goesOn.promise;
  });
  await granted.promise;
  const removing = roles.remove('editor', OPERATOR);
  goesOn.resolve();
  await Promise.all([granting, removing]);
  await outbox.deliverDue();
  t.match(await rolesOf(ada), { roles: [] });
});
