/**
 * `npm run build [-- FOLDER]`: makes what services and pages import (`doorward/verifier`, `doorward/browser`) as
 * JavaScript, in `dist/` or the folder named.
 *
 * Safe to run from several places at once, and beside programs that use the result: each file is replaced whole.
 */
import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { buildSync } from 'esbuild';

const root = import.meta.dirname;
/** What `tsc` runs. That file itself has no extension, which trips hooks that some tools put into child processes. */
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'lib/tsc.js');

const target = resolve(root, process.argv[2] ?? 'dist');
mkdirSync(target, { recursive: true });
// On the same disk, so that a file is moved and not copied.
const folder = mkdtempSync(join(target, '.build-'));
try {
  const args = [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', folder];
  execFileSync(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  bundlePages();
  publish();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Pages load one small file each, with or without a bundler of their own. */
function bundlePages(): void {
  buildSync({
    entryPoints: ['index', 'react'].map((name) => join(root, `src/browser/${name}.ts`)),
    outdir: join(folder, 'browser'),
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    allowOverwrite: true,
    logLevel: 'warning',
  });
  const entries = new Set(['index.js', 'react.js']);
  for (const path of globSync('*.js', { cwd: join(folder, 'browser') }))
    if (!entries.has(path)) rmSync(join(folder, 'browser', path));
}

function publish(): void {
  for (const path of globSync('**/*', { cwd: folder })) {
    const from = join(folder, path);
    if (statSync(from).isDirectory()) continue;
    const to = join(target, path);
    mkdirSync(dirname(to), { recursive: true });
    renameSync(from, to);
  }
}
