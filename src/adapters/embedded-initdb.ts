import { workerData } from 'node:worker_threads';
import { openPGliteFolder } from './pglite-folder.ts';

// Runs in a thread of its own and makes a new database in the given folder.
const client = await openPGliteFolder(workerData);
await client.close();
