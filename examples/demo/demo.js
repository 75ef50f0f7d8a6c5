/**
 * `npm run demo`: Doorward on a database of its own, the shop, the payments service, and one origin in front of them
 * with the club's page. No Docker, and nothing is left behind. PORT chooses another port, DATA_DIR a folder to keep.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createChildren } from './children.js';
import { createGateway } from './gateway.js';

const root = join(import.meta.dirname, '../..');
const port = Number(process.env.PORT || 8080);
const origin = `http://localhost:${port}`;
const issuer = `${origin}/auth`;

const temporary = mkdtempSync(join(tmpdir(), 'doorward-demo-'));
const dataFolder = process.env.DATA_DIR || join(temporary, 'data');
const settings = {
  NODE_ENV: 'development',
  EMBEDDED: 'true',
  DATA_DIR: dataFolder,
  HOST: '127.0.0.1',
  PORT: '0',
  PATH_PREFIX: '/auth',
  PUBLIC_URL: issuer,
  // The links in mails lead to the pages of the club.
  PUBLIC_APP_URL: origin,
  EMAIL_VERIFICATION: 'optional',
  AUDIENCES: 'shop,payments',
  DRAIN_DELAY: '0s',
  LOG_LEVEL: 'info',
};

const children = createChildren((message) => end(1, message));
const cleanups = [
  () => rmSync(temporary, { recursive: true, force: true, maxRetries: 10 }),
  () => children.stop(),
];
let ending = null;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0));
try {
  await start();
} catch (error) {
  await end(1, error.code === 'EADDRINUSE' ? portIsTaken() : error.message);
}

async function start() {
  await reserve(port);
  say('Building what services and pages import …');
  await build();
  say('Starting Doorward, the shop and payments …');
  const doorward = await startDoorward();
  const wiring = {
    DOORWARD_URL: issuer,
    DOORWARD_INTERNAL_URL: `${doorward}/auth`,
    PORT: '0',
    HOST: '127.0.0.1',
  };
  const credentials = { CLIENT_ID: 'payments', CLIENT_SECRET: await register('payments') };
  const [shop, payments] = await Promise.all([
    startService('shop', wiring),
    startService('payments', { ...wiring, ...credentials }),
  ]);
  const gateway = createGateway(
    { doorward, shop, payments },
    { page: pageFolder(), browser: join(root, 'packages/browser/dist') },
  );
  cleanups.push(() => gateway.close());
  if (ending !== null) return;
  await gateway.listen({ port, host: 'localhost' });
  greet();
}

/** Checks the port before anything is started. */
async function reserve(wanted) {
  const probe = createServer().listen(wanted, 'localhost');
  await once(probe, 'listening');
  await new Promise((resolve) => probe.close(resolve));
}

async function build() {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../build.ts')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error('The build failed.');
}

async function startDoorward() {
  // The last line of its start: from then on it also takes commands.
  const ready = /listening on (http:[^"\s]+)"(?:.|\n)*Its data is in/;
  const [, url] = await children.start('Doorward', [join(root, 'src/server.ts')], settings, ready);
  return url;
}

async function startService(name, env) {
  const program = join(root, `examples/${name}/${name}.js`);
  const ready = /Server listening at (http:[^"\s]+)"/;
  const [, url] = await children.start(
    `The ${name} service`,
    [program],
    { LOG_LEVEL: 'info', ...env },
    ready,
  );
  return url;
}

/** Registers a service client as an operator would. @returns its secret */
async function register(id) {
  try {
    return await doorward('clients', 'add', id, '--audience', id);
  } catch {
    // In a kept folder the client exists from an earlier run.
    return doorward('clients', 'rotate-secret', id, '--overlap', '0s');
  }
}

async function doorward(...args) {
  const options = { env: { ...process.env, ...settings } };
  const command = [join(root, 'src/cli.ts'), ...args, '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, command, options);
  return JSON.parse(stdout).client_secret;
}

function pageFolder() {
  const club = join(root, 'examples/club');
  if (existsSync(join(club, 'index.html'))) return club;
  writeFileSync(
    join(temporary, 'index.html'),
    '<!doctype html><title>The club</title><h1>The club has no page yet</h1>\n',
  );
  return temporary;
}

function greet() {
  say(`
The club is at ${origin}

  1. Put something into the cart, sign up, and buy it. Then use the spent token again.
  2. Look at the panel: the cookie that no script can read, and the token that is in memory only.
  3. Sign in from another browser, and end that session from the first one. Then put something into the cart in the
     other browser: the shop refuses it, and has asked nobody. The end of the panel says so.
  4. Forget your password. Mails are files here, and this shows the newest one:
     DATA_DIR=${dataFolder} npm run -s doorward -- mail show

The calls of Doorward are described at ${issuer}/docs.
${process.env.DATA_DIR ? `The data stays in ${dataFolder}.` : 'Everything is gone when you press Ctrl-C.'}
`);
}

function portIsTaken() {
  return `Port ${port} is taken: choose another one, such as PORT=${port + 1} npm run demo`;
}

/** Ends everything, the newest first. Does so only once, even if it is called again. */
function end(code, message) {
  ending ??= finish(code, message);
  return ending;
}

async function finish(code, message) {
  process.exitCode = code;
  if (message !== undefined) process.stderr.write(`${message}\n`);
  while (cleanups.length > 0) await cleanups.pop()();
  process.exit();
}

function say(text) {
  process.stdout.write(`${text}\n`);
}
