/**
 * `npm run empty-database`: makes `src/adapters/empty-database.tar.zst`, with which an embedded server starts for the
 * first time. Run it after an update of PGlite that brings another PostgreSQL; a test says when.
 *
 * It holds what `initdb` makes: no table of ours, no user, no secret.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import { PGlite } from '@electric-sql/pglite';

const database = await PGlite.create();
const image = Buffer.from(await (await database.dumpDataDir('none')).arrayBuffer());
await database.close();

// The three databases of a new cluster are nearly the same. A window that spans them all stores them once.
const packed = zstdCompressSync(image, {
  params: {
    [constants.ZSTD_c_compressionLevel]: 19,
    [constants.ZSTD_c_windowLog]: 26,
    [constants.ZSTD_c_enableLongDistanceMatching]: 1,
  },
});
writeFileSync(join(import.meta.dirname, 'src/adapters/empty-database.tar.zst'), packed);
process.stdout.write(`${packed.length} bytes, of ${image.length}\n`);
