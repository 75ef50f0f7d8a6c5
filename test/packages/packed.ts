import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';

const run = promisify(execFile);

/**
 * What a shell outside of this repository has: nothing of npm's own variables, and no flags for Node. The certificates
 * that this machine trusts stay: without them npm cannot reach a registry behind a proxy, and tries for minutes.
 */
export function outsideEnvironment(): NodeJS.ProcessEnv {
  const isInside = (name: string) => /^npm_|^NODE_(?!EXTRA_CA_CERTS)|^TAP|^_TAPJS/i.test(name);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isInside(name)));
}

/** Runs a program in a folder. @returns its output. @throws Error with its output if it fails */
export async function runIn(cwd: string, program: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await run(program, args, { cwd, env: outsideEnvironment() });
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${program} ${args.join(' ')} fails:\n${stdout}${stderr}`);
  }
}

/** An empty folder that goes away with the test. */
export function emptyProject(t: Test, packageJson: object): string {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-package-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'package.json'), JSON.stringify(packageJson));
  return folder;
}

type Packed = { file: string; paths: string[] };

/**
 * What `npm pack` makes.
 * @param name of one of our packages, or of one in `node_modules`
 * @returns the tarball, and the paths in it
 */
export async function pack(t: Test, name: string): Promise<Packed> {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-packed-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const ours = name.startsWith('@doorward/');
  const what = ours
    ? ['--workspace', name]
    : [name === 'doorward' ? '.' : folderOf(name), '--ignore-scripts'];
  if (name === 'doorward') await runIn('.', process.execPath, 'build.ts');
  const output = await runIn('.', 'npm', 'pack', ...what, '--json', '--pack-destination', folder);
  // A script that runs before packing may print lines of its own.
  const answer = JSON.parse(output.slice(output.search(/^[[{]/m)));
  const [made] = Object.values(answer) as [{ filename: string; files: { path: string }[] }];
  const { filename, files } = made;
  return { file: join(folder, filename), paths: files.map(({ path }) => path).sort() };
}

/** The folder of an installed package. */
function folderOf(name: string): string {
  return resolve('node_modules', name);
}

/** Installs tarballs with npm, offline: what they depend on must be among them. */
export async function install(folder: string, ...tarballs: string[]): Promise<void> {
  await npmInstall(folder, '--offline', '--ignore-scripts', ...tarballs);
}

/**
 * Installs a package as a user does: what it depends on comes from the registry, or from npm's cache.
 * @param what a tarball, or a name and a version
 */
export async function installWithDependencies(folder: string, what: string): Promise<void> {
  await npmInstall(folder, '--prefer-offline', what);
}

async function npmInstall(folder: string, ...what: string[]): Promise<void> {
  await runIn(folder, 'npm', 'install', '--no-audit', '--no-fund', ...what);
}

/**
 * Another version of Node, from npm: the package `node` brings the binary for this machine.
 * @returns the program
 */
export async function installNode(t: Test, version: string): Promise<string> {
  // Without its script there is no binary.
  const folder = emptyProject(t, { allowScripts: { node: true } });
  await installWithDependencies(folder, `node@${version}`);
  return join(folder, 'node_modules/node/bin/node');
}

/** Puts packages of this repository into another project, as if they had been installed there. */
export function link(folder: string, ...names: string[]): void {
  for (const name of names) {
    const at = join(folder, 'node_modules', name);
    mkdirSync(dirname(at), { recursive: true });
    symlinkSync(folderOf(name), at);
  }
}
