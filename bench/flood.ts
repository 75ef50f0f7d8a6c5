/** The sign-ins of `isolation.ts`, in a process of their own: request, connections and seconds as JSON in the environment. */
import { setPriority } from 'node:os';
import { load, type Request } from './load.ts';

export type Flood = { request: Request; connections: number; seconds: number };

/** That of the threads which hash. */
const PRIORITY = 10;

// It stands for machines elsewhere, so what it costs to send must not take the server's time. But at the lowest priority
// of all it would wait for the hashes, and then send for dozens of connections at once, as no crowd of clients does.
setPriority(PRIORITY);
const { request, connections, seconds }: Flood = JSON.parse(process.env.FLOOD ?? '{}');
const { requests, errors } = await load(request, connections, seconds);
process.stdout.write(JSON.stringify({ done: requests - errors, refused: errors, seconds }));
