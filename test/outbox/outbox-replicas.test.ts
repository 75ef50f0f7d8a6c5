import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import postgres from 'postgres';
import t, { type Test } from 'tap';
import { eventually } from '../support/adapters.ts';
import { createTestDatabase, moveDatabaseTime } from '../support/database.ts';
import {
  deliveredSql,
  HELD,
  type Held,
  holdSql,
  LEASE_MS,
  type Order,
  openReplica,
  STEPS,
  type Step,
} from '../support/outbox-replica.ts';

const REPLICA = fileURLToPath(new URL('../support/outbox-replica.ts', import.meta.url));
const MESSAGES = 10_000;

t.setTimeout(180_000);

async function createPlace(t: Test) {
  const { url } = await createTestDatabase(t);
  const sql = postgres(url, { max: 2, onnotice: () => {} });
  t.teardown(() => sql.end());
  await sql.unsafe(deliveredSql);
  const start = (order: Omit<Order, 'url'> = {}): ChildProcess => {
    const child = spawn(process.execPath, [REPLICA], { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin?.write(JSON.stringify({ url, ...order }));
    t.teardown(() => child.kill('SIGKILL'));
    return child;
  };
  const fill = () => sql`
    insert into outbox (id, kind, payload) select gen_random_uuid(), 'test', '{}' from generate_series(1, ${MESSAGES})`;
  const countOf = async (query: string) => Number((await sql.unsafe(`select count(*) as n ${query}`))[0]?.n);
  const emptied = () =>
    eventually(async () => {
      if ((await countOf('from outbox')) > 0) throw new Error('messages are left');
    });
  return { url, sql, start, fill, countOf, emptied };
}

const TWICE = 'from (select id from test_delivered group by id having count(*) > 1) as twice';

t.test(`three replicas deliver each of ${MESSAGES} messages once`, async (t) => {
  const { start, fill, countOf, emptied } = await createPlace(t);
  await fill();
  for (let i = 0; i < 3; i += 1) start();
  await emptied();
  t.equal(await countOf('from test_delivered'), MESSAGES);
  t.equal(await countOf(TWICE), 0);
  const shared = await countOf('from (select distinct replica from test_delivered) as replicas');
  t.ok(shared > 1, `${shared} replicas had a part in it`);
});

t.test(
  'of a replica that is killed the others take over what it had claimed, and nothing else',
  async (t) => {
    const { url, sql, start, fill, countOf, emptied } = await createPlace(t);
    await fill();
    const [victim] = [start(), start(), start()];
    await eventually(async () => {
      const mine = await countOf(`from test_delivered where replica = ${victim?.pid}`);
      if (mine < 500) throw new Error('it has not done enough');
    });
    victim?.kill('SIGKILL');
    await once(victim as ChildProcess, 'exit');
    await moveDatabaseTime(url, LEASE_MS);
    await emptied();
    t.equal(
      await countOf('from (select distinct id from test_delivered) as delivered'),
      MESSAGES,
      'all went out',
    );
    const twice = await sql<{ byVictim: boolean }[]>`
    select bool_or(replica = ${Number(victim?.pid)}) as "byVictim" from test_delivered group by id having count(*) > 1`;
    t.ok(twice.length <= 50, `${twice.length} went out twice: at most what one replica has under way`);
    t.ok(
      twice.every(({ byVictim }) => byVictim),
      'and only what the killed one had in its hands',
    );
  },
);

/** How often a message that was under way goes out in all. */
const deliveries: Record<Step, number> = {
  'before the commit': 0,
  'after the commit, before the delivery': 1,
  'after the delivery, before it is written down': 2,
  'after a failure, before it is written down': 1,
  'after the loop has claimed it': 1,
};

for (const step of STEPS) {
  t.test(`kill -9 ${step}: nothing that was committed is lost`, async (t) => {
    const { url, start, countOf } = await createPlace(t);
    const victim = start({ step });
    const [line] = await once(victim.stdout as NonNullable<ChildProcess['stdout']>, 'data');
    t.equal(String(line), `${step}\n`);
    victim.kill('SIGKILL');
    await once(victim, 'exit');

    const survivor = openReplica({ url });
    t.teardown(survivor.close);
    await survivor.outbox.deliverDue();
    const before = step.startsWith('after the delivery') ? 1 : 0;
    t.equal(await countOf('from test_delivered'), before, 'as long as the claim lasts, another may be at it');
    await moveDatabaseTime(url, LEASE_MS);
    await survivor.outbox.deliverDue();
    t.equal(await countOf('from test_delivered'), deliveries[step]);
    t.equal(await countOf('from outbox'), 0);
  });
}

for (const held of Object.keys(HELD) as Held[]) {
  t.test(`kill -9 in the midst of the ${held}: nothing that was committed is lost`, async (t) => {
    const { url, sql, start, countOf } = await createPlace(t);
    await sql.unsafe(holdSql);
    if (held === 'claim')
      await sql`insert into outbox (id, kind, payload) values (gen_random_uuid(), 'test', '{}')`;
    const holder = await sql.reserve();
    await holder`select pg_advisory_lock(${HELD[held]})`;
    const name = `to die ${process.pid}`;
    const victim = start({ held, name });
    const connections = (state: string) =>
      countOf(`from pg_stat_activity where application_name = '${name}' and ${state}`);
    await eventually(async () => {
      if ((await connections(`wait_event = 'advisory'`)) === 0) throw new Error('it is not held yet');
    });
    victim.kill('SIGKILL');
    await once(victim, 'exit');
    await holder`select pg_advisory_unlock(${HELD[held]})`;
    holder.release();
    await eventually(async () => {
      if ((await connections('true')) > 0) throw new Error('its connections are still there');
    });

    // The database may have carried out the statement all the same, or not.
    const [left, before] = [await countOf('from outbox'), await countOf('from test_delivered')];
    if (held !== 'commit') t.ok(left + before > 0, 'what was committed is there, or was delivered');
    const survivor = openReplica({ url });
    t.teardown(survivor.close);
    await moveDatabaseTime(url, LEASE_MS);
    await survivor.outbox.deliverDue();
    t.equal(await countOf('from test_delivered'), before + left, 'what was left is delivered, once');
    t.equal(await countOf('from outbox'), 0);
  });
}
