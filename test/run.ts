/**
 * `npm test`: finds or starts PostgreSQL and Redis, runs tap with the given arguments, and ends with tap's exit code.
 *
 * With test files among the arguments, only those run, and without coverage.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Program, parseSync } from 'oxc-parser';
import { createTemplate, dropDatabase } from './support/database-template.ts';
import { failuresOf } from './support/failures.ts';
import { findOrStartPostgres, findOrStartRedis } from './support/servers.ts';

/** Where tap keeps what each test file printed. */
const RESULTS = '.tap/test-results';

const args = process.argv.slice(2);
const isPartialRun = args.some((arg) => existsSync(arg));

// The examples import it, and tap excludes from coverage only files that exist when it starts.
if (!isPartialRun) execFileSync(process.execPath, ['build.ts'], { stdio: 'inherit' });

const database = await findOrStartPostgres();
const redis = await findOrStartRedis();
const template = await createTemplate(database.url);
try {
  process.exitCode = await runTap(isPartialRun ? ['--disable-coverage', ...args] : args);
  if (process.exitCode !== 0) repeatFailures();
  else if (!isPartialRun) failForFilesNeverLoaded();
} finally {
  await dropDatabase(database.url, template);
  await Promise.all([database.stop(), redis.stop()]);
}

async function runTap(tapArgs: string[]): Promise<number> {
  rmSync(RESULTS, { recursive: true, force: true });
  const env = {
    ...process.env,
    TEST_DATABASE_URL: database.url,
    TEST_REDIS_URL: redis.url,
    TEST_DATABASE_TEMPLATE: template,
    // For servers that are started with this environment: a test machine may stall for seconds.
    MAX_EVENT_LOOP_DELAY: '0s',
    // The first run after an install still has tap's TypeScript plugin, until tap has rebuilt itself without it.
    TAP_TYPE_STRIP_ONLY: '1',
    // tap itself misses worker threads that are terminated, which is how every worker pool ends.
    ...(isPartialRun ? {} : { NODE_V8_COVERAGE: resolve('.tap/coverage') }),
  };
  const tap = spawn(process.execPath, ['node_modules/.bin/tap', ...tapArgs], { env, stdio: 'inherit' });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => tap.kill(name));
  const [code, signal] = await once(tap, 'exit');
  return code ?? 128 + constants.signals[signal as NodeJS.Signals];
}

/** Of a long run often only the end is kept: there it must be possible to read what failed. */
function repeatFailures(): void {
  for (const path of globSync(`${RESULTS}/**/*.tap`).sort()) {
    const failures = failuresOf(readFileSync(path, 'utf8'));
    if (failures.length > 0) process.stderr.write(`\nFailed in ${path}:\n${failures.join('\n')}\n`);
  }
}

/** tap sees only files that were loaded, so a file that no test loads would count as covered. */
function failForFilesNeverLoaded(): void {
  const reports = globSync('.tap/coverage/*.json');
  if (reports.length === 0) return;
  const loaded = new Set(reports.flatMap((path) => JSON.parse(readFileSync(path, 'utf8')).result.map(urlOf)));
  const missing = globSync('src/**/*.ts').filter(
    (path) => hasCode(path) && !loaded.has(pathToFileURL(path).href),
  );
  if (missing.length === 0) return;
  process.stderr.write(`Never loaded by any test:\n${missing.map((path) => `  ${path}\n`).join('')}`);
  process.exitCode = 1;
}

function urlOf(script: { url: string }): string {
  return script.url;
}

/** A file of types alone has nothing to load. */
function hasCode(path: string): boolean {
  const { body } = parseSync(path, readFileSync(path, 'utf8')).program;
  return !body.every(isTypeOnly);
}

function isTypeOnly(node: Program['body'][number]): boolean {
  if (node.type === 'ImportDeclaration') return node.importKind === 'type';
  if (node.type === 'ExportNamedDeclaration' || node.type === 'ExportAllDeclaration')
    return node.exportKind === 'type';
  return node.type.startsWith('TS');
}
