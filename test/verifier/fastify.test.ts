import jwt from '@fastify/jwt';
import Fastify, { type FastifyInstance, type FastifyRequest, type FastifyServerOptions } from 'fastify';
import { type Test, test } from 'tap';
import { type DoorwardFastifyOptions, doorwardFastify, userOf } from '../../src/verifier/fastify.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { breakVerification } from '../support/broken-crypto.ts';
import { until } from '../support/gateway-program.ts';
import { type AuthServer, startAuthServer } from './support/auth-server.ts';

/** A service with doors; `routes` are declared in their scope. */
async function build(
  t: Test,
  auth: AuthServer,
  routes: (app: FastifyInstance) => void,
  options: Partial<DoorwardFastifyOptions> = {},
  serverOptions: FastifyServerOptions = {},
): Promise<FastifyInstance> {
  const app = Fastify(serverOptions);
  t.teardown(() => app.close());
  await app.register(doorwardFastify, { ...auth.doors, ...options });
  routes(app);
  await app.ready();
  return app;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const whoami = async (request: object) => ({ sub: userOf(request)?.sub ?? null });

test('guards routes by their own doors, and those without one by the default', async (t) => {
  const auth = await startAuthServer(t);
  const app = await build(t, auth, (service) => {
    service.get('/', { config: { door: 'open' } }, whoami);
    service.get('/cart', whoami);
    service.get('/admin', { config: { door: { door: 'verified', scope: 'admin' } } }, whoami);
  });
  const headers = bearer(await auth.mint());
  t.strictSame((await app.inject({ url: '/' })).json(), { sub: null });
  t.strictSame((await app.inject({ url: '/', headers })).json(), { sub: 'user-1' });
  const refused = await app.inject({ url: '/cart' });
  t.equal(refused.statusCode, 401);
  t.equal(refused.headers['www-authenticate'], 'Bearer realm="api"');
  t.equal(refused.headers['content-type'], 'application/problem+json; charset=utf-8');
  t.equal(refused.headers['cache-control'], 'no-store');
  t.match(refused.json(), { code: 'token_missing', status: 401 });
  t.strictSame((await app.inject({ url: '/cart', headers })).json(), { sub: 'user-1' });
  t.equal((await app.inject({ url: '/admin', headers })).statusCode, 403);
});

test('the default may be another door, and doors of scopes go with them', async (t) => {
  const auth = await startAuthServer(t);
  const app = await build(
    t,
    auth,
    (service) => {
      service.get('/', whoami);
      service.register(async (scope) => {
        scope.get('/inner', { config: { door: 'verified' } }, whoami);
      });
    },
    { default: 'open' },
  );
  t.equal((await app.inject({ url: '/' })).statusCode, 200);
  t.equal((await app.inject({ url: '/inner' })).statusCode, 401);

  const outer = Fastify();
  t.teardown(() => outer.close());
  outer.register(async (scope) => {
    await scope.register(doorwardFastify, auth.doors);
    scope.get('/guarded', whoami);
  });
  outer.get('/free', async (request) => ({ user: userOf(request) }));
  t.equal((await outer.inject({ url: '/guarded' })).statusCode, 401);
  t.strictSame((await outer.inject({ url: '/free' })).json(), { user: null });
});

test('HEAD goes through the door of GET, and what is not there stays 404', async (t) => {
  const auth = await startAuthServer(t);
  const app = await build(t, auth, (service) => {
    service.get('/cart', { config: { door: 'checked' } }, whoami);
    service.get('/broken', async () => Promise.reject(new Error('a bug of the handler')));
  });
  const headers = bearer(await auth.mint());
  t.equal((await app.inject({ method: 'HEAD', url: '/cart' })).statusCode, 401);
  t.equal((await app.inject({ method: 'HEAD', url: '/cart', headers })).statusCode, 200);
  t.equal(auth.introspected.length, 1, 'asked once');
  t.equal((await app.inject({ url: '/nowhere' })).statusCode, 404);
  t.equal((await app.inject({ method: 'POST', url: '/cart' })).statusCode, 404);
  t.equal((await app.inject({ url: '/broken' })).statusCode, 401);
});

test('a bad token is refused before the body is read', async (t) => {
  const auth = await startAuthServer(t);
  const app = await build(t, auth, (service) => {
    service.post('/buy', { config: { door: { door: 'once', matchEmail: true } } }, whoami);
  });
  const malformed = { method: 'POST', url: '/buy', payload: '{' } as const;
  const type = { 'content-type': 'application/json' };
  t.equal((await app.inject({ ...malformed, headers: type })).statusCode, 401);
  const headers = { ...type, ...bearer(await auth.mintOnce()) };
  t.equal((await app.inject({ ...malformed, headers })).statusCode, 400);
});

test('a body that is refused redeems nothing, and neither does a foreign address', async (t) => {
  const auth = await startAuthServer(t);
  const schema = { body: { type: 'object', required: ['item'], properties: { item: { type: 'string' } } } };
  const app = await build(t, auth, (service) => {
    service.post('/buy', { schema, config: { door: { door: 'once', matchEmail: true } } }, whoami);
  });
  const token = await auth.mintOnce();
  const buy = (payload: object) =>
    app.inject({ method: 'POST', url: '/buy', payload, headers: bearer(token) });
  t.equal((await buy({ email: 'ada@example.com' })).statusCode, 400);
  t.equal((await buy({ email: 'eve@example.com', item: 'book' })).statusCode, 403);
  t.equal(auth.introspected.length, 0);
  t.equal((await buy({ email: 'ada@example.com', item: 'book' })).statusCode, 200);
  t.equal((await buy({ email: 'ada@example.com', item: 'book' })).statusCode, 401, 'spent');
});

test('a repeated request passes a once door again where it may, under its own key', async (t) => {
  const auth = await startAuthServer(t);
  const app = await build(t, auth, (service) => {
    service.post('/buy', { config: { door: { door: 'once', repeatable: true } } }, whoami);
    service.post('/strict', { config: { door: 'once' } }, whoami);
  });
  const headers = bearer(await auth.mintOnce());
  const strict = bearer(await auth.mintOnce());
  const buy = (key: string, url = '/buy', token = headers) =>
    app.inject({ method: 'POST', url, headers: { ...token, 'idempotency-key': key } });
  t.equal((await buy('order-1', '/strict', strict)).statusCode, 200);
  t.equal((await buy('order-1', '/strict', strict)).statusCode, 401);
  t.equal((await buy('order-1')).statusCode, 200);
  t.equal((await buy('order-1')).statusCode, 200);
  t.equal((await buy('order-2')).statusCode, 401);
});

test('hooks of the service see no user before the door has been passed', async (t) => {
  const auth = await startAuthServer(t);
  const seen: unknown[] = [];
  const app = await build(t, auth, (service) => {
    service.addHook('preValidation', async (request) => void seen.push(userOf(request)?.sub ?? null));
    service.post('/once', { config: { door: 'once' } }, whoami);
    service.post('/verified', { config: { door: 'verified' } }, whoami);
  });
  await app.inject({ method: 'POST', url: '/once', headers: bearer(await auth.mintOnce()) });
  await app.inject({ method: 'POST', url: '/verified', headers: bearer(await auth.mint()) });
  t.strictSame(seen, [null, 'user-1']);
});

test('a door that makes no sense stops the start', async (t) => {
  const auth = await startAuthServer(t);
  const verifier = auth.doors.verifier;
  const build = async (options: DoorwardFastifyOptions, door: unknown) => {
    const app = Fastify();
    t.teardown(() => app.close());
    await app.register(doorwardFastify, options);
    app.get('/', { config: { door: door as 'open' } }, whoami);
    await app.ready();
  };
  await t.rejects(build(auth.doors, 'closed'), TypeError);
  await t.rejects(build({ verifier }, 'checked'), /needs introspection/);
  await t.rejects(build({ verifier: { ...verifier, leewaySeconds: 61 } }, 'open'), TypeError);
  await t.rejects(build({ verifier, default: 'once' }, undefined), /needs introspection/);
});

test('with checkAtStart, does not start with a wrong setup', async (t) => {
  const auth = await startAuthServer(t);
  const routes = () => {};
  await build(t, auth, routes, { checkAtStart: true });
  const introspection = { clientId: 'shop', clientSecret: 'wrong' };
  await t.rejects(build(t, auth, routes, { introspection, checkAtStart: true }), {
    name: 'SetupError',
    problems: [/^The auth server refuses the client shop or its credentials \(401\): /],
  });
  await build(t, auth, routes, { introspection });
});

test('a start that its check refuses leaves no feed open, which would keep the process alive', async (t) => {
  const auth = await startAuthServer(t, { tellsRevocations: true });
  const app = Fastify();
  t.teardown(() => app.close());
  const introspection = { clientId: 'shop', clientSecret: 'wrong' };
  await app.register(doorwardFastify, { ...auth.doors, introspection, checkAtStart: true });
  const isThere = (count: number) => () => auth.countStreams() === count;
  const complaint = () => `${auth.countStreams()} streams`;
  await until(isThere(1), complaint);
  await t.rejects(async () => app.ready(), { name: 'SetupError' });
  await until(isThere(0), complaint);
});

test('closing the app ends the feed of a verifier that it made, and of no other', async (t) => {
  const auth = await startAuthServer(t, { tellsRevocations: true });
  const verifier = createVerifier(auth.doors.verifier);
  t.teardown(() => verifier.close());
  const isThere = (count: number) => () => auth.countStreams() === count;
  const complaint = () => `${auth.countStreams()} streams`;
  await until(isThere(1), complaint);
  const apps = [await build(t, auth, () => {}), await build(t, auth, () => {}, { verifier })];
  await until(isThere(2), complaint);
  await Promise.all(apps.map((app) => app.close()));
  await until(isThere(1), complaint);
  await verifier.close();
  await until(isThere(0), complaint);
});

test('is registered once in a scope, and beside another user decorator', async (t) => {
  const auth = await startAuthServer(t);
  const app = Fastify();
  t.teardown(() => app.close());
  app.decorateRequest('user' as string, null);
  await app.register(doorwardFastify, auth.doors);
  app.get('/', whoami);
  t.strictSame((await app.inject({ url: '/', headers: bearer(await auth.mint()) })).json(), {
    sub: 'user-1',
  });

  const twice = Fastify();
  t.teardown(() => twice.close().catch(() => {}));
  await twice.register(doorwardFastify, auth.doors);
  await t.rejects(async () => twice.register(doorwardFastify, auth.doors), /already/);
});

for (const isFirst of [true, false]) {
  test(`@fastify/jwt, registered ${isFirst ? 'before' : 'after'} it, goes on with its own routes`, async (t) => {
    const auth = await startAuthServer(t);
    const app = Fastify();
    t.teardown(() => app.close());
    if (isFirst) await app.register(jwt, { secret: 'of the service' });
    await app.register(doorwardFastify, auth.doors);
    if (!isFirst) await app.register(jwt, { secret: 'of the service' });
    app.get('/ours', whoami);
    const verify = async (request: FastifyRequest) => void (await request.jwtVerify());
    app.get('/theirs', { config: { door: 'open' }, preHandler: verify }, async ({ user }) => user);
    const [ours, theirs] = [await auth.mint(), app.jwt.sign({ sub: 'own-1', iat: 1 })];
    const ask = async (url: string, token: string) => {
      const { statusCode, json } = await app.inject({ url, headers: bearer(token) });
      return statusCode === 200 ? json() : statusCode;
    };
    t.strictSame(await ask('/ours', ours), { sub: 'user-1' });
    t.strictSame(await ask('/theirs', theirs), { sub: 'own-1', iat: 1 });
    t.equal(await ask('/ours', theirs), 401);
    t.type(await ask('/theirs', ours), 'number', 'refused by @fastify/jwt');
  });
}

test('at an open door without a good token there is no user, whoever set one before', async (t) => {
  const auth = await startAuthServer(t);
  const app = Fastify();
  t.teardown(() => app.close());
  app.addHook('onRequest', async (request: { user?: unknown }) => {
    request.user = { sub: 'of another plugin' };
  });
  await app.register(doorwardFastify, auth.doors);
  app.get('/', { config: { door: 'open' } }, async ({ user }) => ({ user }));
  t.strictSame((await app.inject({ url: '/' })).json(), { user: null });
});

test('what is unexpected is an error of the service: 500, and its error handler sees it', async (t) => {
  const auth = await startAuthServer(t);
  const handled: unknown[] = [];
  const app = await build(t, auth, (service) => {
    service.setErrorHandler((error, _request, reply) => {
      handled.push(error);
      return reply.code(500).send();
    });
    for (const door of ['open', 'verified', 'checked', 'once'] as const)
      service.get(`/${door}`, { config: { door } }, whoami);
  });
  const tokens = { open: await auth.mint(), verified: await auth.mint(), checked: await auth.mint() };
  const failure = new DOMException('the provider is gone', 'OperationError');
  breakVerification(t, failure);
  for (const [door, token] of Object.entries({ ...tokens, once: await auth.mintOnce() }))
    t.equal((await app.inject({ url: `/${door}`, headers: bearer(token) })).statusCode, 500, door);
  t.strictSame(handled, Array(4).fill(failure));
  t.equal(auth.introspected.length, 0, 'nothing is redeemed');
});
