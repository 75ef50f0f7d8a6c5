/**
 * One replica's outbox with a lane of its own, and a table as receiver that keeps every message. As a process it reads
 * its task from stdin, and runs until it is killed.
 */
import { once } from 'node:events';
import postgres from 'postgres';
import Type from 'typebox';
import { loadPostgresDriver } from '../../src/db/drizzle.ts';
import * as schema from '../../src/db/schema.ts';
import { createOutboxService } from '../../src/outbox/outbox-service.ts';
import { createOutboxStore } from '../../src/outbox/outbox-store.ts';
import { createPlatform } from './platform.ts';

const { drizzle } = loadPostgresDriver();

/** The step at which a process stops for ever, so that it can be killed there. */
export const STEPS = [
  'before the commit',
  'after the commit, before the delivery',
  'after the delivery, before it is written down',
  'after a failure, before it is written down',
  'after the loop has claimed it',
] as const;
export type Step = (typeof STEPS)[number];

/** A statement of the outbox in which the test holds the process, by a lock in the database. */
export const HELD = { commit: 1, claim: 2, fail: 3, delete: 4 } as const;
export type Held = keyof typeof HELD;

/** Makes each of these statements wait for as long as the test has the advisory lock of its number. */
export const holdSql = `
  create function test_hold() returns trigger language plpgsql
    as $$ begin perform pg_advisory_xact_lock(tg_argv[0]::int); return coalesce(new, old); end $$;
  create constraint trigger hold_commit after insert on outbox deferrable initially deferred
    for each row execute function test_hold(${HELD.commit});
  create trigger hold_claim before update on outbox
    for each row when (new.attempts > old.attempts) execute function test_hold(${HELD.claim});
  create trigger hold_fail before update on outbox
    for each row when (new.attempts = old.attempts) execute function test_hold(${HELD.fail});
  create trigger hold_delete before delete on outbox
    for each row execute function test_hold(${HELD.delete});`;

export type Order = { url: string; name?: string; step?: Step; held?: Held };

export const DEADLINE_MS = 1_000;
const DATABASE_DEADLINE_MS = 2_000;
export const LEASE_MS = DEADLINE_MS + 2 * DATABASE_DEADLINE_MS;

export const deliveredSql = 'create table test_delivered (id uuid not null, replica integer not null)';

/** @param reached called at the step at which the replica stops, if it has one */
export function openReplica(
  { url, name = 'test', step, held }: Order,
  reached: (step: Step) => void = () => {},
) {
  const connection = { application_name: name };
  const sql = postgres(url, { max: 4, onnotice: () => {}, connection });
  const database = drizzle(sql, { schema });
  const { transact, log } = createPlatform(database);
  const table = createOutboxStore(database);
  const stopAt = async (here: Step) => {
    if (here !== step) return;
    reached(here);
    await new Promise(() => {});
  };
  const store: typeof table = {
    ...table,
    async claim(...wish) {
      const claimed = await table.claim(...wish);
      if (claimed.length > 0) await stopAt('after the loop has claimed it');
      return claimed;
    },
    async delete(ids) {
      await stopAt('after the delivery, before it is written down');
      await table.delete(ids);
    },
    async fail(failures) {
      await stopAt('after a failure, before it is written down');
      await table.fail(failures);
    },
  };
  const outbox = createOutboxService({ store, log, databaseDeadlineMs: DATABASE_DEADLINE_MS });
  const lane = outbox.openLane({
    kind: 'test',
    payload: Type.Object({}),
    async deliver(_payload, { id }) {
      await stopAt('after the commit, before the delivery');
      if (held === 'fail' || step === 'after a failure, before it is written down') throw new Error('away');
      await sql`insert into test_delivered values (${id}, ${process.pid})`;
    },
    isAwaited: step !== 'after the loop has claimed it',
    atOnce: 50,
    deadlineMs: DEADLINE_MS,
    retry: { firstDelayMs: 100, maxDelayMs: 200, maxAttempts: 10 },
  });
  return {
    outbox,
    send: () =>
      transact(async (transaction) => {
        await lane.send(transaction, {});
        await stopAt('before the commit');
      }),
    close: async () => {
      await outbox.close();
      await sql.end({ timeout: 1 });
    },
  };
}

if (import.meta.main) {
  const [text] = await once(process.stdin, 'data');
  const order: Order = JSON.parse(String(text));
  const replica = openReplica(order, (step) => process.stdout.write(`${step}\n`));
  // The process must not end by itself while it waits to be killed.
  setInterval(() => {}, 1_000);
  if (order.step === undefined && (order.held ?? 'claim') === 'claim') replica.outbox.start();
  else await replica.send();
}
