import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { findOrInstall, listens, quietPort, type Running, start } from '../support/gateway-program.ts';
import { addClient, ask, bearer, mint, openWorld, signUp } from '../support/gateway-world.ts';
import { snippet } from './pages.ts';

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
  const port = await quietPort();
  const internal = `${doorward}/auth`;
  const code = snippet(pageOf(name), 'js')
    .replace(/issuer: '[^']*'/, `issuer: '${origin}/auth', jwksUri: '${internal}/.well-known/jwks.json'`)
    .replace('introspection: {', `introspection: { introspectionUri: '${internal}/oauth/introspect',`)
    .replace('listen(4000)', `listen(${port})`)
    .replace('port: 4000', `port: ${port}`);
  const file = join(t.testdir(), 'service.mjs');
  writeFileSync(file, code);
  const service = start(t, process.execPath, [file], { CLIENT_SECRET: secret });
  await listens(service, port);
  return { url: `http://127.0.0.1:${port}`, service };
}

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

t.test('nginx takes its snippet', async (t) => {
  const folder = t.testdir();
  const upstreams = 'upstream shop { server 127.0.0.1:1; } upstream doorward { server 127.0.0.1:2; }';
  // Its own temporary folders are root's.
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ');
  const server = `server { listen 127.0.0.1:3; ${snippet(pageOf('nginx'), 'nginx')} }`;
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, `pid ${folder}/pid; events {} http { ${folders} ${upstreams} ${server} }`);
  const nginx = await findOrInstall({ name: 'nginx', binary: 'nginx', debianPackage: 'nginx-light' });
  const checked = start(t, nginx, ['-t', '-p', folder, '-e', 'stderr', '-c', file]);
  t.equal(await checked.ended, 0, checked.output());
});

t.test('HAProxy takes its snippet, with the keys that the script fetches', async (t) => {
  const folder = t.testdir();
  const jwks = await ask(`${doorward}/auth/.well-known/jwks.json`);
  t.equal(jwks.status, 200);
  const script = start(t, process.execPath, [
    'examples/gateway/haproxy/jwks-to-pem.js',
    `${doorward}/auth/.well-known/jwks.json`,
    join(folder, 'jwt'),
  ]);
  t.equal(await script.ended, 0, script.output());
  const rules = snippet(pageOf('haproxy'), 'haproxy').replace('/etc/haproxy/jwt', join(folder, 'jwt'));
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

t.test('Caddy guards a service by its snippet', async (t) => {
  const [folder, port] = [t.testdir(), await quietPort()];
  const rules = snippet(pageOf('caddy'), 'caddyfile')
    .replace('doorward:3000', world.addresses.doorward)
    .replace('uri /forward-auth', 'uri /auth/forward-auth')
    .replace('shop:4000', world.addresses.members);
  const file = join(folder, 'Caddyfile');
  writeFileSync(
    file,
    `{\nadmin off\nauto_https off\n}\nhttp://localhost:${port} {\nbind 127.0.0.1\n${rules}\n}\n`,
  );
  const binary = await findOrInstall({ name: 'Caddy', binary: 'caddy', debianPackage: 'caddy' });
  const caddy = start(t, binary, ['run', '--config', file, '--adapter', 'caddyfile'], { HOME: folder });
  await listens(caddy, port);

  const url = `http://localhost:${port}/cart`;
  t.equal((await ask(url)).status, 401, 'without a cookie the service is not asked');
  const { cookie } = ada;
  const passed = await ask(url, { headers: { cookie } });
  t.equal(passed.status, 200, caddy.output());
  const headers = headersOf(JSON.parse(passed.body).rawHeaders);
  t.same(headers.get('x-auth-subject'), [ada.id]);
  t.same(headers.get('x-auth-email'), [ada.email]);
  t.match(headers.get('authorization'), [/^Bearer /], 'cookie outside, access token inside');
  const forged = await ask(url, { headers: { cookie, 'X-Auth-Subject': 'someone-else' } });
  t.equal(forged.status, 403);
  t.equal(
    (await ask(url, { method: 'POST', headers: { cookie, origin: 'https://evil.example' } })).status,
    403,
  );
});

/** @param rawHeaders names and values in turn */
function headersOf(rawHeaders: string[]): Map<string, string[]> {
  const headers = new Map<string, string[]>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = String(rawHeaders[at]).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), String(rawHeaders[at + 1])]);
  }
  return headers;
}
