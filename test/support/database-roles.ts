import { randomUUID } from 'node:crypto';
import { runSql } from '../helper.ts';

type Teardown = { teardown(undo: () => unknown): void };

const uniqueName = (kind: string) => `doorward_${kind}_${randomUUID().replaceAll('-', '')}`;

/**
 * A role without any rights in the database of `url`, with PostgreSQL's own search_path: a schema of its name, then
 * `public`.
 * @returns its name, and the URL with which it connects
 */
export async function createRole(t: Teardown, url: string): Promise<{ role: string; url: string }> {
  const role = uniqueName('role');
  await runSql(
    url,
    `create role ${role} login; alter role ${role} set search_path = "$user", public; revoke all on schema public from public`,
  );
  // This runs before the teardown of the database, which was asked for earlier.
  t.teardown(() => runSql(url, `drop owned by ${role} cascade; drop role ${role}`));
  const own = new URL(url);
  own.username = role;
  return { role, url: own.href };
}

/** Lets a role read and write the rows of all tables in a schema, and do nothing else. */
export async function grantRows(url: string, role: string, schema: string): Promise<void> {
  await runSql(
    url,
    `grant usage on schema ${schema} to ${role}; grant select, insert, update, delete on all tables in schema ${schema} to ${role}`,
  );
}

/** Brings a database back to the state before any migration. */
export async function emptySchemas(url: string): Promise<void> {
  await runSql(url, 'drop schema public cascade; drop schema drizzle cascade; create schema public');
}

/** A database in another encoding than UTF-8, on the same server. @returns its URL */
export async function createLatinDatabase(t: Teardown, url: string): Promise<string> {
  const name = uniqueName('latin');
  await runSql(url, `create database ${name} encoding 'LATIN1' locale 'C' template template0`);
  t.teardown(() => runSql(url, `drop database ${name} with (force)`));
  const latin = new URL(url);
  latin.pathname = name;
  return latin.href;
}
