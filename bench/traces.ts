/** `npm run bench:traces`: what traces cost `POST /token`, beside the same server without them. See README.md. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createPlace } from './place.ts';
import { leaveServerCore } from './processes.ts';
import { tableOf } from './report.ts';
import { measureAll } from './rounds.ts';
import { FLOOR, mintRequest, type Subject, signUp } from './subjects.ts';

const PLAN = { connections: [100], rounds: 5, seconds: 3 };

leaveServerCore();
let received = 0;
const collector = createServer((request, response) => {
  request.on('data', (part: Buffer) => {
    received += part.length;
  });
  request.on('end', () => response.end());
}).listen(0, '127.0.0.1');
await once(collector, 'listening');
const { port } = collector.address() as AddressInfo;

const place = await createPlace();
try {
  const traced = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` };
  const some = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.01' };
  const subjects = [
    await subject(FLOOR, {}),
    await subject('traces, 1 %', { ...traced, ...some }),
    await subject('traces, all', traced),
  ];
  const lines = await measureAll(subjects, PLAN, (step) => process.stderr.write(`${step}\n`));
  process.stdout.write(`the floor here is the same server without traces\n${tableOf(lines)}\n`);
  process.stdout.write(`the collector got ${Math.round(received / 1e6)} MB\n`);
} finally {
  await place.close();
  collector.close();
  collector.closeAllConnections();
}

/** One after the other, all on the same core: only one of them works at any time. */
async function subject(name: string, environment: Record<string, string>): Promise<Subject> {
  const server = await place.startServer(environment);
  return { name, server, request: mintRequest(server.url, await signUp(server.url)) };
}
