import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findOrInstall, listens, type Running, start } from './gateway-program.ts';
import { GATEWAY_ADDRESS, type World } from './gateway-world.ts';
import { type Ended, runToEnd } from './processes.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** The files that the example ships. */
const CONFIGURATION = 'examples/gateway/haproxy/haproxy.cfg';
const KEY_SCRIPT = 'examples/gateway/haproxy/jwks-to-pem.js';

export type Haproxy = Running & {
  /** The folder from which the configuration reads the public keys. */
  keyFolder: string;
};

/** Starts HAProxy on the example's configuration, with the server's present keys. */
export async function startHaproxy(t: Teardown, world: World): Promise<Haproxy> {
  const binary = await findOrInstall({ name: 'HAProxy', binary: 'haproxy', debianPackage: 'haproxy' });
  const folder = mkdtempSync(join(tmpdir(), 'doorward-haproxy-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  const keyFolder = join(folder, 'keys');
  const { code, stderr } = await writeKeys(world, keyFolder);
  if (code !== 0) throw new Error(`the keys could not be written: ${stderr}`);
  const file = join(folder, 'haproxy.cfg');
  writeFileSync(file, fromAnAddressOfItsOwn(readFileSync(CONFIGURATION, 'utf8')));
  const { doorward, shop, payments, members } = world.addresses;
  const haproxy = start(t, binary, ['-db', '-f', file], {
    LISTEN: `127.0.0.1:${world.gatewayPort}`,
    ISSUER: `${world.origin}/auth`,
    JWT_KEYS: keyFolder,
    ...{ DOORWARD: doorward, SHOP: shop, PAYMENTS: payments, MEMBERS: members },
  });
  await listens(haproxy, world.gatewayPort);
  return { ...haproxy, keyFolder };
}

/** The script that goes with the configuration. */
export function writeKeys({ doorward }: World, folder: string): Promise<Ended> {
  return runToEnd({}, KEY_SCRIPT, `${doorward.url}/auth/.well-known/jwks.json`, folder);
}

/** The only line that the test adds: clients come from 127.0.0.1 too. */
function fromAnAddressOfItsOwn(configuration: string): string {
  return configuration.replace('\ndefaults\n', `\ndefaults\n  source ${GATEWAY_ADDRESS}\n`);
}
