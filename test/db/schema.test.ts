import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core';
import fc from 'fast-check';
import { test } from 'tap';
import type { Database } from '../../src/db/database.ts';
import { sql } from '../../src/db/drizzle.ts';
import { MIGRATIONS_FOLDER } from '../../src/db/migrations.ts';
import * as schema from '../../src/db/schema.ts';
import { databases, openPostgres } from '../support/adapters.ts';

const tables: PgTable[] = Object.values(schema);

/** A table as our queries expect it. */
function describe(table: PgTable) {
  const { name, columns, checks, uniqueConstraints, foreignKeys, indexes } = getTableConfig(table);
  return {
    name,
    columns: columns.map((column) => `${column.name} ${column.getSQLType()} ${column.notNull}`).sort(),
    constraints: [
      ...checks.map((check) => check.name),
      ...uniqueConstraints.map((unique) => unique.getName()),
      ...columns.filter((column) => column.isUnique).map((column) => column.uniqueName),
      ...foreignKeys.map((key) => `${key.getName()} to ${getTableConfig(key.reference().foreignTable).name}`),
    ].sort(),
    indexes: indexes.map((index) => index.config.name).sort(),
  };
}

for (const { name, open } of databases) {
  test(`the migrations make what the schema says, on ${name}`, async (t) => {
    const { database } = await open(t);
    const list = async (query: ReturnType<typeof sql>): Promise<string[]> => {
      const result = await database.execute(
        sql`select line from (${query}) as lines (line) order by line collate "C"`,
      );
      const rows = (Array.isArray(result) ? result : (result as { rows: unknown[] }).rows) as {
        line: string;
      }[];
      return rows.map(({ line }) => line);
    };
    for (const expected of tables.map(describe)) {
      const table = sql`${`public.${expected.name}`}::regclass`;
      t.same(
        {
          name: expected.name,
          columns: await list(sql`
            select attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull
            from pg_attribute where attrelid = ${table} and attnum > 0 and not attisdropped`),
          constraints: await list(sql`
            select conname || coalesce(' to ' || nullif(confrelid, 0)::regclass, '')
            from pg_constraint where conrelid = ${table} and contype in ('c', 'u', 'f')`),
          indexes: await list(sql`
            select indexrelid::regclass::text from pg_index where indrelid = ${table}
            and indexrelid not in (select conindid from pg_constraint)`),
        },
        expected,
      );
    }
  });
}

test('no migration names a schema: the tables go where search_path says', (t) => {
  for (const name of readdirSync(MIGRATIONS_FOLDER).filter((file) => file.endsWith('.sql')))
    t.notMatch(readFileSync(join(MIGRATIONS_FOLDER, name), 'utf8'), /"public"\./, name);
  t.end();
});

const readInstant = (text: string) => schema.users.createdAt.mapFromDriverValue(text) as Date;

/** An instant as PostgreSQL writes it with that setting. */
async function writtenBy(database: Database, instant: Date, setting: string, value: string): Promise<string> {
  const rows = await database.transaction(async (transaction) => {
    await transaction.execute(sql`select set_config(${setting}, ${value}, true)`);
    return transaction.execute(sql`select ${instant.toISOString()}::timestamptz::text as text`);
  });
  return (rows as unknown as { text: string }[])[0]?.text ?? '';
}

test('an instant that PostgreSQL wrote is read as the same one, in any time zone', async (t) => {
  const { database } = await openPostgres();
  const isSame = async (instant: Date, zone: string) => {
    const text = await writtenBy(database, instant, 'TimeZone', zone);
    return readInstant(text).getTime() === instant.getTime();
  };
  const instants = fc.date({ min: new Date('1970-01-01'), max: new Date('9999-12-30'), noInvalidDate: true });
  const zones = fc.constantFrom('UTC', 'Asia/Kolkata', 'America/St_Johns');
  await t.resolves(fc.assert(fc.asyncProperty(instants, zones, isSame)));
});

test('in another DateStyle an instant is unavailable, and never a wrong one', async (t) => {
  const { database } = await openPostgres();
  const unreadable = { code: 'unavailable', cause: { name: 'UnreadableAnswer' } };
  for (const style of ['SQL, DMY', 'SQL, MDY', 'Postgres, DMY', 'German, DMY']) {
    const text = await writtenBy(database, new Date('2026-01-05T10:00:00Z'), 'DateStyle', style);
    t.throws(() => readInstant(text), unreadable, text);
  }
  t.throws(() => readInstant('infinity'), unreadable);
});
