import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';

/** How to start a program with another folder as its root, as a container engine does. */
export type Entry = {
  root: string;
  workdir: string;
  /** Numbers: UID:GID. */
  user: string;
  env: Record<string, string>;
  /** Nothing below the root can be written, by any user. */
  readOnly: boolean;
  /** With the shell and the usual tools of this machine. Without them there are its shared libraries and `env` alone. */
  withTools: boolean;
  /** Further paths of this machine, and where they are to be seen, writable. */
  volumes: [here: string, there: string][];
  command: string[];
};

/** What a program needs of the kernel. */
const DEVICES = ['/dev/null', '/dev/zero', '/dev/random', '/dev/urandom'];
const LIBRARIES = ['/usr/lib', '/usr/lib64', '/lib', '/lib64'];
const TOOLS = ['/usr/bin', '/usr/sbin', '/bin', '/sbin', '/usr/share', '/etc/ssl', '/etc/alternatives'];
/** For the first line of scripts. */
const ENV = '/usr/bin/env';
const NETWORK = ['/etc/hosts', '/etc/resolv.conf'];

const isLink = (path: string) => lstatSync(path).isSymbolicLink();

/** Folders such as `/lib` that are links on this machine, so that a root folder needs the same links. */
export const LINKS = ['/bin', '/sbin', '/lib', '/lib64'].filter((path) => existsSync(path) && isLink(path));

const isMounted = (path: string) => existsSync(path) && !LINKS.includes(path);

/** Paths of this machine that a root folder needs as places to mount on. */
export const MOUNT_POINTS = [...DEVICES, ...LIBRARIES, ...TOOLS, ENV, ...NETWORK].filter(isMounted);

/**
 * Starts the program as process 1 of a process namespace of its own, with mounts that only it sees and that end with it.
 * @returns the process around it: kill this one and the program ends too. For other signals see `insideOf`
 * @throws Error if this machine does not allow that
 */
export function enter(entry: Entry): ChildProcess {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new Error(
      'The tests of the images change the root folder of processes: they need Linux, and root with the right to mount',
    );
  }
  const namespaces = ['unshare', '--mount', '--pid', '--fork', '--kill-child'];
  // It must end with this process, even if that is killed.
  const args = ['--pdeathsig', 'KILL', ...namespaces, 'sh', '-euc', script(entry)];
  return spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The id of the process that `enter` started, as this process sees it. Inside, it is 1. */
export function insideOf({ pid }: ChildProcess): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
}

/** Runs a program to its end. */
export async function runInside(
  entry: Entry,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = enter(entry);
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('a process without output');
  const [[code], ...output] = await Promise.all([once(child, 'close'), text(stdout), text(stderr)]);
  return { code, stdout: output[0], stderr: output[1] };
}

function script({ root, workdir, user, env, readOnly, withTools, volumes, command }: Entry): string {
  const [uid, gid] = user.split(':');
  const shared = [...LIBRARIES, ...NETWORK, ...(withTools ? TOOLS : [ENV])].filter(isMounted);
  const mount = (here: string, there: string, options = '') =>
    `mount --bind ${options} ${quote(here)} ${quote(root + there)}`;
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const start = [`--root=${root}`, `--wd=${workdir}`, `--setuid=${uid}`, `--setgid=${gid}`, ...command];
  return [
    mount(root, '/'),
    ...DEVICES.map((path) => mount(path, path)),
    ...shared.map((path) => mount(path, path, '-o ro')),
    mount(process.execPath, '/usr/local/bin/node', '-o ro'),
    `mount -t proc proc ${quote(`${root}/proc`)}`,
    readOnly ? `mount -o remount,bind,ro ${quote(root)}` : '',
    ...volumes.map(([here, there]) => mount(here, there)),
    // Nothing but `env`: tap gives variables of its own to each process that it sees starting.
    `exec env -i ${variables.map(quote).join(' ')} setpriv --no-new-privs unshare ${start.map(quote).join(' ')}`,
  ].join('\n');
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
