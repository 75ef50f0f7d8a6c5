import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { hasBeats, testHandover } from '../support/gateway-checks.ts';
import { openForge, partOf, strangersKey, withHeader } from '../support/gateway-tokens.ts';
import { ask, bearer, eventually, mint, openWorld, sendRaw, signUp } from '../support/gateway-world.ts';
import { followRevocations, startHaproxy, writeKeys } from '../support/haproxy.ts';
import { doorward } from '../support/processes.ts';

t.setTimeout(300_000);

const world = await openWorld(t);
const haproxy = await startHaproxy(t, world);
const startFollower = () => followRevocations(t, world, haproxy);
let follower = startFollower();
const { origin, members } = world;
const forge = await openForge(world.place);
const ada = await signUp(origin);
const good = await mint(origin, ada);
const json = (text: string) => JSON.parse(text);
const nowSeconds = Math.floor(Date.now() / 1000);

/** The values of the header `name` that the service behind the guarded part got with the last request. */
function lastSeen(name: string): string[] {
  const { rawHeaders = [] } = members.requests.at(-1) ?? {};
  return rawHeaders.filter((_value, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
}

async function statusOf(path: string, token: string): Promise<number> {
  return (await ask(`${origin}${path}`, { headers: bearer(token) })).status;
}

t.test('sign-up, catalogue, cart and purchase through HAProxy', async (t) => {
  t.match(ada.setCookie, /^__Host-g_token=[\w-]{43}; Max-Age=\d+; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
  t.equal((await ask(`${origin}/shop/catalogue`)).status, 200);
  const added = await ask(`${origin}/shop/cart`, {
    method: 'POST',
    headers: bearer(good),
    json: { item: 'lamp' },
  });
  t.match(json(added.body), { items: [{ id: 'lamp' }], total_cents: 4900 });
  const once = bearer(await mint(origin, ada, { single_use: true, audience: 'payments' }));
  const buy = (email: string) =>
    ask(`${origin}/payments/buy`, { method: 'POST', headers: once, json: { email, amount_cents: 4900 } });
  t.equal((await buy('someone.else@example.com')).status, 403);
  t.equal((await buy(ada.email)).status, 200);
  t.equal((await buy(ada.email)).status, 401);
  t.equal((await ask(`${origin}/nothing`)).status, 404);
});

t.test('a good token passes, and the service learns who it is from the token alone', async (t) => {
  const narrowed = await mint(origin, ada, { audience: 'shop' });
  for (const token of [good, narrowed]) {
    t.equal(await statusOf('/shop/cart', token), 200);
    t.equal(await statusOf('/members/home', token), 200);
    t.equal(members.requests.at(-1)?.url, '/home');
    t.same(lastSeen('x-auth-subject'), [ada.id]);
    t.same(lastSeen('x-auth-session'), [partOf(token, 1).sid]);
    t.same(lastSeen('authorization'), [`Bearer ${token}`]);
    t.same(lastSeen('x-forwarded-for'), ['127.0.0.1']);
  }
});

t.test('anything else is a 401 from HAProxy, and the service is not asked', async (t) => {
  const before = members.requests.length;
  const pem = readFileSync(join(haproxy.keyFolder, '1.pem'), 'utf8');
  const confused = withHeader(good, { alg: 'HS256', typ: 'at+jwt' });
  const hmac = createHmac('sha256', pem).update(confused.slice(0, -1)).digest('base64url');
  const refused = {
    expired: await forge(good, { claims: { exp: nowSeconds - 60 } }),
    'no expiry': await forge(good, { claims: { exp: undefined } }),
    'another audience': await forge(good, { claims: { aud: 'payments' } }),
    'other audiences': await forge(good, { claims: { aud: ['payments', 'workshop'] } }),
    'no audience': await forge(good, { claims: { aud: undefined } }),
    'another issuer': await forge(good, { claims: { iss: 'https://evil.example' } }),
    'a longer issuer': await forge(good, { claims: { iss: `${origin}/auth/` } }),
    'another typ': await forge(good, { header: { typ: 'JWT' } }),
    'no typ': await forge(good, { header: { typ: undefined } }),
    'a single-use token': await mint(origin, ada, { single_use: true, audience: 'shop' }),
    "a stranger's key": await forge(good, { key: strangersKey() }),
    'no signature': withHeader(good, { alg: 'none', typ: 'at+jwt' }),
    'the public key as a secret': `${confused}${hmac}`,
    'a cut signature': good.slice(0, -8),
    'other claims': [
      good.split('.')[0],
      Buffer.from(JSON.stringify({ ...partOf(good, 1), sub: 'root' })).toString('base64url'),
      good.split('.')[2],
    ].join('.'),
    nonsense: 'nonsense',
  };
  for (const [what, token] of Object.entries(refused)) {
    for (const path of ['/members/', '/shop/cart']) {
      const { status, body, headers } = await ask(`${origin}${path}`, { headers: bearer(token) });
      t.same([status, json(body).code], [401, 'invalid_token'], what);
      t.match(headers.get('www-authenticate'), /^Bearer realm="gateway", error="invalid_token"$/);
    }
  }
  const nobody = await ask(`${origin}/members/`, { headers: { cookie: ada.cookie } });
  t.same([nobody.status, json(nobody.body).code], [401, 'not_signed_in'], 'a cookie is nothing to HAProxy');
  t.equal(members.requests.length, before);
  t.equal(await statusOf('/members/', await forge(good, {})), 200, 'and an unchanged copy passes');
});

t.test('identity that the client brings along never arrives', async (t) => {
  const headers = {
    ...bearer(good),
    'x-auth-subject': 'admin',
    X_Auth_Subject: 'admin',
    'X-Auth_Email': 'admin',
    'x-auth-scope': 'admin',
    'x-forwarded-for': '203.0.113.7',
    cookie: ada.cookie,
  };
  t.equal((await ask(`${origin}/members/`, { headers })).status, 200);
  t.same(lastSeen('x-auth-subject'), [ada.id]);
  t.same(lastSeen('x-auth-scope'), ['']);
  t.same(lastSeen('x-forwarded-for'), ['127.0.0.1']);
  t.same(lastSeen('cookie'), []);
  const { rawHeaders = [] } = members.requests.at(-1) ?? {};
  t.notOk(rawHeaders.includes('admin'));
  t.same(
    rawHeaders.filter((text, at) => at % 2 === 0 && text.includes('_')),
    [],
  );
  const twice = await sendRaw(world.gatewayPort, [
    'GET /members/ HTTP/1.1',
    'Host: localhost',
    'Connection: close',
    `Authorization: Bearer ${good}`,
    'Authorization: Bearer another',
  ]);
  t.equal(twice.status, 400);
});

t.test('the guarded service gets what is its own', async (t) => {
  await testHandover(t, { url: `${origin}/members/`, world, takesCookie: false });
});

t.test('more of our cookies than are taken out: then none goes on', async (t) => {
  const cookie = `g_token=1; ${ada.cookie}; a=1; g_token=2; b=2; g_token=3`;
  t.equal((await ask(`${origin}/members/`, { headers: { ...bearer(good), cookie } })).status, 200);
  t.same(lastSeen('cookie'), []);
});

t.test('no path that can be read in two ways passes', async (t) => {
  const before = members.requests.length;
  const spellings = ['/%', '//members/', '/members//', '/members/../members/', '/shop/../members/', '/x/..'];
  spellings.push('/members/%00', '/members/%2e%2e/', '/members/\\x', '/members/;x', 'members/', '*');
  spellings.push('/./members/', `http://localhost:${world.gatewayPort}/members/`, '/shop%2f..%2fmembers/');
  for (const path of spellings) {
    const { status } = await sendRaw(world.gatewayPort, [
      `GET ${path} HTTP/1.1`,
      'Host: localhost',
      'Connection: close',
      `Authorization: Bearer ${good}`,
    ]);
    t.equal(status, 400, path);
  }
  t.equal(members.requests.length, before);
  t.equal((await ask(`${origin}/auth/forward-auth`, { headers: bearer(good) })).status, 404);
});

t.test('a sign-out counts at once where the service asks, and within 3 seconds at HAProxy', async (t) => {
  const bob = await signUp(origin);
  const [token, others] = [await mint(origin, bob), await mint(origin, ada)];
  const headers = { cookie: bob.cookie, origin };
  t.equal(await statusOf('/members/', token), 200);
  t.equal((await ask(`${origin}/auth/logout`, { method: 'POST', headers })).status, 204);
  const signedOutAt = performance.now();
  t.equal(await statusOf('/payments/receipts', token), 401);
  await eventually(async () => (await statusOf('/members/', token)) === 401, 'the refusal at HAProxy');
  t.ok(performance.now() - signedOutAt < 3_000, `${performance.now() - signedOutAt} ms`);
  t.equal(await statusOf('/members/', others), 200, 'other sessions go on');
});

t.test('a new password ends the tokens of before, and none that is given out afterwards', async (t) => {
  const eve = await signUp(origin);
  const before = await mint(origin, eve);
  const answer = await ask(`${origin}/auth/password/change`, {
    method: 'POST',
    headers: { cookie: eve.cookie, origin },
    json: { new_password: crypto.randomUUID() },
  });
  t.equal(answer.status, 200, answer.body);
  const [cookie = ''] = answer.headers.getSetCookie().filter((one) => one.startsWith('__Host-g_token='));
  const after = await mint(origin, { cookie });
  await eventually(async () => (await statusOf('/members/', before)) === 401, 'the refusal at HAProxy');
  t.equal(await statusOf('/members/', after), 200);
});

t.test('a script that starts again hears of what was signed out meanwhile', async (t) => {
  await follower.stop('SIGKILL');
  const [gone, kept] = [await signUp(origin), await signUp(origin)];
  const tokens = [await mint(origin, gone), await mint(origin, kept)] as const;
  const headers = { cookie: gone.cookie, origin };
  t.equal((await ask(`${origin}/auth/logout`, { method: 'POST', headers })).status, 204);
  t.equal(await statusOf('/members/', tokens[0]), 200, 'HAProxy alone hears of nothing');
  follower = startFollower();
  await eventually(async () => (await statusOf('/members/', tokens[0])) === 401, 'the refusal at HAProxy');
  t.equal(await statusOf('/members/', tokens[1]), 200);
});

t.test('the stream of revocations comes through piece by piece', async (t) => {
  await hasBeats(t, world.gatewayPort);
});

t.test('another site cannot use the cookie', async (t) => {
  const foreign = { cookie: ada.cookie, origin: 'https://evil.example' };
  t.equal((await ask(`${origin}/auth/logout`, { method: 'POST', headers: foreign })).status, 403);
});

t.test('doorward doctor finds all well', async (t) => {
  const { code, stdout, stderr } = await doorward(world.settings, 'doctor', '--json');
  t.equal(stderr, '');
  t.match(json(stdout), { problems: [], client_address: '127.0.0.1', path: '/auth/admin/doctor' });
  t.equal(code, 0);
});

t.test("Doorward's own answers come through whole", async (t) => {
  const doubled = await ask(`${origin}/auth/me`, { headers: { cookie: `${ada.cookie}; ${ada.cookie}x` } });
  t.same([doubled.status, json(doubled.body).code], [400, 'duplicate_cookie']);
  t.equal(doubled.headers.getSetCookie().length, 3);
  const nobody = await ask(`${origin}/auth/me`);
  t.same([nobody.status, json(nobody.body).code], [401, 'not_signed_in']);
  const foreign = { origin: 'https://evil.example', cookie: ada.cookie };
  const refused = await ask(`${origin}/auth/logout`, { method: 'POST', headers: foreign });
  t.same([refused.status, json(refused.body).code], [403, 'origin_not_allowed']);
  world.database.cut();
  const headers = { cookie: `__Host-g_token=${'A'.repeat(43)}` };
  const away = await ask(`${origin}/auth/me`, { headers });
  t.same([away.status, json(away.body).code, away.headers.get('retry-after')], [503, 'unavailable', '1']);
  world.database.mend();
  await eventually(async () => (await ask(`${origin}/auth/me`, { headers })).status === 401, 'the way back');
  let limited = await ask(`${origin}/auth/me`, { headers });
  for (let asked = 0; limited.status !== 429 && asked < 1_000; asked += 1) {
    const unknown = crypto.getRandomValues(Buffer.alloc(32)).toString('base64url');
    limited = await ask(`${origin}/auth/me`, { headers: { cookie: `__Host-g_token=${unknown}` } });
  }
  t.same([limited.status, json(limited.body).code], [429, 'rate_limited']);
  t.equal(limited.headers.get('retry-after'), '60');
});

t.test('the script keeps up with new keys, and keeps the files when the keys cannot be had', async (t) => {
  const folder = haproxy.keyFolder;
  const names = ['1.pem', '2.pem', '3.pem', '4.pem'];
  t.same(readdirSync(folder).sort(), [...names, 'kids.map']);
  const pems = () => names.map((name) => readFileSync(join(folder, name), 'utf8'));
  t.equal(new Set(pems()).size, 1);
  t.equal((await writeKeys(world, folder)).code, 2, 'nothing to do');
  const rotated = await doorward(world.settings, 'keys', 'rotate');
  t.equal(rotated.code, 0);
  // The server looks for new keys every two seconds.
  await eventually(async () => (await writeKeys(world, folder)).code === 0, 'new keys in the files');
  const [newest = '', ...others] = pems();
  t.equal(new Set(others).size, 1);
  t.notOk(others.includes(newest), 'the new one, then the one before');
  t.match(readFileSync(join(folder, 'kids.map'), 'utf8'), /^[0-9a-f]{16} 1\n[0-9a-f]{16} 2\n$/);
  await world.doorward.stop('SIGKILL');
  const failed = await writeKeys(world, folder);
  t.equal(failed.code, 1);
  t.match(failed.stderr, /^jwks-to-pem: ECONNREFUSED\n$/);
  t.same(pems(), [newest, ...others]);
  t.equal(await statusOf('/members/', good), 200, 'HAProxy needs nobody to verify a token');
});
