import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { freePort } from '../support/free-port.ts';
import { testHandover } from '../support/gateway-checks.ts';
import { findOrInstall, listens, type Running, says, start } from '../support/gateway-program.ts';
import { addClient, ask, bearer, mint, openWorld, signUp } from '../support/gateway-world.ts';
import { shortFolder } from '../support/processes.ts';
import { snippet, snippets } from './pages.ts';

t.setTimeout(300_000);

const world = await openWorld(t);
const { origin, settings } = world;
const doorward = world.doorward.url;
const secret = await addClient(settings, 'shop');
const ada = await signUp(origin, doorward);
const token = await mint(origin, ada, undefined, doorward);

const pageOf = (name: string) => `docs/protect-a-service/${name}.md`;

/**
 * Runs a snippet as a service of its own, from a file that finds our packages. Only the addresses are different: the
 * port, and Doorward's URL.
 */
async function serve(t: Test, name: string): Promise<{ url: string; service: Running }> {
  const port = await freePort();
  const code = atDoorward(snippet(pageOf(name), 'js'))
    .replace('listen(4000)', `listen(${port})`)
    .replace('port: 4000', `port: ${port}`);
  const file = join(t.testdir(), 'service.mjs');
  writeFileSync(file, code);
  const service = start(t, process.execPath, [file], { CLIENT_SECRET: secret });
  await listens(service, port);
  return { url: `http://127.0.0.1:${port}`, service };
}

/** A snippet for the Doorward of this test. */
function atDoorward(code: string): string {
  const internal = `${doorward}/auth`;
  return code
    .replace(/issuer: '[^']*'/, `issuer: '${origin}/auth', jwksUri: '${internal}/.well-known/jwks.json'`)
    .replace('introspection: {', `introspection: { introspectionUri: '${internal}/oauth/introspect',`);
}

t.test('the snippet that checks at start finds nothing wrong here, and a wrong secret', async (t) => {
  const [, code = ''] = snippets(pageOf('node'), 'js');
  const file = join(t.testdir(), 'check.mjs');
  writeFileSync(file, atDoorward(code));
  const good = start(t, process.execPath, [file], { CLIENT_SECRET: secret });
  t.equal(await good.ended, 0, good.output());
  const wrong = start(t, process.execPath, [file], { CLIENT_SECRET: 'wrong' });
  t.equal(await wrong.ended, 1);
  t.match(wrong.output(), /SetupError: The auth server refuses the client shop or its credentials \(401\)/);
});

for (const framework of ['fastify', 'express']) {
  t.test(`the snippet for ${framework} has the doors that it shows`, async (t) => {
    const { url } = await serve(t, framework);
    t.equal((await ask(`${url}/catalogue`)).status, 200);
    t.equal((await ask(`${url}/cart`)).status, 401);
    const cart = await ask(`${url}/cart`, { headers: bearer(token) });
    t.same(JSON.parse(cart.body), { cartOf: ada.id });
    const orders = await ask(`${url}/orders`, { headers: bearer(token) });
    t.same(JSON.parse(orders.body), { ordersOf: ada.id });
    const once = bearer(await mint(origin, ada, { single_use: true, audience: 'shop' }, doorward));
    const buy = (email: string) =>
      ask(`${url}/buy`, { method: 'POST', headers: once, json: { email } }).then(({ status }) => status);
    t.equal(await buy('someone.else@example.com'), 403);
    t.equal(await buy(ada.email), 200);
    t.equal(await buy(ada.email), 401);
  });
}

t.test('the snippet for plain Node knows who it is', async (t) => {
  const { url } = await serve(t, 'node');
  t.equal((await ask(url, { headers: bearer(token) })).body, `This is ${ada.email}.\n`);
  const refused = await ask(url);
  t.equal(refused.status, 401);
  t.match(refused.headers.get('www-authenticate'), /^Bearer realm=/);
});

t.test('the snippet of the package verifies a token', async (t) => {
  const file = join(t.testdir(), 'verify.mjs');
  const code = atDoorward(snippet('packages/verifier/README.md', 'js'));
  writeFileSync(file, code.replace('process.argv.slice(2)', JSON.stringify([token])));
  const verified = start(t, process.execPath, [file]);
  t.equal(await verified.ended, 0, verified.output());
  t.match(verified.output(), ada.id);
});

t.test('nginx guards a service by its snippet', async (t) => {
  const folder = t.testdir();
  const { addresses, gatewayPort } = world;
  const upstreams = `upstream shop { server ${addresses.members}; } upstream doorward { server ${addresses.doorward}; }`;
  // Its own temporary folders are root's.
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ');
  const rules = snippet(pageOf('nginx'), 'nginx').replace(
    'doorward/forward-auth',
    'doorward/auth/forward-auth',
  );
  const server = `server { listen 127.0.0.1:${gatewayPort}; ${rules} }`;
  const file = join(folder, 'nginx.conf');
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const http = `http { access_log off; ${folders} ${upstreams} ${server} }`;
  writeFileSync(file, `${user} daemon off; pid ${folder}/pid; events {} ${http}`);
  const binary = await findOrInstall({ name: 'nginx', binary: 'nginx', debianPackage: 'nginx-light' });
  const nginx = start(t, binary, ['-p', folder, '-e', 'stderr', '-c', file]);
  await listens(nginx, gatewayPort);
  await testHandover(t, { url: `${origin}/cart`, world });
  t.equal((await ask(`${origin}/cart`)).status, 401);
});

t.test('HAProxy takes its snippets, with the keys and the maps that the scripts fetch', async (t) => {
  const folder = shortFolder(t);
  const jwks = await ask(`${doorward}/auth/.well-known/jwks.json`);
  t.equal(jwks.status, 200);
  const script = start(t, process.execPath, [
    'examples/gateway/haproxy/jwks-to-pem.js',
    `${doorward}/auth/.well-known/jwks.json`,
    join(folder, 'jwt'),
  ]);
  t.equal(await script.ended, 0, script.output());
  const follower = start(t, process.execPath, [
    'examples/gateway/haproxy/revocations-to-maps.js',
    ...[`${doorward}/auth/revocations`, join(folder, 'revoked'), join(folder, 'api')],
  ]);
  // There is no HAProxy yet.
  await says(follower, /ENOENT|ECONNREFUSED/);
  const rules = snippets(pageOf('haproxy'), 'haproxy').join('').replaceAll('/etc/haproxy', folder);
  const file = join(folder, 'haproxy.cfg');
  const timeouts = 'timeout client 1s\ntimeout server 1s\ntimeout connect 1s';
  writeFileSync(
    file,
    `defaults\nmode http\n${timeouts}\nfrontend shop\nbind 127.0.0.1:3\n${rules}\ndefault_backend shop\nbackend shop\nserver shop 127.0.0.1:1\n`,
  );
  const haproxy = await findOrInstall({ name: 'HAProxy', binary: 'haproxy', debianPackage: 'haproxy' });
  const checked = start(t, haproxy, ['-c', '-f', file]);
  t.equal(await checked.ended, 0, checked.output());
});
