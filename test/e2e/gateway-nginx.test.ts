import t from 'tap';
import { freePort } from '../support/free-port.ts';
import { hasBeats, testHandover, testRefusals } from '../support/gateway-checks.ts';
import {
  ask,
  bearer,
  eventually,
  GATEWAY_ADDRESS,
  mint,
  openWorld,
  sendRaw,
  signUp,
  type User,
  type World,
} from '../support/gateway-world.ts';
import { startNginx } from '../support/nginx.ts';
import { doorward } from '../support/processes.ts';

// Everything here is a process of its own: a database, a server, two services, nginx.
t.setTimeout(300_000);

const world = await openWorld(t);
const nginx = await startNginx(t, world);
const { origin } = world;
const ada = await signUp(origin);
const json = (text: string) => JSON.parse(text);

/** The headers of the last request to the service behind the guarded part, with their names as sent. */
function seenByMembers({ members }: World): [name: string, value: string][] {
  const { rawHeaders = [] } = members.requests.at(-1) ?? {};
  return rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, String(rawHeaders[at + 1])]] : []));
}

function identitySeen(): Record<string, string> {
  const headers = seenByMembers(world).filter(([name]) => /^x[-_]auth/i.test(name));
  return Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]));
}

function claimsOf(token: string) {
  return json(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

t.test('the cookie of a sign-up comes through as Doorward set it', async (t) => {
  t.match(
    ada.setCookie,
    /^__Host-g_token=[\w-]{43}; Max-Age=2592000; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
  );
  const me = await ask(`${origin}/auth/me`, { headers: { cookie: ada.cookie } });
  t.match(json(me.body).user, { email: ada.email, id: ada.id });
  t.equal(me.headers.get('cache-control'), 'no-store');
  const metadata = await ask(`${origin}/auth/.well-known/oauth-authorization-server`);
  t.equal(json(metadata.body).issuer, `${origin}/auth`);
});

t.test('the page and the module are served, and each path of the app is the page', async (t) => {
  for (const path of ['/', '/cart', '/sessions']) {
    const { status, body, headers } = await ask(`${origin}${path}`);
    t.equal(status, 200);
    t.match(body, /The page/);
    t.match(headers.get('content-security-policy'), /default-src 'self'/);
  }
  const module = await ask(`${origin}/doorward-browser/index.js`);
  t.match(module.headers.get('content-type'), /javascript/);
  t.equal((await ask(`${origin}/doorward-browser/nothing.js`)).status, 404);
});

t.test('catalogue open, cart verified, buy once and with the own address', async (t) => {
  t.equal((await ask(`${origin}/shop/catalogue`)).status, 200);
  const token = bearer(await mint(origin, ada));
  const [item] = json((await ask(`${origin}/shop/catalogue`)).body).items;
  const added = await ask(`${origin}/shop/cart`, {
    method: 'POST',
    headers: token,
    json: { item: item.id },
  });
  t.match(json(added.body), { items: [{ id: item.id, quantity: 1 }], total_cents: item.price_cents });

  const once = bearer(await mint(origin, ada, { single_use: true, audience: 'payments' }));
  const buy = (email: string, headers: Record<string, string>) =>
    ask(`${origin}/payments/buy`, {
      method: 'POST',
      headers,
      json: { email, amount_cents: item.price_cents },
    });
  const other = await buy('someone.else@example.com', once);
  t.same([other.status, json(other.body).code], [403, 'email_mismatch'], 'which spends nothing');
  const bought = await buy(ada.email, once);
  t.match(json(bought.body), { receipt: /^[\w-]{36}$/, amount_cents: item.price_cents });
  const again = await buy(ada.email, once);
  t.same([again.status, json(again.body).code], [401, 'token_inactive']);
  t.match(again.headers.get('www-authenticate'), /error="invalid_token"/, 'the challenge comes through');

  const emptied = await ask(`${origin}/shop/cart/${item.id}`, { method: 'DELETE', headers: token });
  t.same(json(emptied.body), { items: [], total_cents: 0 });
});

t.test('a purchase sent again with its key and token has the same receipt', async (t) => {
  const token = await mint(origin, ada, { single_use: true, audience: 'payments' });
  const headers = { ...bearer(token), 'idempotency-key': 'purchase-1' };
  const buy = (amount_cents: number) =>
    ask(`${origin}/payments/buy`, { method: 'POST', headers, json: { email: ada.email, amount_cents } });
  const [first, second] = [await buy(700), await buy(700)];
  t.equal(first.status, 200);
  t.same(json(second.body), json(first.body));
  t.equal((await buy(701)).status, 422, 'and no other purchase hides behind it');
});

t.test('the guarded part takes a cookie, and hands on a token and the identity', async (t) => {
  const { status } = await ask(`${origin}/members/home?a=1`, { headers: { cookie: ada.cookie } });
  t.equal(status, 200);
  t.equal(world.members.requests.at(-1)?.url, '/home?a=1');
  t.match(identitySeen(), { 'x-auth-subject': ada.id, 'x-auth-email': ada.email, 'x-auth-session': /.+/ });
  const headers = new Map(seenByMembers(world).map(([name, value]) => [name.toLowerCase(), value]));
  t.match(headers.get('authorization'), /^Bearer ey/);
  t.match(claimsOf(headers.get('authorization') ?? ''), { iss: `${origin}/auth`, sub: ada.id });
  t.notOk(headers.has('cookie'), 'the session cookie stays with the gateway');
  t.equal(headers.get('x-forwarded-for'), '127.0.0.1');

  const cart = await ask(`${origin}/shop/cart`, { headers: { cookie: ada.cookie } });
  t.equal(cart.status, 200, 'the shop itself verifies the token that the gateway put there');
  const added = await ask(`${origin}/shop/cart`, {
    method: 'POST',
    headers: { cookie: ada.cookie, origin },
    json: { item: 'mug' },
  });
  t.equal(added.status, 200);
});

t.test('the guarded part takes a token, which goes on as it is', async (t) => {
  const token = await mint(origin, ada);
  const answer = await ask(`${origin}/members/`, { headers: bearer(token) });
  t.equal(answer.status, 200);
  t.match(identitySeen(), { 'x-auth-subject': ada.id });
  const sent = seenByMembers(world).filter(([name]) => name.toLowerCase() === 'authorization');
  t.same(sent, [['Authorization', `Bearer ${token}`]]);
  const refused = [{ audience: 'payments' }, { single_use: true, audience: 'shop' }];
  for (const wish of refused) {
    const { status, body } = await ask(`${origin}/shop/cart`, {
      headers: bearer(await mint(origin, ada, wish)),
    });
    t.same([status, json(body).code], [401, 'invalid_token'], 'by the gateway, before the shop is asked');
  }
});

t.test('who is nobody gets a page or a problem, and a challenge', async (t) => {
  const page = await ask(`${origin}/members/`);
  t.equal(page.status, 401);
  t.match(page.headers.get('content-type'), /text\/html/);
  t.match(page.body, /href="\/sign-in"/);
  const problem = await ask(`${origin}/shop/cart`);
  t.equal(problem.status, 401);
  t.equal(problem.headers.get('content-type'), 'application/problem+json');
  t.equal(json(problem.body).code, 'not_signed_in');
  t.equal(problem.headers.get('cache-control'), 'no-store');
  const bad = await ask(`${origin}/shop/cart`, { headers: { ...bearer('nonsense'), cookie: ada.cookie } });
  t.equal(bad.status, 401, 'a bad token, even beside a good cookie');
  t.match(bad.headers.get('www-authenticate'), /error="invalid_token"/);
  const twice = await ask(`${origin}/members/`, { headers: { cookie: `${ada.cookie}; ${ada.cookie}x` } });
  t.equal(twice.status, 400);
});

t.test('identity that the client brings along never arrives', async (t) => {
  const forged = [
    { 'x-auth-subject': 'admin' },
    { 'x-auth-scope': 'admin:everything' },
    { X_Auth_Subject: 'admin' },
    { 'X-Auth_Subject': 'admin' },
  ];
  for (const headers of forged) {
    const before = world.members.requests.length;
    const { status } = await ask(`${origin}/members/`, { headers: { ...headers, cookie: ada.cookie } });
    if (world.members.requests.length > before) {
      t.equal(identitySeen()['x-auth-subject'], ada.id);
      t.notMatch(JSON.stringify(seenByMembers(world)), /admin/);
    } else t.equal(status, 403);
  }
  const twice = await sendRaw(world.gatewayPort, [
    'GET /members/ HTTP/1.1',
    `Host: localhost:${world.gatewayPort}`,
    'Connection: close',
    `Cookie: ${ada.cookie}`,
    'X-Auth-Subject: admin',
    'x-auth-subject: root',
  ]);
  t.equal(twice.status, 403);
  const tokens = await sendRaw(world.gatewayPort, [
    'GET /members/ HTTP/1.1',
    `Host: localhost:${world.gatewayPort}`,
    'Connection: close',
    `Authorization: Bearer ${await mint(origin, ada)}`,
    'Authorization: Bearer another',
  ]);
  t.ok(tokens.status >= 400, 'two Authorization headers');
});

t.test('another site cannot use the cookie', async (t) => {
  const foreign = { cookie: ada.cookie, origin: 'https://evil.example' };
  const before = world.members.requests.length;
  for (const method of ['POST', 'PUT', 'DELETE']) {
    t.equal((await ask(`${origin}/members/`, { method, headers: foreign })).status, 403, method);
  }
  const crossSite = { cookie: ada.cookie, 'sec-fetch-site': 'cross-site' };
  t.equal((await ask(`${origin}/members/`, { method: 'POST', headers: crossSite })).status, 403);
  t.equal((await ask(`${origin}/auth/logout`, { method: 'POST', headers: foreign })).status, 403);
  t.equal(world.members.requests.length, before);
  const own = { cookie: ada.cookie, origin };
  t.equal((await ask(`${origin}/members/`, { method: 'POST', headers: own })).status, 200);
  const preflight = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
  t.equal((await ask(`${origin}/members/`, { method: 'OPTIONS', headers: preflight })).status, 401);
});

/** Sent unchanged, with a good cookie, to the guarded part or around it. */
const spellings = [
  '/%',
  '/members/%',
  '/members/%00',
  '/members/%zz',
  '/members/..%2fshop',
  '/members/%2e%2e/shop/catalogue',
  '/members/../members/',
  '/shop/../members/',
  '//members/',
  '/members//',
  '/members/\\..\\x',
  '/members/%5c..',
  '/./members/',
  '/members/;/../',
  '/members/#x',
  'members/',
];

t.test('no path that can be read in two ways passes the guarded part', async (t) => {
  for (const path of spellings) {
    const before = world.members.requests.length;
    const { status } = await sendRaw(world.gatewayPort, [
      `GET ${path} HTTP/1.1`,
      `Host: localhost:${world.gatewayPort}`,
      'Connection: close',
      `Cookie: ${ada.cookie}`,
    ]);
    t.equal(world.members.requests.length, before, `${path} does not reach the service`);
    t.notOk(status >= 200 && status < 300, `${path}: ${status}`);
  }
});

t.test('nobody without a cookie gets in by spelling the path or the host otherwise', async (t) => {
  const before = world.members.requests.length;
  for (const path of [...spellings, `http://localhost/members/`, `http://members/members/`, '/MEMBERS/']) {
    await sendRaw(world.gatewayPort, [`GET ${path} HTTP/1.1`, 'Host: localhost', 'Connection: close']);
  }
  t.equal(world.members.requests.length, before);
  const absolute = await sendRaw(world.gatewayPort, [
    `GET http://localhost:${world.gatewayPort}/members/ HTTP/1.1`,
    `Host: localhost:${world.gatewayPort}`,
    'Connection: close',
    `Cookie: ${ada.cookie}`,
  ]);
  t.equal(absolute.status, 200, 'a whole URL is a way to say it, and means the same');
  t.equal(world.members.requests.at(-1)?.url, '/');
  const inside = await ask(`${origin}/_door`, { headers: { cookie: ada.cookie } });
  t.equal(inside.status, 404, 'the inner location cannot be asked for');
  t.equal((await ask(`${origin}/auth/forward-auth`, { headers: { cookie: ada.cookie } })).status, 404);
});

t.test('a sign-out counts at once at the doors that ask, and a moment later at the others', async (t) => {
  const bob = await signUp(origin);
  const token = bearer(await mint(origin, bob));
  t.equal((await ask(`${origin}/payments/receipts`, { headers: token })).status, 200);
  t.equal((await ask(`${origin}/members/`, { headers: token })).status, 200);
  const headers = { cookie: bob.cookie, origin };
  t.equal((await ask(`${origin}/auth/logout`, { method: 'POST', headers })).status, 204);
  const out = await ask(`${origin}/payments/receipts`, { headers: token });
  t.equal(out.status, 401, 'checked by the service');
  // It may have heard of it before it asks.
  t.match(json(out.body).code, /^token_(inactive|revoked)$/);
  t.equal((await ask(`${origin}/members/`, { headers: token })).status, 401, 'checked by the gateway');
  t.equal((await ask(`${origin}/members/`, { headers: { cookie: bob.cookie } })).status, 401);
  const offline = async () => (await ask(`${origin}/shop/cart`, { headers: token })).status;
  await eventually(async () => (await offline()) === 401, 'a refusal offline');
});

t.test('Doorward sees the address of the client, whatever that says of itself', async (t) => {
  const eve = await signUp(origin);
  const login = await ask(`${origin}/auth/login`, {
    method: 'POST',
    headers: {
      'x-forwarded-for': '203.0.113.7, 127.0.0.9',
      forwarded: 'for=203.0.113.8',
      'x-real-ip': '1.2.3.4',
    },
    json: { email: eve.email, password: eve.password },
  });
  const [cookie = ''] = login.headers.getSetCookie()[0]?.split(';') ?? [];
  const { sessions } = json((await ask(`${origin}/auth/sessions`, { headers: { cookie } })).body);
  t.same(
    sessions.map(({ ip }: { ip: string }) => ip),
    ['127.0.0.1', '127.0.0.1'],
  );
});

t.test('the stream of revocations comes through piece by piece', async (t) => {
  await hasBeats(t, world.gatewayPort);
});

t.test('the guarded service gets what is its own', async (t) => {
  await testHandover(t, { url: `${origin}/members/`, world });
});

t.test('a service with an open door gets the cookies without the session, and no identity', async (t) => {
  const addresses = { ...world.addresses, payments: world.addresses.members };
  const open = { ...world, gatewayPort: await freePort(), addresses };
  await startNginx(t, open);
  const ask = (cookie: string, headers = {}) =>
    fetch(`http://127.0.0.1:${open.gatewayPort}/payments/x`, { headers: { cookie, ...headers } });
  const seen = () => seenByMembers(world).find(([name]) => name.toLowerCase() === 'cookie')?.[1];
  await ask(`a=1; ${ada.cookie}; b=2`, { 'x-auth-subject': 'admin', X_Auth_Email: 'admin' });
  t.equal(seen()?.replace(/; +/g, '; '), 'a=1; b=2');
  t.same(identitySeen(), {});
  await ask('a=1; b=2');
  t.equal(seen(), 'a=1; b=2');
  await ask(`g_token=1; ${ada.cookie}; a=1; g_token=2; b=2; g_token=3`);
  t.equal(seen(), undefined, 'too many to take out: then none goes on');
});

t.test('the door is asked what the gateway wants, whatever the query of the request', async (t) => {
  const url = `${origin}/members/home?&answer=refusal&audience=nobody&check=x`;
  t.equal((await ask(url, { headers: { cookie: ada.cookie } })).status, 200);
  t.equal(world.members.requests.at(-1)?.url, '/home?&answer=refusal&audience=nobody&check=x');
});

t.test('doorward doctor finds all well', async (t) => {
  const { code, stdout, stderr } = await doorward(world.settings, 'doctor', '--json');
  t.equal(stderr, '');
  const report = json(stdout);
  t.same(report.problems, []);
  t.equal(code, 0);
  t.match(report, {
    client_address: '127.0.0.1',
    chain: [
      { address: GATEWAY_ADDRESS, trusted: true },
      { address: '127.0.0.1', trusted: false },
    ],
    path: '/auth/admin/doctor',
    path_prefix: '/auth',
    cookie: { name: '__Host-g_token', sticks: true },
  });
});

t.test('doorward doctor says what to mend when the gateway is not trusted', async (t) => {
  const other = await openWorld(t, { TRUSTED_PROXIES: '' });
  await startNginx(t, other);
  const { code, stdout } = await doorward(other.settings, 'doctor');
  t.equal(code, 1);
  t.match(stdout, /To mend\n {2}127\.0\.0\.9 sent X-Forwarded-For and is not in TRUSTED_PROXIES/);
  const eve: User = await signUp(other.origin);
  const { sessions } = json(
    (await ask(`${other.origin}/auth/sessions`, { headers: { cookie: eve.cookie } })).body,
  );
  t.equal(sessions[0].ip, GATEWAY_ADDRESS);
});

t.test('each refusal of the door reaches the client as Doorward wrote it', async (t) => {
  await testRefusals(t, { url: `${origin}/shop/cart`, world });
});

t.test('while Doorward is away nobody passes the gateway, and nobody is told to sign in', async (t) => {
  const token = bearer(await mint(origin, ada));
  await world.doorward.stop('SIGKILL');
  const guarded = await ask(`${origin}/shop/cart`, { headers: token });
  t.same([guarded.status, json(guarded.body).code], [503, 'unavailable']);
  t.equal(guarded.headers.get('retry-after'), '1');
  const checked = await ask(`${origin}/payments/receipts`, { headers: token });
  t.same([checked.status, json(checked.body).code], [503, 'introspection_unavailable']);
  t.equal((await ask(`${origin}/shop/catalogue`)).status, 200);
  const direct = await ask(`http://${world.addresses.shop}/cart`, { headers: token });
  t.equal(direct.status, 200, 'what is verified offline goes on');
});

t.test('everything ends when it is told to', async (t) => {
  t.equal(await world.shop.stop(), 0);
  t.equal(await world.payments.stop(), 0);
  await nginx.stop('SIGQUIT');
  await eventually(() => !isAlive(nginx.pid), 'the end of nginx');
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
