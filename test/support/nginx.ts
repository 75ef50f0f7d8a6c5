import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { findOrInstall, listens, type Running, start } from './gateway-program.ts';
import { GATEWAY_ADDRESS, type World } from './gateway-world.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** The file that the example ships. */
const TEMPLATE = 'examples/gateway/nginx/doorward.conf.template';

/** Starts nginx on the example's configuration, as the official image would fill it in. */
export async function startNginx(t: Teardown, world: World): Promise<Running> {
  const binary = await findOrInstall({ name: 'nginx', binary: 'nginx', debianPackage: 'nginx-light' });
  const folder = mkdtempSync(join(tmpdir(), 'doorward-nginx-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  const page = join(folder, 'page');
  mkdirSync(page);
  writeFileSync(join(page, 'index.html'), '<!doctype html><title>The page</title>');
  const browser = join(folder, 'browser');
  mkdirSync(browser);
  writeFileSync(join(browser, 'index.js'), 'export {};');
  const values = {
    LISTEN: `127.0.0.1:${world.gatewayPort}`,
    PAGE_ROOT: page,
    BROWSER_ROOT: browser,
    DOORWARD: world.addresses.doorward,
    SHOP: world.addresses.shop,
    PAYMENTS: world.addresses.payments,
    MEMBERS: world.addresses.members,
  };
  writeFileSync(join(folder, 'doorward.conf'), fillIn(readFileSync(TEMPLATE, 'utf8'), values));
  writeFileSync(join(folder, 'nginx.conf'), mainConfiguration(folder));
  const options = ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'];
  const nginx = start(t, binary, options);
  await listens(nginx, world.gatewayPort);
  return nginx;
}

/** Like the image's `envsubst`: replaces only the given names. */
function fillIn(template: string, values: Record<string, string>): string {
  return template.replace(/\$\{([A-Z_]+)\}/g, (whole, name: string) => values[name] ?? whole);
}

/** The configuration around it, which a distribution has, with all output in the test's folder. */
function mainConfiguration(folder: string): string {
  // Otherwise a master that runs as root has workers that run as the user `nobody`, who cannot read the folder.
  const user = process.getuid?.() === 0 ? `user ${userInfo().username};` : '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `  ${name}_temp_path ${folder}/${name};`,
  );
  return [
    user,
    'daemon off;',
    'worker_processes 1;',
    `pid ${folder}/nginx.pid;`,
    'error_log stderr info;',
    'events { worker_connections 256; }',
    'http {',
    ...temporary,
    '  access_log off;',
    '  types { text/html html; text/javascript js; }',
    `  proxy_bind ${GATEWAY_ADDRESS};`,
    `  include ${folder}/doorward.conf;`,
    '}\n',
  ].join('\n');
}
