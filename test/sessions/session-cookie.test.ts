import { request } from 'node:http';
import { type Test, test } from 'tap';
import { build, codeOf, newCredentials, signUp } from '../helper.ts';
import { listen } from '../support/listen.ts';

const ttl = 'Max-Age=2592000';
type Mode = {
  settings: Record<string, string>;
  name: string;
  attributes: string;
  whenEnded: string[];
  /** The attributes of the cookie by which the browser is known again. */
  device: string;
};
const modes: Mode[] = [
  {
    settings: {},
    name: '__Host-g_token',
    attributes: 'Path=/; HttpOnly; Secure; SameSite=Lax',
    device: 'Max-Age=34560000; Path=/; HttpOnly; Secure; SameSite=Lax',
    whenEnded: [
      '__Host-g_token=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax',
      '__Secure-g_token=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax',
      'g_token=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax',
    ],
  },
  {
    settings: { COOKIE_MODE: 'secure', COOKIE_DOMAIN: 'example.com', COOKIE_SAME_SITE: 'none' },
    name: '__Secure-g_token',
    attributes: 'Domain=example.com; Path=/; HttpOnly; Secure; SameSite=None',
    device: 'Max-Age=34560000; Path=/; HttpOnly; Secure; SameSite=None',
    whenEnded: [
      '__Host-g_token=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=None',
      '__Secure-g_token=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=None',
      '__Secure-g_token=; Max-Age=0; Domain=example.com; Path=/; HttpOnly; Secure; SameSite=None',
      'g_token=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax',
      'g_token=; Max-Age=0; Domain=example.com; Path=/; HttpOnly; SameSite=Lax',
    ],
  },
  {
    settings: { COOKIE_MODE: 'insecure', COOKIE_SAME_SITE: 'strict' },
    name: 'g_token',
    attributes: 'Path=/; HttpOnly; SameSite=Strict',
    device: 'Max-Age=34560000; Path=/; HttpOnly; SameSite=Lax',
    whenEnded: [
      '__Host-g_token=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict',
      '__Secure-g_token=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict',
      'g_token=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax',
    ],
  },
];

for (const { settings, name, attributes, whenEnded, device } of modes) {
  const mode = settings.COOKIE_MODE ?? 'host';

  test(`COOKIE_MODE=${mode}: the cookie is ${name}, with exactly these attributes`, async (t) => {
    const { app } = await build(t, settings);
    const payload = { email: 'someone@example.com', password: crypto.randomUUID() };
    for (const url of ['/signup', '/login']) {
      const response = await app.inject({ method: 'POST', url, payload });
      const [session = '', ofDevice = '', ...others] = [response.headers['set-cookie'] ?? []].flat();
      const [pair, ...rest] = session.split('; ');
      t.match(pair, new RegExp(`^${name}=[\\w-]{43}$`));
      t.equal(rest.join('; '), `${ttl}; ${attributes}`);
      const [mark, ...restOfDevice] = ofDevice.split('; ');
      t.match(mark, new RegExp(`^${name.replace('token', 'device')}=v1(\\.[\\w-]+){2}$`));
      t.equal(restOfDevice.join('; '), device);
      t.same(others, []);
    }
  });

  test(`COOKIE_MODE=${mode}: the cookie sent twice is refused and expired in every form`, async (t) => {
    const { app } = await build(t, settings);
    const { token } = await signUp(app);
    const cookie = `${name}=planted; a=b; ${name}=${token}`;
    for (const [method, url] of [
      ['POST', '/token'],
      ['POST', '/logout'],
      ['POST', '/login'],
      ['POST', '/signup'],
      ['GET', '/me'],
      ['GET', '/sessions'],
      ['DELETE', '/sessions'],
      ['DELETE', '/sessions/01890a5d-ac96-774b-bcce-b302099a8057'],
    ] as const) {
      const payload = ['/login', '/signup'].includes(url) ? newCredentials() : undefined;
      const response = await app.inject({ method, url, headers: { cookie }, ...(payload && { payload }) });
      t.equal(response.statusCode, 400, url);
      t.equal(codeOf(response), 'duplicate_cookie', url);
      t.strictSame([response.headers['set-cookie']].flat(), whenEnded, url);
    }
    t.equal(
      (await app.inject({ method: 'POST', url: '/token', headers: { cookie: `${name}=${token}` } }))
        .statusCode,
      200,
    );
  });
}

test('Max-Age is what SESSION_TTL says', async (t) => {
  const { app } = await build(t, { SESSION_TTL: '90m', SESSION_IDLE_TTL: '1h' });
  const payload = { email: 'someone@example.com', password: crypto.randomUUID() };
  const response = await app.inject({ method: 'POST', url: '/signup', payload });
  t.equal(response.cookies[0]?.maxAge, 5400);
});

test('twice is twice however it is written', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  for (const twice of [`${cookie};${cookie}`, `__Host-g_token=; ${cookie}`, `__Host-g_token =x; ${cookie}`]) {
    const response = await app.inject({ method: 'POST', url: '/token', headers: { cookie: twice } });
    t.equal(codeOf(response), 'duplicate_cookie', twice.slice(0, 16));
  }
});

test('cookies of other names are not looked at', async (t) => {
  const { app } = await build(t);
  const { cookie, token } = await signUp(app);
  const others = `g_token=x; __Secure-g_token=x; x__Host-g_token=x; __Host-g_token2=x; __host-g_token=x; __Host-g_token`;
  t.equal(
    (await app.inject({ method: 'POST', url: '/token', headers: { cookie: `${others}; ${cookie}` } }))
      .statusCode,
    200,
  );
  const wrongName = await app.inject({
    method: 'POST',
    url: '/token',
    headers: { cookie: `g_token=${token}; __Secure-g_token=${token}` },
  });
  t.equal(codeOf(wrongName), 'session_not_found');
});

/** Signs up, then asks a real socket for an access token with these bytes as the Cookie header. */
async function mintWith(t: Test, writeCookie: (cookie: string) => string) {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  const url = `http://127.0.0.1:${await listen(t, app)}`;
  // Node writes header values as latin1: one character is one byte.
  const asked = request(`${url}/token`, { method: 'POST', headers: { cookie: writeCookie(cookie) } }).end();
  return new Promise<{ status: number | undefined; expired: number }>((resolve, reject) => {
    asked.on('error', reject);
    asked.on('response', ({ statusCode, headers }) =>
      resolve({ status: statusCode, expired: headers['set-cookie']?.length ?? 0 }),
    );
  });
}

test('a name with a byte before it that is neither a space nor a tab is another cookie', async (t) => {
  for (const byte of ['\xa0', '\x85', '\xff', '!']) {
    const forged = (cookie: string) =>
      `${byte}__Host-g_token=planted; ${cookie}; __Host-g_token${byte}=planted`;
    t.strictSame(await mintWith(t, forged), { status: 200, expired: 0 }, JSON.stringify(byte));
  }
});

test('spaces and tabs around a name do not make it another cookie', async (t) => {
  for (const blank of [' ', '\t', ' \t ']) {
    const planted = (cookie: string) => `${blank}__Host-g_token${blank}=planted; ${cookie}`;
    t.strictSame(await mintWith(t, planted), { status: 400, expired: 3 }, JSON.stringify(blank));
  }
});
