import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The SQL that drizzle-kit generated, oldest first. */
export const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../drizzle', import.meta.url));

/** One step of the schema. */
export type Migration = {
  /** Its file in `drizzle/`, without the ending, such as `0000_first`. */
  name: string;
  /** When it was made, in milliseconds since the epoch. The journal in the database holds it: the order of migrations. */
  madeAt: number;
  /** SHA-256 of the file, in hexadecimal. */
  hash: string;
  statements: string[];
};

type Journal = { entries: { tag: string; when: number }[] };

/** All migrations of this release, the oldest first. */
export function readMigrations(folder: string = MIGRATIONS_FOLDER): Migration[] {
  const journal: Journal = JSON.parse(readFileSync(join(folder, 'meta', '_journal.json'), 'utf8'));
  return journal.entries.map(({ tag, when }) => {
    const text = readFileSync(join(folder, `${tag}.sql`), 'utf8');
    return {
      name: tag,
      madeAt: when,
      hash: createHash('sha256').update(text).digest('hex'),
      statements: text.split('--> statement-breakpoint'),
    };
  });
}

/** Those that have not run yet. @param last what the journal in the database has as its latest; 0 for an empty one */
export function pendingAfter(last: number, migrations: Migration[] = readMigrations()): Migration[] {
  return migrations.filter(({ madeAt }) => madeAt > last);
}

/**
 * Whether the migration builds indexes while rows of their tables go on being written. Such a statement cannot run in a
 * transaction.
 */
export function isConcurrent({ statements }: Migration): boolean {
  return statements.some((statement) => CONCURRENTLY.test(statement));
}

const CONCURRENTLY = /\bCONCURRENTLY\b/i;

/** The same statement for a database that has no other connection, and so nothing to wait for. */
export function withoutConcurrency(statement: string): string {
  return statement.replace(CONCURRENTLY, '');
}
