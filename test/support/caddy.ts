import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { snippet } from '../docs/pages.ts';
import { findOrInstall, listens, type Running, start } from './gateway-program.ts';
import type { World } from './gateway-world.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** Starts Caddy on the configuration that the documentation shows; only the addresses are different. */
export async function startCaddy(t: Teardown, { addresses, gatewayPort }: World): Promise<Running> {
  const binary = await findOrInstall({ name: 'Caddy', binary: 'caddy', debianPackage: 'caddy' });
  const folder = mkdtempSync(join(tmpdir(), 'doorward-caddy-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  const rules = snippet('docs/protect-a-service/caddy.md', 'caddyfile')
    .replace('doorward:3000', addresses.doorward)
    .replace('uri /forward-auth', 'uri /auth/forward-auth')
    .replace('shop:4000', addresses.members);
  const file = join(folder, 'Caddyfile');
  const ours = `handle /auth/* {\nreverse_proxy ${addresses.doorward}\n}`;
  const site = `http://localhost:${gatewayPort} {\nbind 127.0.0.1\n${rules}\n${ours}\n}\n`;
  writeFileSync(file, `{\nadmin off\nauto_https off\n}\n${site}`);
  const caddy = start(t, binary, ['run', '--config', file, '--adapter', 'caddyfile'], { HOME: folder });
  await listens(caddy, gatewayPort);
  return caddy;
}
