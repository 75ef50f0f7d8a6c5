import { type Test, test } from 'tap';
import {
  build,
  buildEmbedded,
  codeOf,
  cookieHeader,
  cookieOf,
  createPlace,
  newCredentials,
  runSql,
  signUp,
  type TestApp,
} from '../helper.ts';

const uuidV7 = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

type App = TestApp['app'];

const post = (app: App, url: string, payload: object, headers: Record<string, string> = {}) =>
  app.inject({ method: 'POST', url, payload, headers });

async function isAlive(app: App, token: string): Promise<boolean> {
  const response = await post(app, '/token', {}, { cookie: cookieHeader(token) });
  return response.statusCode === 200;
}

for (const [name, start] of [
  ['PostgreSQL and Redis', build],
  ['PGlite and memory', buildEmbedded],
] as const) {
  test(`sign-up, token, profile, sign-in and sign-out work on ${name}`, async (t) => {
    const { app } = await start(t);
    const { token, cookie, email, password, user } = await signUp(app);
    t.ok(await isAlive(app, token));
    t.same((await app.inject({ url: '/me', headers: { cookie } })).json(), { user });

    const login = await post(app, '/login', { email, password });
    t.equal(login.statusCode, 200);
    t.equal((await post(app, '/logout', {}, { cookie })).statusCode, 204);
    t.notOk(await isAlive(app, token));
    t.ok(await isAlive(app, cookieOf(login).value), 'the other device stays signed in');
  });
}

test('sign-up answers the user and nothing that is secret', async (t) => {
  const { app } = await build(t);
  const { email, password } = newCredentials();
  const typed = email.toUpperCase();
  const response = await post(app, '/signup', { email: ` ${typed} `, password });
  t.equal(response.statusCode, 201);
  const { user } = response.json();
  t.strictSame(Object.keys(response.json()), ['user']);
  t.match(user.id, uuidV7);
  t.equal(new Date(user.created_at).toISOString(), user.created_at);
  t.strictSame(user, { id: user.id, email: typed, email_verified: false, created_at: user.created_at });
});

test('one address has one account, however it is written', async (t) => {
  const { app } = await build(t);
  const { email } = await signUp(app);
  for (const other of [email, email.toUpperCase(), ` ${email}`]) {
    const response = await post(app, '/signup', { ...newCredentials(), email: other });
    t.equal(response.statusCode, 409);
    t.equal(codeOf(response), 'email_taken');
    t.strictSame(response.cookies, []);
  }
});

test('sign-up says what is wrong with an address or a password', async (t) => {
  const { app } = await build(t);
  const { email, password } = newCredentials();
  const [localPart = ''] = email.split('@');
  const refused: [object, string][] = [
    [{ email: 'nobody', password }, '/email'],
    [{ email: 'a b@example.com', password }, '/email'],
    [{ email, password: 'x9_fGq2' }, '/password'],
    [{ email, password: 'x'.repeat(257) }, '/password'],
    [{ email, password: 'password1' }, '/password'],
    [{ email, password: localPart }, '/password'],
  ];
  for (const [payload, path] of refused) {
    const response = await post(app, '/signup', payload);
    t.equal(codeOf(response), 'validation_failed');
    const [error] = response.json().errors;
    t.equal(error.path, path);
    t.match(error.message, /^[A-Z].+\.$/);
  }
});

test('PASSWORD_MIN_LENGTH counts code points', async (t) => {
  const keys = (count: number) =>
    String.fromCodePoint(...Array.from({ length: count }, (_, at) => 0x1f511 + ((at * 7) % 31)));
  const { app } = await build(t, { PASSWORD_MIN_LENGTH: '15' });
  const short = await post(app, '/signup', { ...newCredentials(), password: keys(14) });
  t.equal(codeOf(short), 'validation_failed');
  const long = await post(app, '/signup', { ...newCredentials(), password: keys(15) });
  t.equal(long.statusCode, 201);
});

test('a password that is guessed first is refused, with the reason', async (t) => {
  const { app } = await build(t, { PUBLIC_URL: 'https://auth.club-one.example' });
  for (const [password, reason] of [
    ['987654321', /Too many people|sequence/],
    ['00000000', /Too many people|repeats/],
    [' '.repeat(8), /repeats/],
    ['club-one.example', /name of this service/],
    ['Doorward2026', /name of this service/],
    ['kor\u200bwanty', /invisible or control character \(U\+200B\)/],
  ] as const) {
    const response = await post(app, '/signup', { ...newCredentials(), password });
    t.equal(codeOf(response), 'validation_failed', password);
    t.match(response.json().errors, [{ path: '/password', message: reason }], password);
  }
});

test('sign-in answers the user and a cookie of its own', async (t) => {
  const { app } = await build(t);
  const { email, password, token, user } = await signUp(app);
  const response = await post(app, '/login', { email: email.toUpperCase(), password });
  t.equal(response.statusCode, 200);
  t.strictSame(response.json(), { user });
  t.not(cookieOf(response).value, token);
});

test('a password composed in another way on another keyboard is the same password', async (t) => {
  const { app } = await build(t);
  const { email, password } = newCredentials();
  await signUp(app, { email, password: `${password}\u00e9` });
  t.equal((await post(app, '/login', { email, password: `${password}e\u0301` })).statusCode, 200);
});

test('a wrong password, an unknown address and a banned user are answered with the same bytes', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  const [known, banned] = [await signUp(app), await signUp(app)];
  await runSql(place.DATABASE_URL, `update users set status = 'banned' where email = '${banned.email}'`);
  const responses = [
    await post(app, '/login', { email: known.email, password: `${known.password}x` }),
    await post(app, '/login', newCredentials()),
    await post(app, '/login', { email: banned.email, password: banned.password }),
  ];
  for (const response of responses) {
    t.equal(response.statusCode, 401);
    t.equal(codeOf(response), 'invalid_credentials');
    t.equal(response.body, responses[0]?.body);
    t.strictSame(response.cookies, []);
    t.strictSame(Object.keys(response.headers), Object.keys(responses[0]?.headers ?? {}));
  }
});

for (const route of ['/login', '/signup']) {
  test(`${route} ends the session of the cookie that was sent along`, async (t) => {
    const { app } = await build(t);
    const old = await signUp(app);
    const payload = route === '/login' ? { email: old.email, password: old.password } : newCredentials();
    const response = await post(app, route, payload, { cookie: old.cookie });
    t.notOk(await isAlive(app, old.token));
    t.ok(await isAlive(app, cookieOf(response).value));
  });

  test(`${route} does not mind a cookie that means nothing`, async (t) => {
    const { app } = await build(t);
    const { email, password } = await signUp(app);
    const payload = route === '/login' ? { email, password } : newCredentials();
    const response = await post(app, route, payload, { cookie: cookieHeader('nonsense') });
    t.ok(await isAlive(app, cookieOf(response).value));
  });
}

test('a sign-in that fails leaves the session of its cookie alone', async (t) => {
  const { app } = await build(t);
  const { email, cookie, token } = await signUp(app);
  const response = await post(app, '/login', { email, password: 'not the password' }, { cookie });
  t.equal(codeOf(response), 'invalid_credentials');
  t.ok(await isAlive(app, token));
});

test('a hash is made again at sign-in when the parameters have been raised', async (t) => {
  const place = await createPlace(t);
  const weak = await build(t, {}, place);
  const { email, password } = await signUp(weak.app);
  const strong = await build(t, { PASSWORD_HASH_ITERATIONS: '6' }, place);
  const hash = async () => {
    const [row] = await runSql<{ password_hash: string }>(place.DATABASE_URL, 'select * from users');
    return row?.password_hash ?? '';
  };

  t.match(await hash(), /,t=5,/);
  await post(strong.app, '/login', { email, password: 'not the password' });
  t.match(await hash(), /,t=5,/);
  t.equal((await post(strong.app, '/login', { email, password })).statusCode, 200);
  const raised = await hash();
  t.match(raised, /,t=6,/);
  t.equal((await post(weak.app, '/login', { email, password })).statusCode, 200);
  t.equal(await hash(), raised, 'and is not lowered again');
});

test('a sign-in goes well although the stronger hash cannot be stored', async (t) => {
  const place = await createPlace(t);
  const { email, password } = await signUp((await build(t, {}, place)).app);
  const { app, log } = await build(t, { PASSWORD_HASH_ITERATIONS: '6' }, place);
  await refuseUpdatesOf(place.DATABASE_URL, 'users');
  t.equal((await post(app, '/login', { email, password })).statusCode, 200);
  t.match(log(), /could not store a stronger password hash/);
});

test('/me is for those who are signed in', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  await refusesEverybody(t, app, [undefined, cookieHeader('x'), cookieHeader(`${'A'.repeat(42)}A`)]);

  const { cookie } = await signUp(app);
  t.equal((await app.inject({ url: '/me', headers: { cookie } })).statusCode, 200);
  await runSql(place.DATABASE_URL, 'delete from users');
  await refusesEverybody(t, app, [cookie]);
});

async function refusesEverybody(t: Test, app: App, cookies: (string | undefined)[]): Promise<void> {
  for (const cookie of cookies) {
    const response = await app.inject({ url: '/me', headers: cookie === undefined ? {} : { cookie } });
    t.equal(response.statusCode, 401);
    t.equal(codeOf(response), 'not_signed_in');
  }
}

async function refuseUpdatesOf(databaseUrl: string, table: string): Promise<void> {
  await runSql(
    databaseUrl,
    `create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
     create trigger refuse before update on ${table} for each row execute function refuse()`,
  );
}

test('a browser that has signed in before is not locked out by strangers, and no two users of it are', async (t) => {
  const { app } = await build(t);
  const [ada, bob] = [newCredentials(), newCredentials()];
  const jar = new Map<string, string>();
  const browse = async (url: string, payload: object) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await post(app, url, payload, { cookie });
    for (const { name, value } of response.cookies) jar.set(name, value);
    return response;
  };
  for (const user of [ada, bob]) t.equal((await browse('/signup', user)).statusCode, 201);
  for (const { email } of [ada, bob]) {
    const guesses = Array.from({ length: 11 }, () =>
      post(app, '/login', { email, password: 'a wrong guess' }),
    );
    const refused = (await Promise.all(guesses)).filter(({ statusCode }) => statusCode === 429);
    t.match(refused, [{ headers: { 'retry-after': /^(8\d\d|900)$/ } }]);
    t.equal(codeOf(refused[0] as (typeof refused)[number]), 'rate_limited');
  }
  for (const user of [ada, bob]) {
    t.equal((await post(app, '/login', user)).statusCode, 429, 'not even the right password');
    t.equal((await browse('/login', user)).statusCode, 200);
  }
});
