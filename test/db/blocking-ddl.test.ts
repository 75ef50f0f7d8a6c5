import { loadModule } from 'libpg-query';
import { test } from 'tap';
import { readMigrations } from '../../src/db/migrations.ts';
import { troublesIn } from './blocking-ddl.ts';

await loadModule();

/** Part of the first release: no server of an earlier one ever ran beside them. */
const BEFORE_THE_FIRST_RELEASE = ['0002_outbox_and_sweeping', '0004_outbox_lanes', '0005_open_sessions'];

for (const { name, statements } of readMigrations()) {
  test(`${name} lets servers go on working`, async (t) => {
    const troubles = troublesIn(statements.join(';'));
    if (BEFORE_THE_FIRST_RELEASE.includes(name)) {
      t.match(troubles, [/^stops all writes while the index is built/]);
    } else {
      t.same(troubles, []);
    }
  });
}

/** For each rule what it refuses, and beside it what to do instead. */
const RULES: [trouble: RegExp, refused: string, instead: string][] = [
  [
    /stops all writes/,
    'create index i on users (email)',
    'create index concurrently if not exists i on users (email)',
  ],
  [
    /repeated/,
    'create index concurrently i on users (email)',
    'create unique index concurrently if not exists i on users (email)',
  ],
  [
    /beside CONCURRENTLY/,
    'create index concurrently if not exists i on users (email); alter table users add column a int',
    'create index concurrently if not exists i on users (email); create index concurrently if not exists j on users (id)',
  ],
  [
    /give it a default/,
    'alter table users add column a int not null',
    'alter table users add column a int not null default 1',
  ],
  [
    /row to row/,
    'alter table users add column a uuid default gen_random_uuid()',
    'alter table users add column a timestamptz default now()',
  ],
  [
    /row to row/,
    `alter table users add column a float default random()`,
    `alter table users add column a jsonb default '{}'::jsonb`,
  ],
  [/row to row/, 'alter table users add column a bigserial', 'alter table users add column a bigint'],
  [
    /CONSTR_GENERATED/,
    'alter table users add column a int generated always as (1) stored',
    'alter table users add column a int null',
  ],
  [
    /CONSTR_IDENTITY/,
    'alter table users add column a int generated always as identity',
    'alter table users add column a int',
  ],
  [
    /CONSTR_CHECK/,
    'alter table users add column a int check (a > 1)',
    'alter table users add constraint c check (a > 1) not valid',
  ],
  [
    /CONSTR_FOREIGN/,
    'alter table users add column a int references other (id)',
    'alter table users add constraint c foreign key (a) references other (id) not valid',
  ],
  [
    /CONSTR_UNIQUE/,
    'alter table users add column a int unique',
    'alter table users add constraint c unique using index i',
  ],
  [
    /NOT VALID/,
    'alter table users add constraint c check (a > 1)',
    'alter table users add constraint c check (a > 1) not valid',
  ],
  [
    /NOT VALID/,
    'alter table users add constraint c foreign key (a) references other (id)',
    'alter table users validate constraint c',
  ],
  [/NOT VALID/, 'alter table users add constraint c unique (a)', 'alter table users drop constraint c'],
  [
    /own/,
    'alter table users validate constraint c; alter table users validate constraint d',
    'alter table users validate constraint c',
  ],
  [/one release after/, 'alter table users drop column a', 'alter table users alter column a drop not null'],
  [/one release after/, 'drop table users', 'create table other (id int)'],
  [/one release after/, 'drop index i', 'create schema other'],
  [
    /add another column/,
    'alter table users alter column a type bigint',
    'alter table users add column a bigint',
  ],
  [
    /reads the whole table/,
    'alter table users alter column a set not null',
    'alter table users alter column a set default 1',
  ],
  [/old name/, 'alter table users rename column a to b', 'alter table users add column b int'],
  [/old name/, 'alter table users rename to people', 'create table people (id int)'],
  [/part at a time/, 'update users set a = 1', 'comment on table users is $$x$$'],
  [/part at a time/, 'delete from users', 'alter table users alter column a set statistics 500'],
  [/all rows/, 'truncate users', 'alter table users set (fillfactor = 80)'],
  [/AT_SetLogged/, 'alter table users set logged', 'create type mood as enum ()'],
  [/VacuumStmt/, 'vacuum full users', 'create function f() returns int language sql as $$select 1$$'],
];

for (const [trouble, refused, instead] of RULES) {
  test(`refuses: ${refused}`, async (t) => {
    t.match(troublesIn(refused).join('\n'), trouble);
    t.same(troublesIn(instead), [], instead);
  });
}

test('a table that the migration makes is empty: anything may be done to it', async (t) => {
  const all = `create table other (id int); create index i on other (id); alter table other add constraint c unique (id);
    insert into other values (1); alter table other alter column id set not null`;
  t.same(troublesIn(all), []);
  t.equal(troublesIn(all.replaceAll('alter table other', 'alter table users')).length, 2);
});

test('what does not parse is no migration', async (t) => {
  t.throws(() => troublesIn('create tabel x'), /syntax error/);
});
