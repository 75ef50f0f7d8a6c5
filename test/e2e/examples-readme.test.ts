import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { findOrInstall, listens, quietPort, type Running, start } from '../support/gateway-program.ts';
import { addClient, ask, bearer, mint, openWorld, signUp } from '../support/gateway-world.ts';

t.setTimeout(300_000);

const world = await openWorld(t);
const { origin, settings } = world;
const doorward = world.doorward.url;
const secret = await addClient(settings, 'shop');
const ada = await signUp(origin, doorward);
const token = await mint(origin, ada, undefined, doorward);

/** The first block of a language under a heading of the section "Protect a service". */
function snippet(heading: string, language: string): string {
  const [, section = ''] = readFileSync('README.md', 'utf8').split('\n## Protect a service\n');
  const [, part = ''] = section.split(`\n### ${heading}\n`);
  const code = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'ms').exec(part)?.[1];
  if (code === undefined) throw new Error(`"${heading}" has no ${language}`);
  return code;
}

/**
 * Runs a snippet as a service of its own, from a file that finds our packages. Only the addresses are others: the port,
 * and where Doorward is.
 */
async function serve(t: Test, heading: string): Promise<{ url: string; service: Running }> {
  const port = await quietPort();
  const internal = `${doorward}/auth`;
  const code = snippet(heading, 'js')
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

for (const framework of ['Fastify', 'Express']) {
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
  const { url } = await serve(t, 'Plain Node');
  t.equal((await ask(url, { headers: bearer(token) })).body, `This is ${ada.email}.\n`);
  const refused = await ask(url);
  t.equal(refused.status, 401);
  t.match(refused.headers.get('www-authenticate'), /^Bearer realm=/);
});

t.test('nginx and HAProxy take the snippets for them', async (t) => {
  const folder = t.testdir();
  const upstreams = 'upstream shop { server 127.0.0.1:1; } upstream doorward { server 127.0.0.1:2; }';
  // Its own temporary folders are root's.
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ');
  const server = `server { listen 127.0.0.1:3; ${snippet('nginx', 'nginx')} }`;
  const nginxFile = join(folder, 'nginx.conf');
  writeFileSync(nginxFile, `pid ${folder}/pid; events {} http { ${folders} ${upstreams} ${server} }`);
  const nginx = await findOrInstall({ name: 'nginx', binary: 'nginx', debianPackage: 'nginx-light' });
  const checkedByNginx = start(t, nginx, ['-t', '-p', folder, '-e', 'stderr', '-c', nginxFile]);
  t.equal(await checkedByNginx.ended, 0, checkedByNginx.output());

  const jwks = await ask(`${doorward}/auth/.well-known/jwks.json`);
  t.equal(jwks.status, 200);
  const script = start(t, process.execPath, [
    'examples/gateway/haproxy/jwks-to-pem.js',
    `${doorward}/auth/.well-known/jwks.json`,
    join(folder, 'jwt'),
  ]);
  t.equal(await script.ended, 0, script.output());
  const rules = snippet('HAProxy', 'haproxy').replace('/etc/haproxy/jwt', join(folder, 'jwt'));
  const haproxyFile = join(folder, 'haproxy.cfg');
  const timeouts = 'timeout client 1s\ntimeout server 1s\ntimeout connect 1s';
  writeFileSync(
    haproxyFile,
    `defaults\nmode http\n${timeouts}\nfrontend shop\nbind 127.0.0.1:3\n${rules}\ndefault_backend shop\nbackend shop\nserver shop 127.0.0.1:1\n`,
  );
  const haproxy = await findOrInstall({ name: 'HAProxy', binary: 'haproxy', debianPackage: 'haproxy' });
  const checkedByHaproxy = start(t, haproxy, ['-c', '-f', haproxyFile]);
  t.equal(await checkedByHaproxy.ended, 0, checkedByHaproxy.output());
});
