/**
 * `npm run build [-- FOLDER]`: makes JavaScript for the three npm packages: the server in `dist/`, and what services and
 * pages import in `packages/…/dist/`. With a FOLDER, below that one instead of the root of the repository.
 *
 * Safe to run from several places at once, and beside programs that use the result: each file is replaced whole.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { buildSync, transformSync } from 'esbuild';

const root = import.meta.dirname;
const source = join(root, 'src');
/** What `tsc` runs. That file itself has no extension, which trips hooks that some tools put into child processes. */
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'lib/tsc.js');

const target = resolve(root, process.argv[2] ?? '.');
mkdirSync(target, { recursive: true });
// On the same disk, so that a file is moved and not copied.
const draft = mkdtempSync(join(target, '.build-'));
const verifier = join(draft, 'packages/verifier/dist');
const browser = join(draft, 'packages/browser/dist');
/** What other projects import by name: one file each in the package. */
const entries = { verifier: ['index', 'fastify', 'express'], browser: ['index', 'react'] };
try {
  compileServer();
  compileIslands();
  bundlePages();
  addCommonJs(verifier, entries.verifier);
  addCommonJs(browser, entries.browser);
  publish();
} finally {
  rmSync(draft, { recursive: true, force: true });
}

/** Node strips no types below `node_modules`. Each file stays where it is, so that paths relative to it stay right. */
function compileServer(): void {
  for (const path of globSync('**/*', { cwd: source, exclude: ['browser/**'] })) {
    const from = join(source, path);
    if (statSync(from).isDirectory()) continue;
    const to = join(draft, 'dist', path);
    mkdirSync(dirname(to), { recursive: true });
    if (!path.endsWith('.ts')) copyFileSync(from, to);
    else writeFileSync(to.replace(/\.ts$/, '.js'), plainJavaScript(readFileSync(from, 'utf8')));
  }
}

function plainJavaScript(typescript: string): string {
  const { code } = transformSync(typescript, { loader: 'ts', format: 'esm', target: 'node24' });
  return withExtension(code, '.js');
}

/** Replaces `.ts` at the end of relative specifiers, also of those in `new URL('./thread.ts', import.meta.url)`. */
function withExtension(code: string, extension: string): string {
  return code.replaceAll(/(['"])(\.\.?\/[^'"\n]+)\.ts\1/g, `$1$2${extension}$1`);
}

/** Types and, for the verifier, code. */
function compileIslands(): void {
  const folder = join(draft, 'islands');
  const args = [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', folder];
  execFileSync(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  for (const [name, to] of Object.entries({ verifier, browser })) {
    mkdirSync(dirname(to), { recursive: true });
    renameSync(join(folder, name), to);
    copyFileSync(join(root, 'LICENSE'), join(to, '../LICENSE'));
  }
  rmSync(folder, { recursive: true });
}

/** Pages load one small file each, with or without a bundler of their own. */
function bundlePages(): void {
  buildSync({
    entryPoints: entries.browser.map((name) => join(source, `browser/${name}.ts`)),
    outdir: browser,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    allowOverwrite: true,
    logLevel: 'warning',
  });
  const bundled = entries.browser.map((name) => `${name}.js`);
  for (const path of globSync('*.js', { cwd: browser }))
    if (!bundled.includes(path)) rmSync(join(browser, path));
  // The server's console is such a page.
  mkdirSync(join(draft, 'dist/browser'), { recursive: true });
  copyFileSync(join(browser, 'index.js'), join(draft, 'dist/browser/index.js'));
}

/**
 * For `require` and the type checkers that go with it: the same types under another name, and files that load the ES
 * modules. So there is only one copy of the code, and of `VerifierError`, in a process.
 */
function addCommonJs(folder: string, entries: string[]): void {
  for (const path of globSync('*.d.ts', { cwd: folder })) {
    const types = readFileSync(join(folder, path), 'utf8');
    const name = path.replace(/\.d\.ts$/, '');
    writeFileSync(join(folder, path), withExtension(types, '.js'));
    writeFileSync(join(folder, `${name}.d.cts`), withExtension(types, '.cjs'));
  }
  for (const entry of entries)
    writeFileSync(
      join(folder, `${entry}.cjs`),
      `'use strict';\nmodule.exports = require('./${entry}.js');\n`,
    );
}

function publish(): void {
  const made = filesIn(draft);
  for (const path of made) {
    const to = join(target, path);
    mkdirSync(dirname(to), { recursive: true });
    renameSync(join(draft, path), to);
  }
  // What is left of sources that are gone would be published too.
  for (const folder of ['dist', 'packages/verifier/dist', 'packages/browser/dist']) {
    const stale = filesIn(join(target, folder)).filter((path) => !made.includes(join(folder, path)));
    for (const path of stale) rmSync(join(target, folder, path), { force: true });
  }
}

/** As paths in the folder. */
function filesIn(folder: string): string[] {
  return globSync('**/*', { cwd: folder }).filter((path) => statSync(join(folder, path)).isFile());
}
