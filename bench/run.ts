/** `npm run bench`: how fast the server is, compared with the fastest possible server in Node. See README.md. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { createPlace, SETTINGS } from './place.ts';
import { leaveServerCore } from './processes.ts';
import { changesOf, type Line, type Report, tableOf } from './report.ts';
import { measureAll, type Plan } from './rounds.ts';
import { localSubjects, publicSubjects, type Subject, signIn, signUp, type Visitor } from './subjects.ts';

type Options = Plan & { url?: string; only?: RegExp; json: string; compare?: string };

const options = new Command('npm run bench --')
  .description(
    'Load-tests a Doorward of its own beside bare Fastify, or a deployment (--url), and prints one table.',
  )
  .addOption(
    new Option(
      '--url <url>',
      'a running deployment; signs up there, or in with BENCH_EMAIL and BENCH_PASSWORD',
    ),
  )
  .option('--connections <list>', 'numbers of connections', list, [10, 100])
  .option('--rounds <number>', 'rounds of all subjects', count, 5)
  .option('--seconds <number>', 'seconds for one subject in one round', count, 3)
  .option('--only <pattern>', 'subjects whose names match, and the floors', pattern)
  .option('--json <file>', 'where the figures go', 'bench-result.json')
  .option('--compare <file>', 'an older result, to show what changed')
  .parse()
  .opts<Options>();

const older: Report | null =
  options.compare === undefined ? null : JSON.parse(readFileSync(options.compare, 'utf8'));
const lines = options.url === undefined ? await measureHere() : await measureThere(options.url);
const report: Report = {
  at: new Date().toISOString(),
  machine: { node: process.version, cpu: `${cpus().length} x ${cpus()[0]?.model}`, commit: commit() },
  settings: options.url === undefined ? SETTINGS : {},
  rounds: options.rounds,
  secondsARound: options.seconds,
  lines,
};
writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
process.stdout.write(`${tableOf(lines)}\n\n${footer(report)}\n`);
if (older !== null) process.stdout.write(`\nsince ${older.at}:\n${changesOf(lines, older.lines)}\n`);
process.exitCode = lines.some(({ errors }) => errors > 0) ? 1 : 0;

async function measureHere(): Promise<Line[]> {
  leaveServerCore();
  const place = await createPlace();
  try {
    return await measureAll((await localSubjects(place)).filter(isWanted), options, tell);
  } finally {
    await place.close();
  }
}

async function measureThere(url: string): Promise<Line[]> {
  const base = url.replace(/\/$/, '');
  const visitor = await enter(base);
  try {
    return await measureAll(publicSubjects(base, visitor).filter(isWanted), options, tell);
  } finally {
    await fetch(`${base}/logout`, { method: 'POST', headers: { cookie: visitor.cookie } });
  }
}

function enter(url: string): Promise<Visitor> {
  const { BENCH_EMAIL, BENCH_PASSWORD } = process.env;
  if (BENCH_EMAIL && BENCH_PASSWORD) return signIn(url, BENCH_EMAIL, BENCH_PASSWORD);
  return signUp(url);
}

function isWanted({ name }: Subject): boolean {
  return options.only === undefined || name.startsWith('floor') || options.only.test(name);
}

function footer({ at, machine, settings, rounds, secondsARound }: Report): string {
  const pairs = (record: Record<string, string>) =>
    Object.entries(record).map(([key, value]) => `${key}=${value}`);
  return [
    `${at}  ${pairs(machine).join('  ')}`,
    `${pairs(settings).join('  ')}; medians of ${rounds} rounds of ${secondsARound} s; ": c" is the ratio to floor c in the`,
    `same round: the larger the better for the rate, the smaller for CPU time, instructions and p99; also in ${options.json}`,
  ].join('\n');
}

/** Shows the progress on a terminal. */
function tell(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${what}`);
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 1000)
    throw new InvalidArgumentError('a number from 1 to 1000');
  return value;
}

function list(text: string): number[] {
  return text.split(',').map(count);
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw new InvalidArgumentError('a regular expression');
  }
}
