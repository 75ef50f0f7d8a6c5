/**
 * Runs command lines of `doorward` that its parent sends, one at a time: see `warm-doorward.ts`. Each has the environment
 * that came with it, and what it writes goes back in the answer.
 */
import { runCli } from '../../src/cli.ts';

type CommandLine = { env: NodeJS.ProcessEnv; args: string[] };

let written = { stdout: '', stderr: '' };

for (const name of ['stdout', 'stderr'] as const) {
  // With a callback as the last argument, like the method that it replaces.
  process[name].write = (chunk: string | Uint8Array, ...rest: unknown[]) => {
    written[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8');
    const done = rest.at(-1);
    if (typeof done === 'function') queueMicrotask(() => done());
    return true;
  };
}

const leave = process.exit.bind(process);
process.on('disconnect', () => leave(0));

/** Thrown in place of an exit, such as that after `--help`, so that the command does not go on. */
class Exit extends Error {}

process.on('message', async ({ env, args }: CommandLine) => {
  written = { stdout: '', stderr: '' };
  process.env = env;
  process.exitCode = undefined;
  const left = Promise.withResolvers<object>();
  process.exit = (code) => {
    left.resolve({ code: Number(code ?? process.exitCode ?? 0), ...written });
    throw new Exit();
  };
  const ended = runCli(['node', 'doorward', ...args]).then(() => ({
    code: Number(process.exitCode ?? 0),
    ...written,
  }));
  process.send?.(await Promise.race([left.promise, ended]));
});
