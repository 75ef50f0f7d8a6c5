import { workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';

// The work of one thread: a new database in the folder that it was given.
const client = await PGlite.create(workerData);
await client.close();
