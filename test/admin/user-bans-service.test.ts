import { test } from 'tap';
import { openAdmin } from '../../src/admin/open-admin.ts';
import { OPERATOR } from '../../src/audit/audit-event.ts';
import { sql } from '../../src/db/drizzle.ts';
import { sweepAll } from '../../src/db/sweep.ts';
import { openAccounts } from '../support/whole-accounts.ts';

const HOUR_MS = 3_600_000;

async function setUp(t: Parameters<typeof openAccounts>[0]) {
  const room = await openAccounts(t);
  const { accounts, audit, codes, outbox, sessions } = room;
  const mail = { isOn: true, send: async () => {}, withdraw: async () => {} };
  const { users, sweeps } = openAdmin(room, { accounts, audit, codes, outbox, sessions, mail });
  const open = async (userId: string) => {
    const [row] = (await room.database.execute(
      sql`select count(*)::int as n from sessions where user_id = ${userId} and ended_at is null`,
    )) as unknown as { n: number }[];
    return row?.n;
  };
  return { ...room, users, sweeps, open };
}

test('no session survives a ban, however many sign-ins run beside it', async (t) => {
  const { users, signUp, accounts, open } = await setUp(t);
  const visitor = {
    device: { ip: '192.0.2.1', userAgent: 'Lynx' },
    ...{ generateToken: null, deviceCookie: null, acceptLanguage: null },
  };
  for (let round = 0; round < 5; round += 1) {
    const { user, email, password } = await signUp();
    const signIns = [1, 2, 3].map(() => accounts.service.signIn({ email, password }, visitor));
    await Promise.allSettled([...signIns, users.ban(user.id, {}, OPERATOR)]);
    t.equal(await open(user.id), 0);
  }
});

test('a ban ends more sessions than one transaction can', async (t) => {
  const { users, signUp, open, database } = await setUp(t);
  const { user } = await signUp();
  await database.execute(sql`insert into sessions (id, user_id, generate_token, expires_at, idle_expires_at)
    select gen_random_uuid(), ${user.id}, sha256(n::text::bytea), now() + interval '1 day', now() + interval '1 day'
    from generate_series(1, 1500) as n`);
  const before = await open(user.id);
  await database.execute(sql`update users set roles = '{admin}' where id = ${user.id}`);
  await t.rejects(users.ban(user.id, {}, OPERATOR), { code: 'last_admin' });
  await t.rejects(users.delete(user.id, OPERATOR), { code: 'last_admin' });
  t.equal(await open(user.id), before, 'whoever must stay keeps all of them');
  await database.execute(sql`update users set roles = '{}' where id = ${user.id}`);
  await users.ban(user.id, {}, OPERATOR);
  t.equal(await open(user.id), 0);
  t.match(await users.unban(user.id, OPERATOR), { status: 'active' });
});

test('a sweep takes bans that are over out of the rows, and notes it; more than 100 in parts', async (t) => {
  const { users, sweeps, signUp, eventsOf, passTime, transact, database } = await setUp(t);
  const { user } = await signUp();
  const until = new Date(Date.now() + HOUR_MS).toISOString();
  await users.ban(user.id, { until }, OPERATOR);
  await database.execute(sql`insert into users (id, email, email_as_typed, status, banned_at, banned_until)
    select gen_random_uuid(), n || '@example.com', '', 'banned', now(), ${until}::timestamptz
    from generate_series(1, 150) as n`);
  const left = async () => {
    const [row] = (await database.execute(
      sql`select count(*)::int as n from users where status = 'banned'`,
    )) as unknown as { n: number }[];
    return row?.n;
  };
  await sweepAll(sweeps, transact);
  t.equal(await left(), 151);
  await passTime(2 * HOUR_MS);
  await sweepAll(sweeps, transact);
  t.equal(await left(), 0);
  t.match((await eventsOf(user.id)).at(-1), { kind: 'account.unbanned', actorKind: 'server', actorId: null });
});
