/** `npm run bench:costs`: what each kind of request costs, into bench/costs.json, which the capacity page is made of. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { Command } from 'commander';
import { type CostPlace, createCostPlace } from './cost-place.ts';
import {
  measureBytes,
  measureConnections,
  measureHash,
  measureIdle,
  measureMissBuffers,
  measureRequests,
  measureSigma,
  measureSteady,
  measureTouch,
} from './cost-subjects.ts';
import type { Costs } from './cost-table.ts';
import { leaveServerCore } from './processes.ts';

type Options = { users: string; sessions: string; rounds: string; json: string };

const options = new Command('npm run bench:costs --')
  .description('Measures the costs of requests on a PostgreSQL and a Redis of its own, with seeded tables.')
  .option('--users <number>', 'seeded users', '1000000')
  .option('--sessions <number>', 'seeded sessions', '5000000')
  .option('--rounds <number>', 'rounds; of each figure the median counts', '5')
  .option('--json <file>', 'where the figures go', 'bench/costs.json')
  .parse()
  .opts<Options>();

leaveServerCore();
const place = await createCostPlace(Number(options.users), Number(options.sessions), tell);
try {
  writeFileSync(options.json, `${JSON.stringify(await measure(place), null, 2)}\n`);
} finally {
  await place.close();
}

async function measure(place: CostPlace): Promise<Costs> {
  tell('requests');
  const requests = await measureRequests(place, Number(options.rounds), tell);
  tell('the rest');
  return {
    at: new Date().toISOString(),
    machine: { node: process.version, cpu: `${cpus().length} x ${cpus()[0]?.model}`, commit: commit() },
    seeded: { users: Number(options.users), sessions: Number(options.sessions) },
    requests,
    serverSigma: await measureSigma(place),
    hashMicros: measureHash(),
    touch: await measureTouch(place),
    idle: await measureIdle(place),
    missBuffers: await measureMissBuffers(place),
    connections: await measureConnections(place),
    steady: [await measureSteady(place, 100, 10), await measureSteady(place, 300, 10)],
    // The last, since it empties and fills the cache.
    bytes: await measureBytes(place),
  };
}

function tell(what: string): void {
  process.stderr.write(`${what}\n`);
}

function commit(): string {
  return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
}
