/** `npm run bench:profile`: the time of `POST /token` in each file, in microseconds per request. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { load } from './load.ts';
import { createPlace } from './place.ts';
import { leaveServerCore } from './processes.ts';
import { warmUp } from './rounds.ts';
import { mintRequest, signUp } from './subjects.ts';

/** What V8 writes with `--cpu-prof`: times in microseconds. */
type Profile = {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[];
  samples: number[];
  timeDeltas: number[];
};

const CONNECTIONS = 100;
const SECONDS = 15;
const SHOWN = 30;

leaveServerCore();
const folder = mkdtempSync(join(tmpdir(), 'doorward-profile-'));
const place = await createPlace();
try {
  const startedAt = performance.now();
  const server = await place.startServer({}, { flags: ['--cpu-prof', `--cpu-prof-dir=${folder}`] });
  const request = mintRequest(server.url, await signUp(server.url));
  await warmUp({ request }, CONNECTIONS);
  const leftOutMs = performance.now() - startedAt;
  const { requests } = await load(request, CONNECTIONS, SECONDS);
  await server.stop();
  show(readProfile(), requests, leftOutMs);
} finally {
  await place.close();
  rmSync(folder, { recursive: true, force: true });
}

/** Worker threads write profiles of their own, smaller ones. */
function readProfile(): Profile {
  const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  const [largest = ''] = texts.toSorted((a, b) => b.length - a.length);
  return JSON.parse(largest);
}

/** @param leftOutMs of the profile's beginning: the server starts, and the engine compiles what is hot */
function show({ nodes, samples, timeDeltas }: Profile, requests: number, leftOutMs: number): void {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const spent = new Map<string, number>();
  let passed = 0;
  for (const [at, id] of samples.entries()) {
    const delta = timeDeltas[at] ?? 0;
    passed += delta;
    const where = places.get(id) ?? '';
    if (passed > leftOutMs * 1000 && where !== '(idle)') spent.set(where, (spent.get(where) ?? 0) + delta);
  }
  const rows = [...spent].sort(([, a], [, b]) => b - a);
  const sum = rows.reduce((total, [, micros]) => total + micros, 0);
  process.stdout.write(`${cell(sum / requests)} µs a request in all, of ${requests}\n`);
  for (const [where, micros] of rows.slice(0, SHOWN))
    process.stdout.write(`${cell(micros / requests)} ${where}\n`);
}

function cell(micros: number): string {
  return micros.toFixed(1).padStart(7);
}

/** A package, a file of ours, a module of Node, or V8's own name if there is no file. */
function placeOf({ functionName, url }: Profile['nodes'][number]['callFrame']): string {
  const [, inPackage] = /.*\/node_modules\/(.*)/.exec(url) ?? [];
  if (inPackage !== undefined) return inPackage.split('/', inPackage.startsWith('@') ? 2 : 1).join('/');
  const [, ours] = /\/(src\/.*)/.exec(url) ?? [];
  return ours ?? (url || functionName);
}
