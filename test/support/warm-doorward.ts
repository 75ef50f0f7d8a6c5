import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { t as root } from 'tap';
import { createTurns } from '../../src/core/turns.ts';
import { type Ended, environment } from './processes.ts';

const GIVE_UP_AFTER_MS = 40_000;

const inTurn = createTurns(1);
let host: ChildProcess | undefined;

/**
 * `doorward …`, like the function of the same name in `processes.ts`, in one process for all command lines of a test file: a
 * new process takes a second or two to load. One command line at a time; not for `start`.
 */
export function doorward(settings: Record<string, string>, ...args: string[]): Promise<Ended> {
  return inTurn(async () => {
    host ??= startHost();
    const answer = once(host, 'message', { signal: AbortSignal.timeout(GIVE_UP_AFTER_MS) });
    host.send({ env: environment(settings), args });
    const [ended] = await answer;
    return ended as Ended;
  });
}

function startHost(): ChildProcess {
  const child = fork(fileURLToPath(new URL('./doorward-host.ts', import.meta.url)), {
    env: environment({}),
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  root.teardown(async () => {
    child.disconnect();
    await ended;
  });
  return child;
}
