import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import t from 'tap';
import { freePort } from '../support/free-port.ts';
import { says, start, until } from '../support/gateway-program.ts';
import { ask, bearer, mint, signUp } from '../support/gateway-world.ts';
import { shortFolder } from '../support/processes.ts';

t.setTimeout(300_000);

const json = (text: string) => JSON.parse(text);

/** The processes that a process has started, and theirs. */
function descendantsOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number);
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

t.test('one command starts it all on one origin, and Ctrl-C leaves nothing behind', async (t) => {
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const env = {
    PORT: String(port),
    TMPDIR: shortFolder(t),
    PASSWORD_HASH_MEMORY_KIB: '7168',
    PASSWORD_HASH_ITERATIONS: '5',
  };
  const demo = start(t, process.execPath, ['examples/demo/demo.js'], env);
  await says(demo, /The club is at (\S+)\n/);
  t.match(demo.output(), `The club is at ${origin}\n`);

  for (const path of ['/', '/cart', '/sessions']) {
    const { status, body, headers } = await ask(`${origin}${path}`);
    t.equal(status, 200);
    t.match(body, /<!doctype html>/i);
    t.match(headers.get('content-security-policy'), /default-src 'self'/);
  }
  t.equal((await ask(`${origin}/nothing.js`)).status, 404);
  t.equal((await ask(`${origin}/doorward-browser/../../package.json`)).status, 404);
  if (existsSync('src/browser/index.ts')) {
    const module = await ask(`${origin}/doorward-browser/index.js`);
    t.match(module.headers.get('content-type'), /^text\/javascript/);
  }

  const ada = await signUp(origin);
  t.match(ada.setCookie, /^__Host-g_token=.*HttpOnly; Secure/);
  const metadata = await ask(`${origin}/auth/.well-known/oauth-authorization-server`);
  t.equal(json(metadata.body).issuer, `${origin}/auth`);
  const [item] = json((await ask(`${origin}/shop/catalogue`)).body).items;
  const token = bearer(await mint(origin, ada));
  const added = await ask(`${origin}/shop/cart`, { method: 'POST', headers: token, json: { item: item.id } });
  t.match(json(added.body), { items: [{ id: item.id }] });
  const emptied = await ask(`${origin}/shop/cart/${item.id}`, { method: 'DELETE', headers: token });
  t.same(json(emptied.body).items, []);
  t.equal((await ask(`${origin}/shop/cart`, { headers: { cookie: ada.cookie } })).status, 401);
  const once = bearer(await mint(origin, ada, { single_use: true, audience: 'payments' }));
  const buy = () =>
    ask(`${origin}/payments/buy`, {
      method: 'POST',
      headers: once,
      json: { email: ada.email, amount_cents: 4900 },
    });
  t.match(json((await buy()).body), { receipt: String, amount_cents: 4900 });
  t.equal((await buy()).status, 401);
  t.equal((await ask(`${origin}/payments/receipts`, { headers: token })).status, 200);
  const foreign = { cookie: ada.cookie, origin: 'https://evil.example' };
  t.equal((await ask(`${origin}/auth/logout`, { method: 'POST', headers: foreign })).status, 403);

  const own = { cookie: ada.cookie, origin };
  t.equal((await ask(`${origin}/auth/logout`, { method: 'POST', headers: own })).status, 204);
  const cart = () => ask(`${origin}/shop/cart`, { headers: token });
  await until(
    async () => (await cart()).status === 401,
    () => 'the shop did not hear of the sign-out',
  );
  t.equal(json((await cart()).body).code, 'token_revoked');
  const counts = json((await ask(`${origin}/shop/counts`)).body);
  t.match(counts, { asked: 0, refused_as_revoked: 2, lag_ms: Number });
  t.ok(counts.revocations_heard >= 1);

  const children = descendantsOf(demo.pid);
  t.ok(children.length >= 3, 'Doorward, the shop and payments');
  t.equal(await demo.stop('SIGINT'), 0);
  const left = () => children.filter((pid) => existsSync(`/proc/${pid}`));
  await until(
    () => left().length === 0,
    () => `still there: ${left()}`,
  );
  t.notMatch(demo.output(), /ended by itself/);
  await t.rejects(ask(origin), 'nobody listens there any more');
  t.same(readdirSync(env.TMPDIR), [], 'and the data is gone');
});

t.test('a port that is taken is told in one line', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, 'localhost', resolve));
  t.teardown(() => taken.close());
  const address = taken.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP address');
  const { port } = address;
  const demo = start(t, process.execPath, ['examples/demo/demo.js'], { PORT: String(port) });
  t.equal(await demo.ended, 1);
  t.equal(
    demo.output(),
    `Port ${port} is taken: choose another one, such as PORT=${port + 1} npm run demo\n`,
  );
});
