import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { quickSettings } from '../helper.ts';

type Teardown = { teardown(undo: () => unknown): void };

type Settings = Record<string, string>;

/** How a process ended, and all that it wrote. */
export type Ended = { code: number | null; stdout: string; stderr: string };

/** `node src/server.ts` as a process of its own. */
export type ServerProcess = {
  /** The URL on which it listens. */
  url: string;
  pid: number;
  /** Its output so far. */
  output(): string;
  /** Resolves when it has ended. */
  stop(signal?: NodeJS.Signals): Promise<void>;
};

/** Much longer than a busy machine needs. */
const GIVE_UP_AFTER_MS = 40_000;

/** Starts a server on any free port; it is stopped when the test ends. @throws Error when it ends before it listens */
export async function startServer(t: Teardown, settings: Settings): Promise<ServerProcess> {
  const child = spawn(process.execPath, ['src/server.ts'], {
    env: environment({ PORT: '0', DRAIN_DELAY: '0s', ...settings }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal);
    await ended;
  };
  t.teardown(() => stop());
  const written: string[] = [];
  child.stderr.on('data', (bytes) => written.push(String(bytes)));
  const listening = new Promise<string>((resolve) => {
    createInterface(child.stdout).on('line', (line) => {
      written.push(`${line}\n`);
      const [, url] = /listening on (http:[^"]+)/.exec(line) ?? [];
      if (url !== undefined) resolve(url);
    });
  });
  const url = await Promise.race([listening, ended.then(() => null)]);
  if (url === null) throw new Error(`the server did not start:\n${written.join('')}`);
  return { url, pid: child.pid ?? 0, output: () => written.join(''), stop };
}

/** Runs a program of ours to its end, with these settings and nothing from this process's environment. */
export function runToEnd(settings: Settings, ...args: string[]): Promise<Ended> {
  return runWithin(GIVE_UP_AFTER_MS, settings, ...args);
}

/** The same for one that takes long. */
export async function runWithin(timeout: number, settings: Settings, ...args: string[]): Promise<Ended> {
  const child = spawn(process.execPath, args, {
    env: environment(settings),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout,
  });
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}

/** `doorward …` */
export function doorward(settings: Settings, ...args: string[]): Promise<Ended> {
  return runToEnd(settings, 'src/cli.ts', ...args);
}

/** An empty folder with a path short enough for a Unix socket in it; tap's own are too deep for that. */
export function shortFolder(t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** These settings, and of this process only what every process needs. */
export function environment(settings: Settings): NodeJS.ProcessEnv {
  const { PATH, NODE_V8_COVERAGE } = process.env;
  return { PATH, NODE_V8_COVERAGE, ...quickSettings, ...settings };
}
