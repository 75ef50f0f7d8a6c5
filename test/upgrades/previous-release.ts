import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { readMigrations } from '../../src/db/migrations.ts';
import { TestProcess } from '../e2e/server-process.ts';
import { quickSettings } from '../helper.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** The sources of the release before, at its tag: made by `npm run previous-release -- TAG`. */
export const PREVIOUS_RELEASE = join(import.meta.dirname, 'previous-release.tar.zst');

/** Large, and no code: they are not packed, and the server of the release before gets those of today. */
export const DATA_OF_TODAY = ['src/passwords/common-passwords.txt'];

/** The server of the release before, unpacked inside the repository, so that it finds its packages. */
export function unpackPreviousRelease(t: { testdir(): string }) {
  const folder = t.testdir();
  execFileSync('tar', ['-x', '-C', folder], { input: zstdDecompressSync(readFileSync(PREVIOUS_RELEASE)) });
  for (const path of DATA_OF_TODAY) cpSync(path, join(folder, path));
  return {
    migrations: readMigrations(join(folder, 'drizzle')),

    /** `npm start` there, on any free port. Its coverage is not counted. */
    start(t: Teardown, env: Record<string, string>): TestProcess {
      const settings = { ...quickSettings, LOG_LEVEL: 'info', PORT: '0', NODE_V8_COVERAGE: '', ...env };
      return new TestProcess(t, process.execPath, [join(folder, 'src/server.ts')], settings);
    },
  };
}
