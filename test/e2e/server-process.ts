import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quickSettings } from '../helper.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** `detached`: in a process group of its own, as a terminal puts it. */
type ProcessOptions = { cwd?: string | undefined; nodeArgs?: string[]; detached?: boolean };

const sourceFile = (name: string) => fileURLToPath(new URL(`../../src/${name}`, import.meta.url));

/** A Node program under test. Killed, if it still runs, when the test ends. */
export class TestProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  stdout = '';
  stderr = '';

  constructor(
    t: Teardown,
    command: string,
    args: string[],
    env: Record<string, string>,
    options: Omit<ProcessOptions, 'nodeArgs'> = {},
  ) {
    // With the environment that tap has set, it counts the coverage of this process too.
    this.child = spawn(command, args, { env: { ...process.env, ...env }, ...options });
    this.child.stdout?.setEncoding('utf8').on('data', (text) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text) => {
      this.stderr += text;
    });
    this.exited = once(this.child, 'close').then(([code]) => code);
    t.teardown(async () => {
      if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
      await this.exited;
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Sends a signal and returns the exit code. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    return this.exited;
  }

  /** Waits for the first match in the output. Throws when the process ends without one. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const ended = this.exited.then(() => true);
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match) return match;
      if (await Promise.race([ended, this.#nextOutput()])) {
        const late = pattern.exec(this.stdout);
        if (late) return late;
        throw new Error(`it ended without ${pattern}:\n${this.stdout}${this.stderr}`);
      }
    }
  }

  async #nextOutput(): Promise<false> {
    if (this.child.stdout) await once(this.child.stdout, 'data');
    return false;
  }

  /** Waits for the URL on which it listens. */
  async url(): Promise<string> {
    const [, url = ''] = await this.says(/listening on (http:[^"\s]+)"/);
    return url;
  }

  /** The messages of its JSON log. */
  messages(): string[] {
    const lines = this.stdout.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line).msg);
  }
}

const settings = { ...quickSettings, NODE_ENV: 'development', LOG_LEVEL: 'info', PORT: '0' };

/** `npm start`, on any free port. */
export function startServer(
  t: Teardown,
  env: Record<string, string>,
  { nodeArgs = [], ...options }: ProcessOptions = {},
): TestProcess {
  return new TestProcess(
    t,
    process.execPath,
    [...nodeArgs, sourceFile('server.ts')],
    { ...settings, ...env },
    options,
  );
}

/** `doorward …` */
export function runCommand(t: Teardown, args: string[], env: Record<string, string>): TestProcess {
  return new TestProcess(t, process.execPath, [sourceFile('cli.ts'), ...args], { ...settings, ...env });
}

/** An empty folder, gone when the test ends. */
export async function emptyFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-e2e-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** POSTs JSON like a program, not like a browser. */
export function postJson(url: string, body?: object, cookie?: string): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(cookie !== undefined && { cookie }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

/** The `cookie` header for what a response set. */
export function cookiesOf(response: Response): string {
  return response.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0])
    .join('; ');
}
