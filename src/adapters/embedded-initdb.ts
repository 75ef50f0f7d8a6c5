import { workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';

// Runs in a thread of its own and makes a new database in the given folder.
const client = await PGlite.create(workerData);
await client.close();
