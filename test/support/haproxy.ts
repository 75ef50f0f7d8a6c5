import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findOrInstall, listens, type Running, start } from './gateway-program.ts';
import { GATEWAY_ADDRESS, type World } from './gateway-world.ts';
import { type Ended, runToEnd, shortFolder } from './processes.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** The files that the example ships. */
const CONFIGURATION = 'examples/gateway/haproxy/haproxy.cfg';
const KEY_SCRIPT = 'examples/gateway/haproxy/jwks-to-pem.js';

const FEED_SCRIPT = 'examples/gateway/haproxy/revocations-to-maps.js';

/** For `node --import`: pauses are told, and hardly waited for. Of its jitter one has none, the next a half. */
export const TOLD_PAUSES = `data:text/javascript,${encodeURIComponent(`
  import { syncBuiltinESMExports } from 'node:module';
  import timers from 'node:timers/promises';
  const { setTimeout } = timers;
  let draw = 0;
  Math.random = () => (draw = 0.5 - draw);
  timers.setTimeout = (ms) => {
    console.log('pause', ms);
    return setTimeout(50);
  };
  syncBuiltinESMExports();
`)}`;

/** What HAProxy and its scripts need of a world. */
export type Behind = Pick<World, 'gatewayPort' | 'origin' | 'addresses'> & { doorward: { url: string } };

/** Where the scripts put what they fetch, and the socket of HAProxy's runtime API. */
export type HaproxyFiles = { keyFolder: string; revokedFolder: string; socket: string };

export type Haproxy = Running & HaproxyFiles;

/** Folders for `startHaproxy`, with the server's present keys, and with maps in which nothing is revoked yet. */
export async function prepareHaproxy(t: Teardown, world: Behind): Promise<HaproxyFiles> {
  const folder = shortFolder(t);
  const [keyFolder, revokedFolder] = [join(folder, 'keys'), join(folder, 'revoked')];
  const { code, stderr } = await writeKeys(world, keyFolder);
  if (code !== 0) throw new Error(`the keys could not be written: ${stderr}`);
  mkdirSync(revokedFolder);
  for (const kind of ['sessions', 'tokens', 'users', 'clients', 'keys'])
    writeFileSync(join(revokedFolder, `${kind}.map`), '');
  return { keyFolder, revokedFolder, socket: join(folder, 'api') };
}

/** Starts HAProxy on the example's configuration. @param files those of an earlier one, for a restart */
export async function startHaproxy(t: Teardown, world: Behind, files?: HaproxyFiles): Promise<Haproxy> {
  const binary = await findOrInstall({ name: 'HAProxy', binary: 'haproxy', debianPackage: 'haproxy' });
  const { keyFolder, revokedFolder, socket } = files ?? (await prepareHaproxy(t, world));
  const file = join(keyFolder, '..', 'haproxy.cfg');
  writeFileSync(file, fromAnAddressOfItsOwn(readFileSync(CONFIGURATION, 'utf8')));
  const { doorward, shop, payments, members } = world.addresses;
  const haproxy = start(t, binary, ['-db', '-f', file], {
    LISTEN: `127.0.0.1:${world.gatewayPort}`,
    ISSUER: `${world.origin}/auth`,
    JWT_KEYS: keyFolder,
    REVOKED: revokedFolder,
    RUNTIME_API: socket,
    ...{ DOORWARD: doorward, SHOP: shop, PAYMENTS: payments, MEMBERS: members },
  });
  await listens(haproxy, world.gatewayPort);
  return { ...haproxy, keyFolder, revokedFolder, socket };
}

/** The script for the keys that goes with the configuration. */
export function writeKeys({ doorward }: Behind, folder: string): Promise<Ended> {
  return runToEnd({}, KEY_SCRIPT, `${doorward.url}/auth/.well-known/jwks.json`, folder);
}

/** The script for the maps, which runs until it is stopped. */
export function followRevocations(
  t: Teardown,
  { doorward }: Behind,
  { revokedFolder, socket }: HaproxyFiles,
  env: Record<string, string> = {},
): Running {
  const args = [FEED_SCRIPT, `${doorward.url}/auth/revocations`, revokedFolder, socket];
  return start(t, process.execPath, args, env);
}

/** The only line that the test adds: clients come from 127.0.0.1 too. */
function fromAnAddressOfItsOwn(configuration: string): string {
  return configuration.replace('\ndefaults\n', `\ndefaults\n  source ${GATEWAY_ADDRESS}\n`);
}
