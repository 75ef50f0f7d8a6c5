import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Test files run at the same time, and `apt-get update` does not wait for another one, so a lock does. */
const SCRIPT = `
exec 9> "$0" && flock 9 || exit
trap 'exit 1' HUP INT TERM
# Debian's packages ask this script before they start a service; 101 means "not allowed".
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod 755 "$policy"
fi
apt-get update && apt-get install -y --no-install-recommends "$1"
`;

/**
 * Installs a package without starting its services, if that is possible: on Debian, as root.
 * @returns why it failed, if it was tried
 */
export async function tryToInstall(debianPackage: string): Promise<unknown> {
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return undefined;
  process.stderr.write(`Installing ${debianPackage} for the tests\n`);
  try {
    await runScript(debianPackage);
    return undefined;
  } catch (error) {
    return error;
  }
}

async function runScript(debianPackage: string): Promise<void> {
  const lock = join(tmpdir(), 'doorward-apt.lock');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // Standard output belongs to TAP.
  const options = { env, stdio: ['ignore', 2, 2] as ['ignore', 2, 2] };
  const [code] = await once(spawn('/bin/sh', ['-c', SCRIPT, lock, debianPackage], options), 'exit');
  if (code !== 0) throw new Error(`${debianPackage} could not be installed`);
}
