import postgres from 'postgres';
import { type Test, test } from 'tap';
import { migratePGlite } from '../../src/db/migrate-pglite.ts';
import { migratePostgres } from '../../src/db/migrate-postgres.ts';
import { type Migration, readMigrations } from '../../src/db/migrations.ts';
import { eventually } from '../support/adapters.ts';
import { createTestDatabase } from '../support/database.ts';
import { openEmptyPGlite } from '../support/memory-database.ts';

/** A database that is up to date, and a way to open clients on it. */
async function setUp(t: Test) {
  const { url } = await createTestDatabase(t);
  const open = (max: number) => {
    const client = postgres(url, { max, onnotice: () => {} });
    t.teardown(() => client.end());
    return client;
  };
  return { open, migrating: open(2), client: open(3) };
}

/** The migrations of this release, and one more. */
function withNext(...statements: string[]): Migration[] {
  return [...readMigrations(), { name: '9999_next', madeAt: Date.now(), hash: 'x', statements }];
}

const INDEX = 'CREATE INDEX CONCURRENTLY IF NOT EXISTS "next_idx" ON "users" USING btree ("created_at");';

/** Runs a statement in a transaction that stays open. @returns what ends it */
async function holdOpen(t: Test, client: postgres.Sql, statement: string): Promise<() => Promise<void>> {
  const done = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const transaction = client.begin(async (holder) => {
    await holder.unsafe(statement);
    done.resolve();
    await release.promise;
  });
  t.teardown(release.resolve);
  await Promise.race([done.promise, transaction]);
  return async () => {
    release.resolve();
    await transaction;
  };
}

async function journal(client: postgres.Sql): Promise<number> {
  return (await client`select 1 from drizzle.__drizzle_migrations`).length;
}

async function indexes(client: postgres.Sql) {
  return client`
    select indisvalid from pg_index where indexrelid = to_regclass('public.next_idx')`;
}

test('a migration that waits for a table holds up the others for half a second, and tries again until it has it', async (t) => {
  const { migrating, client } = await setUp(t);
  const migrations = withNext('alter table users add column next text');
  const lines: string[] = [];
  const release = await holdOpen(t, client, 'select 1 from users');
  const migrated = migratePostgres(migrating, (line) => lines.push(line), { migrations });
  // A request that comes to the table while the migration waits for it stands behind it in the queue.
  await eventually(async () => {
    const [waiting] = await client`
      select 1 from pg_locks where relation = 'users'::regclass and mode = 'AccessExclusiveLock' and not granted`;
    if (waiting === undefined) throw new Error('it does not wait yet');
  });
  const askedAt = performance.now();
  await client`select 1 from users`;
  t.ok(performance.now() - askedAt < 2_000, 'within the deadline of a request');
  await eventually(() => {
    if (lines.length === 0) throw new Error('it has said nothing yet');
  });
  t.same(lines, ['waiting for a table that another session keeps locked']);
  await release();
  await migrated;
  t.same(await client`select next from users`, []);
  t.equal(await journal(client), migrations.length);
});

test('an index is built while other replicas wait for their turn to migrate', async (t) => {
  const { open, client } = await setUp(t);
  const migrations = withNext(INDEX);
  const replicas = Array.from({ length: 5 }, () =>
    migratePostgres(open(2), () => {}, { migrations, patienceMs: 20_000 }),
  );
  await t.resolves(Promise.all(replicas));
  t.strictSame([...(await indexes(client))], [{ indisvalid: true }]);
});

test('a table that stays locked ends the migration in time, and nothing is changed', async (t) => {
  const { migrating, client } = await setUp(t);
  const migrations = withNext(
    'alter table outbox add column next text',
    'alter table users add column next text',
  );
  const release = await holdOpen(t, client, 'select 1 from users');
  await t.rejects(
    migratePostgres(migrating, () => {}, { patienceMs: 100, migrations }),
    {
      name: 'DatabaseSetupError',
      message: /another session keeps a lock/,
    },
  );
  await release();
  t.equal(await journal(client), migrations.length - 1);
  await t.rejects(client`select next from outbox`, { code: '42703' });
});

test('a later migration that is refused leaves the earlier ones done', async (t) => {
  const { migrating, client } = await setUp(t);
  const [first, second] = [
    withNext('alter table users add column next text'),
    withNext('alter table nowhere add column next text'),
  ].map((all) => all.slice(-1));
  const migrations = [
    ...readMigrations(),
    ...(first ?? []),
    ...(second ?? []).map((one) => ({ ...one, madeAt: one.madeAt + 1 })),
  ];
  await t.rejects(
    migratePostgres(migrating, () => {}, { migrations }),
    { name: 'DatabaseError', sqlState: '42P01' },
  );
  t.same(await client`select next from users`, []);
  t.equal(await journal(client), migrations.length - 1);
});

test('an index is built while rows are written, in the schema of the tables, once', async (t) => {
  const { migrating, client } = await setUp(t);
  const migrations = withNext(INDEX);
  // A build waits for such a transaction, and holds up no other one meanwhile.
  const release = await holdOpen(t, client, 'update users set updated_at = now()');
  const migrated = migratePostgres(migrating, () => {}, { migrations });
  await eventually(async () => {
    if ((await indexes(client)).length === 0) throw new Error('the build has not begun');
  });
  await client`insert into users (id, email, email_as_typed, password_hash) values (gen_random_uuid(), 'x', 'x', 'x')`;
  await release();
  await migrated;
  t.same(await indexes(client), [{ indisvalid: true }]);
  await migratePostgres(migrating, () => {}, { migrations });
  t.equal(await journal(client), migrations.length);
});

test('an index that a lost process left half built is built anew', async (t) => {
  const { migrating, client } = await setUp(t);
  await client`insert into users (id, email, email_as_typed, password_hash)
    select gen_random_uuid(), i, 'x', 'x' from generate_series(1, 2) as i`;
  const unique =
    'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "next_idx" ON "users" USING btree ("email_as_typed");';
  await t.rejects(client.unsafe(unique), { code: '23505' });
  t.same(await indexes(client), [{ indisvalid: false }]);
  await client`update users set email_as_typed = email`;
  await migratePostgres(migrating, () => {}, { migrations: withNext(unique) });
  t.same(await indexes(client), [{ indisvalid: true }]);
});

test('an index that was built just before the process was lost is left as it is', async (t) => {
  const { migrating, client } = await setUp(t);
  await client.unsafe(INDEX);
  const oid = () => client`select 'public.next_idx'::regclass::oid as oid`;
  const before = await oid();
  await migratePostgres(migrating, () => {}, { migrations: withNext(INDEX) });
  t.same(await oid(), before);
});

test('anything else beside such an index is refused: it would not be in a transaction', async (t) => {
  const { migrating, client } = await setUp(t);
  const migrations = withNext(INDEX, 'alter table users add column next text');
  await t.rejects(
    migratePostgres(migrating, () => {}, { migrations }),
    /not a statement to run outside/,
  );
  t.equal(await journal(client), migrations.length - 1);
});

test('an embedded database, which has one connection, builds the same index in the transaction', async (t) => {
  const client = await openEmptyPGlite();
  t.teardown(() => client.close());
  await migratePGlite(client, withNext(INDEX));
  const { rows } = await client.query(
    `select indisvalid from pg_index where indexrelid = 'next_idx'::regclass`,
  );
  t.same(rows, [{ indisvalid: true }]);
});
