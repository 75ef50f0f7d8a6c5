import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import postgres from 'postgres';
import { type Test, test } from 'tap';
import { v7 as uuidv7 } from 'uuid';
import { openAudit } from '../../src/audit/open-audit.ts';
import { migratePostgres } from '../../src/db/migrate-postgres.ts';
import { sweepAll } from '../../src/db/sweep.ts';
import { build, cookieHeader, cookieOf, createPlace, runSql, signUp } from '../helper.ts';
import { emptySchemas } from '../support/database-roles.ts';
import { createPlatform } from '../support/platform.ts';

const page = readFileSync('docs/operators.md', 'utf8');
const DAY_MS = 86_400_000;

/** A database as the page sets it up; roles are those of all databases, so they have names of their own here. */
async function setUp(t: Test) {
  const place = await createPlace(t);
  const admin = place.DATABASE_URL;
  const end = randomBytes(4).toString('hex');
  const [owner, run] = [`doorward_owner_${end}`, `doorward_run_${end}`];
  const [before, after] = [...page.slice(page.indexOf('### Two roles')).matchAll(/```sql\n([^`]*)```/g)].map(
    ([, sql = '']) => sql.replaceAll('doorward_owner', owner).replaceAll('doorward_run', run),
  );
  const urlOf = (role: string) => Object.assign(new URL(admin), { username: role }).href;
  await emptySchemas(admin);
  t.teardown(() =>
    runSql(
      admin,
      `drop owned by ${run} cascade; drop role ${run}; drop owned by ${owner} cascade; drop role ${owner}`,
    ),
  );
  await runSql(admin, String(before));
  const client = postgres(urlOf(owner), { max: 2, onnotice: () => {} });
  await migratePostgres(client, () => {});
  await client.end();
  await runSql(urlOf(owner), String(after));
  return { admin, url: urlOf(run), place: { ...place, DATABASE_URL: urlOf(run) } };
}

test('a server runs all its life as a role that only adds to the audit', async (t) => {
  const { admin, url, place } = await setUp(t);
  const { app, adapters } = await build(t, {}, place);
  await adapters.prepare();
  await adapters.migrate(() => {});
  await adapters.checkUse();

  const { email, password, user } = await signUp(app);
  const other = await signUp(app);
  const entered = await app.inject({ method: 'POST', url: '/login', payload: { email, password } });
  const cookie = cookieHeader(cookieOf(entered).value);
  const left = await app.inject({ method: 'DELETE', url: '/me', headers: { cookie }, payload: { password } });
  t.equal(left.statusCode, 204);
  const events = await runSql<{ kind: string; ip: string | null }>(
    url,
    `select kind, ip from audit_events where user_id = '${user.id}' order by id`,
  );
  t.equal(events.at(-1)?.kind, 'account.deleted');
  t.ok(events.every(({ ip }) => ip === null));

  const old = uuidv7({ msecs: Date.now() - 500 * DAY_MS });
  const addOld = `insert into doorward.audit_events (id, kind, happened_at) values ('${old}', 'key.rotated', now() - interval '500 days')`;
  const isOldThere = () => runSql(url, `select 1 from audit_events where id = '${old}'`);
  await runSql(admin, addOld);
  const platform = createPlatform(adapters.database);
  const audit = openAudit(platform);
  await sweepAll(audit.sweeps, platform.transact);
  t.same(await isOldThere(), []);

  await t.test('which cannot take back what is written', async (t) => {
    for (const statement of [
      `update audit_events set kind = 'x'`,
      'update audit_events set ip = null',
      'delete from audit_events',
      'truncate audit_events',
      'alter table audit_events disable trigger all',
      'drop table audit_events',
      'drop function forget_audit_events',
      'create or replace function audit_events_refuse_change() returns trigger language plpgsql as $$ begin return null; end $$',
      `update "__drizzle_migrations" set created_at = 0`,
      'create table things ()',
    ])
      await t.rejects(runSql(url, statement), { code: '42501' }, statement);
  });

  await t.test('nor by tables of its own that have the names of those', async (t) => {
    const decoys =
      'create temp table users (id uuid); create temp table audit_events (id uuid, user_id uuid)';
    const path = 'set search_path = pg_temp, doorward';
    const forget = `select doorward.forget_audit_events('${other.user.id}')`;
    for (const setting of ['', `${path};`])
      await t.rejects(runSql(url, `${decoys}; ${setting} ${forget}`), { code: '23001' });
    await runSql(admin, addOld);
    await runSql(url, `${decoys}; ${path}; select doorward.sweep_audit_events(interval '0', 100)`);
    t.same(await isOldThere(), []);
    const [count] = await runSql<{ count: string }>(
      url,
      `select count(*) from audit_events where user_id = '${other.user.id}' and ip is not null`,
    );
    t.ok(Number(count?.count) > 0, 'what is younger is still there, with its network');
  });

  await t.test('and others may not call those functions', async (t) => {
    const stranger = `doorward_stranger_${randomUUID().slice(0, 8)}`;
    await runSql(admin, `create role ${stranger} login; grant usage on schema doorward to ${stranger}`);
    t.teardown(() => runSql(admin, `drop owned by ${stranger}; drop role ${stranger}`));
    const theirs = Object.assign(new URL(admin), { username: stranger }).href;
    await t.rejects(runSql(theirs, `select doorward.sweep_audit_events(interval '0', 1)`), { code: '42501' });
  });
});
