import { readFile } from 'node:fs/promises';
import { workerData } from 'node:worker_threads';
import { zstdDecompressSync } from 'node:zlib';
import { openPGliteFolder } from './pglite-folder.ts';

// Runs in a thread of its own, and puts an empty database into the given folder: a prepared one (`npm run
// empty-database`), because to make one anew takes several times as long.
const packed = await readFile(new URL('./empty-database.tar.zst', import.meta.url));
const client = await openPGliteFolder(workerData, new Blob([zstdDecompressSync(packed)]));
await client.close();
