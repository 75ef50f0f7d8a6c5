import type { Sql } from 'postgres';
import { createPasswordHasher } from '../src/passwords/password-hash.ts';
import { sessionCounts } from './seed-counts.ts';
import { insertSeeded } from './seed-rows.ts';

export type SeedPlan = {
  users: number;
  sessions: number;
  /** The same one gives the same numbers of sessions. */
  seed: number;
  /** Sessions in one transaction. */
  atOnce: number;
  passwordHash: string;
};

/** What has been stored so far. */
export type SeedProgress = { users: number; sessions: number };

/** Takes what has been seeded for what is a user's. */
const SEEDED = '^user[0-9]+@seed[.]example$';

/** The PHC string of the password that all seeded users have, as strong as the server makes it by default. */
export async function hashSeeded(password: string): Promise<string> {
  const hasher = createPasswordHasher({ memoryKib: 19_456, iterations: 2, threads: 1 });
  try {
    return await hasher.hash(password);
  } finally {
    await hasher.close();
  }
}

/**
 * Fills migrated tables with users and sessions, batch by batch, each in a transaction of its own. After an interruption the
 * same call goes on behind the last whole batch.
 * @param tell called after each batch
 * @returns what this call itself has stored
 * @throws Error if there are other users than those of the same plan
 */
export async function seedDatabase(
  sql: Sql,
  plan: SeedPlan,
  tell: (progress: SeedProgress) => void,
): Promise<SeedProgress> {
  const counts = sessionCounts(plan.users, plan.sessions, plan.seed);
  const begun = await findBegun(sql, counts);
  const done = { ...begun };
  while (done.users < plan.users) {
    const sessionsOf = nextUsers(counts, done.users, plan.atOnce);
    const { passwordHash } = plan;
    const batch = { firstUser: done.users, firstSession: done.sessions, sessionsOf, passwordHash };
    await sql.begin(async (transaction) => {
      // A power cut may cost the last batches, and the next call makes them again.
      await transaction`set local synchronous_commit = off`;
      await insertSeeded(transaction, { ...batch, ages: 'mixed' });
    });
    done.users += sessionsOf.length;
    done.sessions += sum(sessionsOf);
    tell(done);
  }
  return { users: done.users - begun.users, sessions: done.sessions - begun.sessions };
}

async function findBegun(sql: Sql, counts: Uint32Array): Promise<SeedProgress> {
  const [found] = await sql<{ users: number; seeded: number; sessions: number }[]>`
    select count(*)::int as users, count(*) filter (where email ~ ${SEEDED})::int as seeded,
           (select count(*) from sessions)::int as sessions from users`;
  const { users, seeded, sessions } = { users: 0, seeded: 0, sessions: 0, ...found };
  if (users === seeded && sessions === sum(counts.subarray(0, users)) && users <= counts.length)
    return { users, sessions };
  throw new Error(
    `the database has ${users - seeded} users of its own, and ${seeded} users with ${sessions} sessions of another plan: take an empty one`,
  );
}

/** The users that follow: at least one, and no more than have `atOnce` sessions together. */
function nextUsers(counts: Uint32Array, from: number, atOnce: number): Uint32Array {
  let [until, sessions] = [from, 0];
  do {
    sessions += counts[until] ?? 0;
    until += 1;
  } while (until < counts.length && until - from < atOnce && sessions + (counts[until] ?? 0) <= atOnce);
  return counts.subarray(from, until);
}

function sum(counts: Uint32Array): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** Bytes of a table, with its indexes one by one. */
export type TableSize = { table: string; rows: number; heap: number; indexes: Record<string, number> };

/** The sizes of the two large tables. Counts the rows, which takes a moment. */
export async function tableSizes(sql: Sql): Promise<TableSize[]> {
  const tables = await sql<{ table: string; heap: string }[]>`
    select relname as table, pg_table_size(oid) as heap from pg_class
     where oid in ('users'::regclass, 'sessions'::regclass) order by relname desc`;
  return Promise.all(
    tables.map(async ({ table, heap }) => {
      const [counted] = await sql<{ rows: number }[]>`select count(*)::int as rows from ${sql(table)}`;
      const indexes = await sql<{ name: string; bytes: string }[]>`
        select indexrelid::regclass::text as name, pg_relation_size(indexrelid) as bytes
          from pg_index where indrelid = ${table}::regclass order by 1`;
      const sizes = indexes.map(({ name, bytes }) => [name, Number(bytes)] as const);
      return { table, rows: counted?.rows ?? 0, heap: Number(heap), indexes: Object.fromEntries(sizes) };
    }),
  );
}
