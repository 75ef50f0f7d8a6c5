import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { tryToInstall } from './debian-package.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** A program that tests need, and its Debian package. */
type Program = { name: string; binary: string; debianPackage: string };

/** Debian's folder for server programs, which is not on every user's PATH. */
const SERVER_FOLDER = '/usr/sbin';
/** Far beyond what a busy machine needs. */
const GIVE_UP_AFTER_MS = 120_000;
const TRY_AGAIN_AFTER_MS = 50;

/**
 * The path of a program; on Debian, as root, it is installed first.
 * @throws Error that says what to install
 */
export async function findOrInstall(program: Program): Promise<string> {
  const found = find(program);
  if (found !== undefined) return found;
  const failure = await tryToInstall(program.debianPackage);
  const installed = find(program);
  if (installed !== undefined) return installed;
  throw new Error(
    `The tests need ${program.name}, and ${program.binary} cannot be found. Install it ` +
      `(Debian: apt-get install ${program.debianPackage}).`,
    { cause: failure },
  );
}

function find({ binary }: Program): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), SERVER_FOLDER];
  return folders.map((folder) => join(folder, binary)).find((path) => existsSync(path));
}

/** A program that runs until the test ends. */
export type Running = {
  pid: number;
  /** Its output so far. */
  output(): string;
  /** The exit code; null when a signal ended it. */
  ended: Promise<number | null>;
  /** Sends a signal, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
};

/** Starts a program with this environment and no other; it is ended when the test ends. */
export function start(
  t: Teardown,
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Running {
  const { PATH } = process.env;
  const child = spawn(command, args, { env: { PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const written: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => written.push(text));
  }
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => {
    if (isRunning(child)) child.kill(signal);
    return ended;
  };
  t.teardown(() => stop());
  endWithThisProcess(child.pid ?? 0, ended);
  return { pid: child.pid ?? 0, output: () => written.join(''), ended, stop };
}

/** A test file that fails before its first test runs no teardown, but must still leave nothing behind. */
export function endWithThisProcess(pid: number, ended: Promise<unknown>): void {
  const kill = () => {
    try {
      process.kill(pid, 'SIGTERM');
    } catch {
      // The process has ended by itself.
    }
  };
  process.once('exit', kill);
  void ended.then(() => process.off('exit', kill));
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

/** Waits for the first match in the program's output. @throws Error with its output if there is none */
export async function says(program: Running, pattern: RegExp): Promise<RegExpExecArray> {
  return untilItEnds(program, () => pattern.exec(program.output()), `${pattern} was never written`);
}

/** Waits until something listens there. @throws Error with the program's output if nothing does */
export async function listens(program: Running, port: number): Promise<void> {
  await untilItEnds(program, () => canConnect(port), `nothing listens on ${port}`);
}

async function untilItEnds<T>(program: Running, ask: () => Promise<T> | T, complaint: string) {
  let hasEnded = false;
  void program.ended.then(() => {
    hasEnded = true;
  });
  const complain = () => `${complaint}:\n${program.output()}`;
  return until(async () => {
    const last = hasEnded;
    const answer = await ask();
    if (!answer && last) throw new Error(complain());
    return answer;
  }, complain);
}

/** Asks again and again until there is an answer. @throws Error with `complaint` when none came in time */
export async function until<T>(ask: () => Promise<T> | T, complaint: () => string): Promise<NonNullable<T>> {
  const deadline = Date.now() + GIVE_UP_AFTER_MS;
  while (Date.now() < deadline) {
    const answer = await ask();
    if (answer) return answer;
    await delay(TRY_AGAIN_AFTER_MS);
  }
  throw new Error(complaint());
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
