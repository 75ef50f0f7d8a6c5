import { readFileSync } from 'node:fs';
import { zstdDecompressSync } from 'node:zlib';
import { PGlite } from '@electric-sql/pglite';
import { migratePGlite } from '../../src/db/migrate-pglite.ts';
import { readMigrations } from '../../src/db/migrations.ts';
import { timeTravelSearchPath, timeTravelSql } from './database-template.ts';

let image: Blob | undefined;

/**
 * An embedded database in memory, without tables. It is a copy of the one that the server has prepared for its first
 * start: making one anew takes five times as long.
 */
export async function openEmptyPGlite(): Promise<PGlite> {
  const packed = new URL('../../src/adapters/empty-database.tar.zst', import.meta.url);
  image ??= new Blob([zstdDecompressSync(readFileSync(packed))]);
  return PGlite.create({ loadDataDir: image });
}

/** The same with the tables, whose time can be moved: see `moveDatabaseTime`. */
export async function openMigratedPGlite(): Promise<PGlite> {
  const client = await openEmptyPGlite();
  await client.exec(timeTravelSql);
  await client.exec(timeTravelSearchPath);
  await migratePGlite(client, readMigrations());
  return client;
}
