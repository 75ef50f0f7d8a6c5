/**
 * `npm run bench:isolation`: what a flood of sign-ins does to `/token`, with the niced worker threads of the product
 * and with a plain semaphore over Node's own thread pool in their place. Server and load share all cores.
 */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { Flood } from './flood.ts';
import type { Figures } from './load.ts';
import { createPlace } from './place.ts';
import type { MeasuredProcess } from './processes.ts';
import { median } from './report.ts';
import { warmUp } from './rounds.ts';
import { sendSteadily } from './steady-rate.ts';
import { loginRequest, mintRequest, signUp, type Visitor } from './subjects.ts';

const PER_SECOND = 500;
const SECONDS = 8;
const ROUNDS = 5;
const FLOOD_CONNECTIONS = 100;
const FLOOD_STARTS_WITHIN_MS = 1_500;

/** The results of the sign-ins. */
type Floods = { donePerSecond: number; refusedPerSecond: number };

const VARIANTS: [name: string, flags: string[]][] = [
  ['niced worker threads', []],
  ['plain semaphore', ['--import', './bench/use-semaphore.ts']],
];

const place = await createPlace();
try {
  process.stdout.write(`/token at ${PER_SECOND} a second, latency from the time each was due, ms\n\n`);
  process.stdout.write(
    `${'hashing in'.padEnd(22)}${'p50'.padStart(8)}${'p97.5'.padStart(8)}${'p99'.padStart(8)}${'errors'.padStart(8)}\n`,
  );
  for (const [name, flags] of VARIANTS) {
    const server = await place.startServer({}, { flags, pinned: false });
    const visitor = await signUp(server.url);
    await warmUp({ request: mintRequest(server.url, visitor) }, FLOOD_CONNECTIONS);
    await flooded(server, visitor);
    const rounds: [quiet: Figures, flooded: Figures & Floods][] = [];
    for (let round = 0; round < ROUNDS; round += 1)
      rounds.push([await steady(server, visitor), await flooded(server, visitor)]);
    show(
      `${name}, quiet`,
      rounds.map(([quiet]) => quiet),
    );
    show(
      `${name}, flood`,
      rounds.map(([, flood]) => flood),
    );
    const ratio = median(rounds.map(([quiet, flood]) => flood.p99 / quiet.p99));
    const done = median(rounds.map(([, flood]) => flood.donePerSecond));
    const refused = median(rounds.map(([, flood]) => flood.refusedPerSecond));
    process.stdout.write(
      `p99 under the flood against quiet: ${ratio.toFixed(1)}x; sign-ins a second: ${done.toFixed(0)} done, ${refused.toFixed(0)} refused\n\n`,
    );
    await server.stop();
  }
} finally {
  await place.close();
}

function steady(server: MeasuredProcess, visitor: Visitor): Promise<Figures> {
  return sendSteadily(mintRequest(server.url, visitor), PER_SECOND, SECONDS);
}

/** Measures under sign-ins from a separate process, which run from before the first request until after the last. */
async function flooded(server: MeasuredProcess, visitor: Visitor): Promise<Figures & Floods> {
  const flood = startFlood({
    request: loginRequest(server.url, visitor),
    connections: FLOOD_CONNECTIONS,
    seconds: SECONDS + 3,
  });
  await delay(FLOOD_STARTS_WITHIN_MS);
  const figures = await steady(server, visitor);
  const { done, refused, seconds } = JSON.parse(await flood);
  return { ...figures, donePerSecond: done / seconds, refusedPerSecond: refused / seconds };
}

async function startFlood(flood: Flood): Promise<string> {
  const child = spawn(process.execPath, ['bench/flood.ts'], {
    env: { PATH: process.env.PATH, FLOOD: JSON.stringify(flood) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return text(child.stdout);
}

function show(name: string, figures: Figures[]): void {
  const cells = (['p50', 'p97_5', 'p99'] as const).map((key) =>
    median(figures.map((one) => one[key])).toFixed(1),
  );
  const errors = figures.reduce((sum, one) => sum + one.errors, 0);
  const line = [...cells, String(errors)].map((cell) => cell.padStart(8)).join('');
  process.stdout.write(`${name.padEnd(28).slice(0, 28)}${line}\n`);
}
