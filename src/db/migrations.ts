import { fileURLToPath } from 'node:url';

/** The SQL that drizzle-kit generated, oldest first. */
export const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../drizzle', import.meta.url));
