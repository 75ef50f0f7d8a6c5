import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { findOrInstall, listens, start } from './gateway-program.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** The account under which Debian runs it: PgBouncer refuses to run as root. */
const NOBODY = 65_534;

/**
 * Starts PgBouncer in front of the database of `url`.
 * @param lines of its configuration, such as `pool_mode = transaction`
 * @returns the URL of the same database through it
 */
export async function startPgbouncer(t: Teardown, url: string, lines: string[]): Promise<string> {
  const program = { name: 'PgBouncer', binary: 'pgbouncer', debianPackage: 'pgbouncer' };
  const binary = await findOrInstall(program);
  const folder = mkdtempSync(join(tmpdir(), 'doorward-pgbouncer-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const { hostname, port, username, pathname } = new URL(url);
  const name = pathname.slice(1);
  const listenPort = await freePort();
  const file = join(folder, 'pgbouncer.ini');
  const database = `${name} = host=${hostname} port=${port || 5432} user=${username} dbname=${name}`;
  const ours = [
    'listen_addr = 127.0.0.1',
    `listen_port = ${listenPort}`,
    'auth_type = any',
    'unix_socket_dir =',
  ];
  writeFileSync(file, ['[databases]', database, '[pgbouncer]', ...ours, ...lines, ''].join('\n'));
  const isRoot = process.getuid?.() === 0;
  if (isRoot) for (const path of [folder, file]) chownSync(path, NOBODY, NOBODY);
  const running = isRoot
    ? start(t, 'setpriv', [`--reuid=${NOBODY}`, '--clear-groups', binary, file], {})
    : start(t, binary, [file], {});
  await listens(running, listenPort);
  const through = new URL(url);
  through.host = `127.0.0.1:${listenPort}`;
  return through.href;
}
