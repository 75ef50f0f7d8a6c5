import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

type Teardown = { teardown(undo: () => unknown): void };

const run = promisify(execFile);

/** Runs the TypeScript compiler. @throws Error with its output when it finds errors */
export async function compile(...args: string[]): Promise<void> {
  // Not bin/tsc, which has no extension: tap's loader would load it as a CommonJS module.
  await run(process.execPath, ['node_modules/typescript/lib/tsc.js', ...args]).catch((error) => {
    throw new Error(`tsc ${args.join(' ')}:\n${error.stdout}${error.stderr}`);
  });
}

/** What `npm run build` makes, in a folder of the test's own. @returns that folder; `packages/browser/dist/index.js` is in it */
export async function buildModule(t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-browser-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await run(process.execPath, ['build.ts', folder]);
  return folder;
}
