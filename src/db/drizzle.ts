import { createRequire } from 'node:module';

/**
 * Drizzle, as CommonJS. As ES modules it takes 0.7 s to load instead of 0.1, and leaves 170 MB of garbage: Node 26
 * reads the package's package.json, 134 KB of it, again for each of its modules.
 */
const load = createRequire(import.meta.url);

const core: typeof import('drizzle-orm') = load('drizzle-orm');
const pgCore: typeof import('drizzle-orm/pg-core') = load('drizzle-orm/pg-core');

export const { and, asc, desc, eq, gt, gte, inArray, isNotNull, isNull, lt, lte, ne, notInArray, or, sql } =
  core;
export const { bigint, check, customType, index, integer, jsonb, pgTable, text, uniqueIndex, uuid } = pgCore;

export const { getTableConfig } = pgCore;

/** For PostgreSQL. */
export function loadPostgresDriver() {
  const { drizzle }: typeof import('drizzle-orm/postgres-js') = load('drizzle-orm/postgres-js');
  return { drizzle };
}

/** For the embedded database. */
export function loadPGliteDriver() {
  const { drizzle }: typeof import('drizzle-orm/pglite') = load('drizzle-orm/pglite');
  return { drizzle };
}
