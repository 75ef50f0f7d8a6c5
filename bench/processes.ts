import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

/** A server in a process of its own, and what it costs the machine. */
export type MeasuredProcess = {
  url: string;
  pid: number;
  /** CPU time of all its threads since it started, in microseconds; NaN if the system does not show it. */
  cpuMicroseconds(): number;
  /**
   * Counts the instructions of all its threads from now on, with `perf`: the same for the same work, even if other
   * processes use the machine.
   * @returns a function that ends the count and returns it; NaN if perf is missing or may not count
   */
  countInstructions(): Promise<() => Promise<number>>;
  /** Resident memory in MB (10^6 bytes); NaN if the system does not show it. */
  residentMb(): number;
  stop(signal?: NodeJS.Signals): Promise<void>;
};

type Environment = Record<string, string>;

/** The measured server has a core of its own; everything else shares the other one. */
const SERVER_CORE = '0';
const OTHER_CORE = '1';
/** The unit of the kernel's CPU times: `getconf CLK_TCK` has been 100 on every Linux for decades. */
const TICKS_PER_SECOND = 100;
const POLL_EVERY_MS = 5;
/** `perf` does not say when it has started to count. */
const PERF_STARTS_WITHIN_MS = 100;

const canPin = process.platform === 'linux' && availableParallelism() > 1;

/** Keeps this process, and what it starts from now on, off the core of the server that is measured. */
export function leaveServerCore(): void {
  if (canPin)
    execFileSync('taskset', ['-a', '-c', '-p', OTHER_CORE, String(process.pid)], { stdio: 'ignore' });
}

export type StartOptions = {
  /** Flags of node, before the file. */
  flags?: string[];
  /** Whether to run on the server's core alone, if the system can do that. */
  pinned?: boolean;
};

/**
 * Runs a TypeScript file that prints "listening on http://…" once it serves.
 * @param environment all of its environment, except PATH
 * @throws Error with its output, if it ends before that
 */
export async function startMeasured(
  file: string,
  environment: Environment,
  { flags = [], pinned = true }: StartOptions = {},
): Promise<MeasuredProcess> {
  const command = [process.execPath, ...flags, file];
  const [program = '', ...args] = pinned && canPin ? ['taskset', '-c', SERVER_CORE, ...command] : command;
  // Into a file, as with a container: through a pipe, the process that sends the load would have to read it all.
  const folder = mkdtempSync(join(tmpdir(), 'doorward-bench-'));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', removeFolder);
  const log = openSync(join(folder, 'log'), 'a');
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const url = await urlOf(child, join(folder, 'log'));
  const pid = child.pid ?? 0;
  return {
    url,
    pid,
    cpuMicroseconds: () => cpuMicrosecondsOf(pid),
    countInstructions: () => countInstructionsOf(pid),
    residentMb: () => residentMbOf(pid),
    stop: async (signal = 'SIGTERM') => {
      await end(child, signal);
      // A benchmark may start many, one after the other, and Node warns of more than ten listeners.
      process.off('exit', removeFolder);
      removeFolder();
    },
  };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

async function urlOf(child: ChildProcess, logFile: string): Promise<string> {
  while (true) {
    const written = readFileSync(logFile, 'utf8');
    const [, url] = /listening on (http:[^"\s]+)/.exec(written) ?? [];
    if (url !== undefined) return url;
    if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')} did not start:\n${written}`);
    await delay(POLL_EVERY_MS);
  }
}

function cpuMicrosecondsOf(pid: number): number {
  try {
    // proc_pid_stat(5). The name, in parentheses, may hold spaces: fields are counted after it, from the third on.
    const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
    const [userTicks, systemTicks] = fields.split(' ').slice(11, 13).map(Number);
    return (((userTicks ?? Number.NaN) + (systemTicks ?? Number.NaN)) / TICKS_PER_SECOND) * 1e6;
  } catch {
    return Number.NaN;
  }
}

async function countInstructionsOf(pid: number): Promise<() => Promise<number>> {
  const options = ['stat', '--field-separator', ',', '--event', 'instructions', '--pid', String(pid)];
  const perf = spawn('perf', options, { stdio: ['ignore', 'ignore', 'pipe'] });
  perf.on('error', () => {}); // It is not installed, so it has no output.
  const written = text(perf.stderr);
  await delay(PERF_STARTS_WITHIN_MS);
  return async () => {
    perf.kill('SIGINT');
    const [count] = /^\d+(?=,)/m.exec(await written) ?? [];
    return Number(count);
  };
}

function residentMbOf(pid: number): number {
  try {
    const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return (Number(kib) * 1024) / 1e6;
  } catch {
    return Number.NaN;
  }
}
