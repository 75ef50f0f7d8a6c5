/** The sign-ins of `isolation.ts`, in a process of their own: request, connections and seconds as JSON in the environment. */
import { setPriority } from 'node:os';
import { NICE_INCREMENT } from '../src/passwords/password-hash.ts';
import { load, type Request } from './load.ts';

export type Flood = { request: Request; connections: number; seconds: number };

// It stands for machines elsewhere, so what it costs to send must not take the server's time. But below the threads that
// hash it would wait for them, and then send for dozens of connections at once, as no crowd of clients does.
setPriority(NICE_INCREMENT);
const { request, connections, seconds }: Flood = JSON.parse(process.env.FLOOD ?? '{}');
const { requests, errors } = await load(request, connections, seconds);
process.stdout.write(JSON.stringify({ done: requests - errors, refused: errors, seconds }));
