import { spawn } from 'node:child_process';
import { once } from 'node:events';

const KILL_AFTER_MS = 15_000;

/** The processes of the demo. If one of them ends by itself, all are ended. */
export function createChildren(onUnexpectedEnd) {
  const running = new Set();
  let stopping = false;

  return {
    /**
     * Starts a Node program.
     * @returns the part of its output that matches `ready`
     * @throws Error with its output if it ends before that
     */
    async start(name, args, env, ready) {
      if (stopping) throw new Error('The demo is ending.');
      const child = spawn(process.execPath, args, {
        env: { ...process.env, ...env },
        // Ctrl-C in the terminal must only reach the demo, which ends them in order.
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      running.add(child);
      let output = '';
      const isReady = new Promise((resolve) => {
        for (const stream of [child.stdout, child.stderr]) {
          stream.setEncoding('utf8').on('data', (text) => {
            // For the caller that waits, and for the error message.
            output = `${output}${text}`.slice(-20_000);
            const match = ready.exec(output);
            if (match) resolve(match);
          });
        }
      });
      let hasStarted = false;
      const ended = once(child, 'close').then(() => {
        running.delete(child);
        if (hasStarted && !stopping) onUnexpectedEnd(`${name} ended by itself:\n${output}`);
        return null;
      });
      const match = await Promise.race([isReady, ended]);
      if (match === null) throw new Error(`${name} did not start:\n${output}`);
      hasStarted = true;
      return match;
    },

    /** Ends them all. Resolves when all have ended. */
    async stop() {
      stopping = true;
      const ends = [...running].map((child) => {
        const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
        child.kill('SIGTERM');
        return once(child, 'close').finally(() => clearTimeout(timer));
      });
      await Promise.all(ends);
    },
  };
}
