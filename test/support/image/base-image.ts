import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { LINKS, MOUNT_POINTS } from './sandbox.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Where programs find npm's cache of this machine, which has most packages already. */
export const NPM_CACHE = '/root/.npm';

/**
 * Makes a root folder like that of the official image `node:…-slim`, without an engine that could fetch it: this machine's
 * libraries, tools and Node, which are mounted when a program starts, and npm where that image has it.
 * @returns the environment that the image sets, and its script that starts programs
 */
export function makeBaseImage(root: string): { env: Record<string, string>; entrypoint: string[] } {
  for (const path of ['/tmp', NPM_CACHE, '/proc', '/home/node', '/usr/local/bin', '/usr/local/include/node'])
    mkdirSync(root + path, { recursive: true });
  chmodSync(`${root}/tmp`, 0o1777);
  for (const link of LINKS) symlinkSync(readlinkSync(link), root + link);
  for (const path of [...MOUNT_POINTS, '/usr/local/bin/node']) placeFor(path, root);
  writeFileSync(`${root}/etc/passwd`, 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n');
  writeFileSync(`${root}/etc/group`, 'root:x:0:\nnode:x:1000:\n');
  addNpm(root);
  const entrypoint = 'docker-entrypoint.sh';
  writeFileSync(join(root, 'usr/local/bin', entrypoint), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
  return { env: { PATH }, entrypoint: [entrypoint] };
}

/** What is mounted needs something of its kind to be mounted on. */
function placeFor(path: string, root: string): void {
  const isFolder = lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  mkdirSync(isFolder ? root + path : dirname(root + path), { recursive: true });
  if (!isFolder) writeFileSync(root + path, '');
}

/** The npm of this machine, and what the image has beside it. */
function addNpm(root: string): void {
  const command = execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim();
  const npm = dirname(dirname(realpathSync(command)));
  mkdirSync(join(root, 'usr/local/lib/node_modules'), { recursive: true });
  execFileSync('cp', ['-a', npm, join(root, 'usr/local/lib/node_modules')]);
  mkdirSync(join(root, 'opt/yarn-v1.22.22/bin'), { recursive: true });
  const links = {
    npm: '../lib/node_modules/npm/bin/npm-cli.js',
    npx: '../lib/node_modules/npm/bin/npx-cli.js',
    corepack: '../lib/node_modules/corepack/dist/corepack.js',
    yarn: '/opt/yarn-v1.22.22/bin/yarn',
    yarnpkg: '/opt/yarn-v1.22.22/bin/yarnpkg',
  };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, 'usr/local/bin', name));
}
