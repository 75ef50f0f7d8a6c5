import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core';
import { test } from 'tap';
import { sql } from '../../src/db/drizzle.ts';
import { MIGRATIONS_FOLDER } from '../../src/db/migrations.ts';
import * as schema from '../../src/db/schema.ts';
import { databases } from '../support/adapters.ts';

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
