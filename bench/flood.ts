/** The sign-ins of `isolation.ts`, in a process of their own. FLOOD has request, connections and seconds as JSON. */
import { setPriority } from 'node:os';
import { NICE_INCREMENT } from '../src/passwords/password-hash.ts';
import { load, type Request } from './load.ts';

export type Flood = { request: Request; connections: number; seconds: number };

// It stands for other machines, so sending must not take the server's time. But with a priority below the hashing
// threads it would wait for them, and then send on dozens of connections at once, which real clients do not do.
setPriority(NICE_INCREMENT);
const { request, connections, seconds }: Flood = JSON.parse(process.env.FLOOD ?? '{}');
const { requests, errors } = await load(request, connections, seconds);
process.stdout.write(JSON.stringify({ done: requests - errors, refused: errors, seconds }));
