import type { ChildLoggerOptions, Level, Logger } from 'pino';
import { type Test, test } from 'tap';
import { createLogger, createRequestLogger } from '../../src/http/logging.ts';
import {
  build,
  buildEmbedded,
  cookieHeader,
  cookieOf,
  createPlace,
  createWire,
  newCredentials,
  runSql,
  type TestApp,
} from '../helper.ts';

type App = TestApp['app'];

/** The lines that `write` logs, parsed. */
function logged(level: string, write: (logger: ReturnType<typeof createLogger>) => void) {
  const lines: string[] = [];
  write(createLogger(level, false, { write: (line) => void lines.push(line) }));
  return lines.map((line) => JSON.parse(line));
}

const parsed = (log: string) =>
  log
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Checks that no part of a secret is there which would be long enough to be useful. */
function holdsNoPartOf(t: Test, secrets: string[], text: string): void {
  const found = secrets.filter((secret) => {
    const parts = Array.from({ length: secret.length - 11 }, (_, at) => secret.slice(at, at + 12));
    return parts.some((part) => text.includes(part));
  });
  t.equal(found.length, 0);
}

/** Does everything a user can do. Returns the secrets used, and all bodies except the one that holds the token. */
async function useEverything(app: App) {
  const { email, password } = newCredentials();
  const wrong = newCredentials().password;
  const bodies: string[] = [];
  const call = async (method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object, cookie = '') => {
    const headers = { cookie, authorization: `Bearer ${wrong}` };
    const response = await app.inject({ method, url, headers, ...(payload && { payload }) });
    if (!response.body.includes('access_token')) bodies.push(response.body);
    return response;
  };
  await call('POST', '/signup', { email, password: password.slice(0, 5) });
  const signedUp = cookieOf(await call('POST', '/signup', { email, password })).value;
  await call('POST', '/signup', { email, password });
  await call('POST', '/login', { email, password: wrong });
  const signedIn = cookieOf(await call('POST', '/login', { email, password }, cookieHeader(signedUp))).value;
  const cookie = cookieHeader(signedIn);
  const accessToken: string = (await call('POST', '/token', {}, cookie)).json().access_token;
  for (const url of ['/me', '/sessions', `/${password}?a=${password}`, `/${password}%zz`]) {
    await call('GET', url, undefined, cookie);
  }
  const headers = { 'content-type': 'application/json' };
  const payload = `{"email":"${email}","password":"${password}"`;
  bodies.push((await app.inject({ method: 'POST', url: '/login', payload, headers })).body);
  await call('POST', '/token', { password }, cookie);
  await call('POST', '/token', { audience: password }, cookie);
  await call('POST', '/token', {}, `${cookie}; ${cookie}`);
  await call('DELETE', `/sessions/${signedIn}`, undefined, cookie);
  await call('POST', '/logout', undefined, cookie);
  return { email, cookie, secrets: [password, wrong, signedUp, signedIn, accessToken], bodies };
}

const LEVELS: Level[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/** A request's logger, what it wrote, and how many loggers pino made for it. */
function makeRequestLogger(parentLevel: string, options: ChildLoggerOptions = {}) {
  const written: string[] = [];
  const parent = createLogger(parentLevel, false, { write: (line) => void written.push(line) }) as Logger;
  const made: unknown[] = [];
  parent.onChild = (child) => void made.push(child);
  const logger = createRequestLogger(parent, { reqId: 'r1' }, options);
  return { logger, made, lines: () => written.map((line) => JSON.parse(line)) };
}

test('a log at its most talkative holds no secret, nor does an answer', async (t) => {
  const place = await createPlace(t);
  const { app, log } = await build(t, {}, place);
  const { secrets, bodies } = await useEverything(app);
  const [user] = await runSql<{ password_hash: string }>(place.DATABASE_URL, 'select * from users');
  const hash = user?.password_hash.split('$').at(-1) ?? '';
  t.equal(hash.length, 43);
  const hidden = [...secrets, hash, place.KEY_ENCRYPTION_KEY];
  t.ok(parsed(log()).length >= 10);
  holdsNoPartOf(t, hidden, log());
  holdsNoPartOf(t, hidden, bodies.join('\n'));
});

test('neither does the log of a database that refuses and of one that is gone', async (t) => {
  const place = await createPlace(t);
  const wire = await createWire(t, place.DATABASE_URL);
  const { app, log } = await build(t, { DATABASE_URL: wire.url }, place);
  const { secrets, cookie } = await useEverything(app);
  const [user] = await runSql<{ password_hash: string }>(place.DATABASE_URL, 'select * from users');
  const hash = user?.password_hash.split('$').at(-1) ?? '';
  await runSql(
    place.DATABASE_URL,
    `alter table users add constraint none check (password_hash = '') not valid;
     alter table sessions drop column user_agent`,
  );
  const newUser = newCredentials();
  const bodies: string[] = [];
  const tryAll = async () => {
    for (const url of ['/signup', '/login', '/token', '/logout']) {
      const payload = ['/signup', '/login'].includes(url) ? newUser : undefined;
      const headers = { cookie: cookieHeader(Buffer.alloc(32, 1).toString('base64url')) };
      bodies.push((await app.inject({ method: 'POST', url, headers, ...(payload && { payload }) })).body);
    }
    bodies.push((await app.inject({ url: '/sessions', headers: { cookie } })).body);
  };
  await tryAll();
  wire.cut();
  await tryAll();
  const text = log() + bodies.join('\n');
  t.match(text, /SQLSTATE 23514 \(none\)/);
  t.match(text, /internal_error/);
  t.match(text, /"code":"unavailable"/);
  holdsNoPartOf(t, [...secrets, hash, newUser.password, place.KEY_ENCRYPTION_KEY], text);
  t.notMatch(text, /argon2id|insert into|select "/i);
});

test('one line a request says what came of it, under the id that the client was told', async (t) => {
  const { app, log } = await build(t);
  const response = await app.inject({ url: '/me?secret=1', remoteAddress: '192.0.2.1' });
  const [line, ...others] = parsed(log());
  t.strictSame(others, []);
  t.match(line, {
    level: 30,
    msg: 'answered',
    reqId: response.headers['x-request-id'],
    req: { method: 'GET', route: '/me', ip: '192.0.2.1' },
    statusCode: 401,
  });
  t.type(line.ms, 'number');
});

test('a client cannot choose the request id', async (t) => {
  const { app, log } = await build(t);
  const response = await app.inject({
    url: '/me',
    headers: { 'x-request-id': 'mine', 'request-id': 'mine' },
  });
  t.match(response.headers['x-request-id'], /^[\da-f-]{36}$/);
  t.notMatch(log(), /mine/);
});

test('a proxy that is trusted chooses the request id, if it is well-formed', async (t) => {
  const { app, log } = await buildEmbedded(t, { TRUSTED_PROXIES: '10.0.0.0/8,::1' });
  const idOf = async (id: string | string[], remoteAddress: string, url = '/me') => {
    const { headers } = await app.inject({ url, remoteAddress, headers: { 'x-request-id': id } });
    return headers['x-request-id'];
  };
  const id = `1-${'Aa09_.~+/=:'.repeat(3)}`;
  for (const peer of ['10.1.2.3', '::ffff:10.1.2.3', '0:0::1']) t.equal(await idOf(id, peer), id, peer);
  t.equal(await idOf(id, '10.1.2.3', '/%zz'), id, 'of a request without a route too');
  t.equal(parsed(log()).filter(({ reqId }) => reqId === id).length, 4);
  for (const peer of ['11.1.2.3', '::2', '192.0.2.1']) t.match(await idOf(id, peer), /^[\da-f-]{36}$/, peer);
  for (const bad of ['', ' ', 'a b', 'a"b', 'a,b', 'ä', 'a\\n', 'x'.repeat(129), ['a', 'b']])
    t.match(await idOf(bad, '10.1.2.3'), /^[\da-f-]{36}$/);
});

test('each request leaves one line, whatever comes of it', async (t) => {
  const { app, log } = await buildEmbedded(t, { LOG_LEVEL: 'info' });
  const long = 'a'.repeat(300);
  for (const [method, url, status] of [
    ['GET', '/me', 401],
    ['HEAD', '/me', 401],
    ['OPTIONS', '/me', 204],
    ['POST', '/login', 400],
    ['DELETE', `/sessions/${long}`, 414],
    ['GET', '/%zz', 400],
    ['POST', '/forward-auth/%zz', 400],
  ] as const) {
    const before = log().length;
    t.equal((await app.inject({ method, url })).statusCode, status, url);
    const lines = parsed(log().slice(before));
    t.match(lines, [{ msg: 'answered', req: { method }, statusCode: status }], url);
    t.equal(lines.length, 1, url);
  }
});

test('a request to nowhere is logged without its path', async (t) => {
  const { app, log } = await build(t);
  await app.inject('/my-password');
  t.match(parsed(log()), [{ req: { method: 'GET', route: null }, statusCode: 404 }]);
  t.notMatch(log(), /my-password/);
});

test('a failure of ours is an error in the log, with its cause', async (t) => {
  const place = await createPlace(t);
  const { app, log } = await build(t, { LOG_LEVEL: 'error' }, place);
  await runSql(place.DATABASE_URL, 'drop table users cascade');
  await app.inject('/me');
  t.equal(log(), '');
  await app.inject({ method: 'POST', url: '/login', payload: newCredentials() });
  t.match(parsed(log()), [
    {
      level: 50,
      msg: 'request failed',
      req: { method: 'POST', route: '/login' },
      statusCode: 500,
      code: 'internal_error',
      err: { type: 'Error', message: /42P01/ },
    },
  ]);
});

test('a minted token leaves no line above debug level', async (t) => {
  const { app, log } = await build(t, { LOG_LEVEL: 'info' });
  const cookie = cookieHeader(
    cookieOf(await app.inject({ method: 'POST', url: '/signup', payload: newCredentials() })).value,
  );
  const before = log();
  t.equal((await app.inject({ method: 'POST', url: '/token', headers: { cookie } })).statusCode, 200);
  t.equal(log(), before);
});

test('at level debug each request leaves a line, a minted token and a probe too', async (t) => {
  const { app, log } = await buildEmbedded(t, { LOG_LEVEL: 'debug' });
  const signedUp = await app.inject({ method: 'POST', url: '/signup', payload: newCredentials() });
  const cookie = cookieHeader(cookieOf(signedUp).value);
  for (const [method, url, statusCode] of [
    ['POST', '/token', 200],
    ['GET', '/health/live', 200],
    ['GET', '/.well-known/jwks.json', 200],
    ['GET', '/forward-auth', 200],
    ['POST', '/oauth/introspect', 400],
  ] as const) {
    const before = log().length;
    await app.inject({ method, url, headers: { cookie } });
    const lines = parsed(log().slice(before)).filter(({ msg }) => msg === 'answered');
    t.match(lines, [{ level: 20, req: { route: url }, statusCode }]);
    t.equal(lines.length, 1, url);
  }
});

test('fields with the names of secrets are never written', async (t) => {
  const secret = crypto.randomUUID();
  const names = [
    'password',
    'cookie',
    'authorization',
    'set-cookie',
    'access_token',
    'generateToken',
    'token',
  ];
  const fields = Object.fromEntries(names.map((name) => [name, secret]));
  const lines = logged('info', (logger) => {
    logger.info(fields);
    logger.info({ body: fields });
    logger.info({ request: { headers: fields } });
  });
  t.equal(lines.length, 3);
  t.notMatch(JSON.stringify(lines), new RegExp(secret));
  t.match(lines[2].request.headers, { cookie: '[redacted]' });
});

test('an error is logged with its causes and without what a driver hangs on it', async (t) => {
  const cause = Object.assign(new Error('inner'), { code: '23505', query: 'secret', parameters: ['secret'] });
  const error = Object.assign(new TypeError('outer', { cause }), { detail: 'secret', code: 5 });
  const [line, text] = logged('warn', (logger) => {
    logger.warn({ err: error }, 'trouble');
    logger.warn({ err: 'just text' }, 'trouble');
    logger.info('too little to be told');
  });
  t.match(line.err, { type: 'TypeError', message: 'outer', cause: { message: 'inner', code: '23505' } });
  t.strictSame(Object.keys(line.err), ['type', 'message', 'stack', 'cause']);
  t.notMatch(JSON.stringify(line), /secret/);
  t.strictSame(text.err, { message: 'just text' });
});

test('a silent log is silent', async (t) => {
  t.strictSame(
    logged('silent', (logger) => logger.fatal('the end')),
    [],
  );
});

test("a request's logger is made with its first line, and once", (t) => {
  const { logger, made, lines } = makeRequestLogger('trace');
  t.equal(logger.level, 'trace');
  t.equal(made.length, 0);
  for (const level of LEVELS) {
    logger[level]({ at: level }, 'said %s', 'so');
    t.equal(made.length, 1, level);
  }
  t.match(
    lines(),
    LEVELS.map((at, index) => ({ level: 10 * (index + 1), at, reqId: 'r1', msg: 'said so' })),
  );
  t.equal(lines().length, LEVELS.length);
  t.end();
});

test('a line below the level costs no logger, one of that level is written', (t) => {
  for (const [threshold, level] of LEVELS.entries()) {
    const { logger, made, lines } = makeRequestLogger(level);
    for (const lower of LEVELS.slice(0, threshold)) logger[lower]('too little to be told');
    t.strictSame([made.length, lines()], [0, []], level);
    logger[level]('told');
    t.match([made.length, lines()], [1, [{ msg: 'told' }]], level);
  }
  t.end();
});

test("a route's level stands in place of the server's, be it higher or lower", (t) => {
  const quiet = makeRequestLogger('info', { level: 'warn' });
  t.equal(quiet.logger.level, 'warn');
  quiet.logger.info('not told');
  t.equal(quiet.made.length, 0);
  quiet.logger.warn('told');
  t.match(quiet.lines(), [{ level: 40, msg: 'told' }]);
  t.equal(quiet.lines().length, 1);

  const talkative = makeRequestLogger('warn', { level: 'debug' });
  talkative.logger.trace('not told');
  talkative.logger.debug('told');
  t.match(talkative.lines(), [{ level: 20, msg: 'told' }]);
  t.equal(talkative.lines().length, 1);
  t.end();
});

test('a request of a silent server, and of a silent route, writes nothing', (t) => {
  for (const [level, options] of [
    ['silent', {}],
    ['trace', { level: 'silent' }],
  ] as const) {
    const { logger, made, lines } = makeRequestLogger(level, options);
    for (const each of LEVELS) logger[each]('the end');
    t.strictSame([made.length, lines()], [0, []]);
  }
  const { logger, made, lines } = makeRequestLogger('trace');
  logger.silent('nothing');
  t.strictSame([made.length, lines()], [0, []]);
  t.end();
});

test("a child of a request's logger writes the request's fields and its own", (t) => {
  const { logger, lines } = makeRequestLogger('info');
  logger.child({ part: 'a' }).info('one');
  logger.child({ part: 'b' }, { level: 'error' }).warn('too little to be told');
  logger.info('two');
  const [one, two, ...others] = lines();
  t.match(one, { reqId: 'r1', part: 'a', msg: 'one' });
  t.match(two, { reqId: 'r1', msg: 'two' });
  t.notOk('part' in two);
  t.strictSame(others, []);
  t.end();
});

test('what a request logs has its secrets taken out and its errors cut, as all lines have', (t) => {
  const { logger, lines } = makeRequestLogger('info');
  const error = Object.assign(new Error('trouble'), { detail: 'secret' });
  logger.info({ password: 'secret', body: { token: 'secret' }, err: error });
  t.match(lines(), [{ password: '[redacted]', body: { token: '[redacted]' }, err: { message: 'trouble' } }]);
  t.notMatch(JSON.stringify(lines()), /secret/);
  t.end();
});
