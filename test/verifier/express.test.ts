import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import express, { type ErrorRequestHandler } from 'express';
import express4 from 'express-4';
import { type Test, test } from 'tap';
import type { Door } from '../../src/verifier/door-rules.ts';
import { createDoors } from '../../src/verifier/doors.ts';
import { createDoorMiddleware } from '../../src/verifier/express.ts';
import { breakVerification } from '../support/broken-crypto.ts';
import { type AuthServer, startAuthServer } from './support/auth-server.ts';

type Answer = { status: number | undefined; headers: NodeJS.Dict<string | string[]>; body: unknown };

type MakeApp = typeof express;

/** What peerDependencies of the package allow. The types of the two differ, but not in what is used here. */
const frameworks: [name: string, makeApp: MakeApp][] = [
  ['Express 4', express4 as unknown as MakeApp],
  ['Express 5', express],
];

/** A service whose `POST /` has this door. */
async function start(t: Test, { auth, door, makeApp }: { auth: AuthServer; door: Door; makeApp: MakeApp }) {
  const app = makeApp();
  const guard = createDoorMiddleware(createDoors(auth.doors));
  app.post('/', makeApp.json(), guard(door), (request, response) => {
    response.json({ user: (request as { user?: unknown }).user });
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  /** Not with `fetch`, which would join two headers of one name. */
  return async (headers: Record<string, string | string[]>, body: object = {}): Promise<Answer> => {
    const type = { 'content-type': 'application/json' };
    const request = httpRequest({
      port,
      host: '127.0.0.1',
      method: 'POST',
      headers: { ...type, ...headers },
    });
    const responded = once(request, 'response');
    request.end(JSON.stringify(body));
    const [response] = await responded;
    return { status: response.statusCode, headers: response.headers, body: await json(response) };
  };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

for (const [name, makeApp] of frameworks) {
  test(`${name}: who passes is in request.user`, async (t) => {
    const auth = await startAuthServer(t);
    const post = await start(t, { auth, door: 'verified', makeApp });
    t.match(await post(bearer(await auth.mint())), { status: 200, body: { user: { sub: 'user-1' } } });
    const open = await start(t, { auth, door: 'open', makeApp });
    t.strictSame((await open({})).body, { user: null });
  });

  test(`${name}: who does not is answered with challenge and problem`, async (t) => {
    const auth = await startAuthServer(t);
    const post = await start(t, { auth, door: { door: 'verified', scope: 'admin' }, makeApp });
    const { status, headers, body } = await post(bearer(await auth.mint()));
    t.equal(status, 403);
    t.match(headers['www-authenticate'], /error="insufficient_scope".* scope="admin"$/);
    t.equal(headers['cache-control'], 'no-store');
    t.equal(headers['content-type'], 'application/problem+json; charset=utf-8');
    t.match(body, { status: 403, code: 'scope_insufficient' });
  });

  test(`${name}: what is unexpected is for the error handler of the service`, async (t) => {
    const auth = await startAuthServer(t);
    const app = makeApp();
    const guard = createDoorMiddleware(createDoors(auth.doors));
    const handled: unknown[] = [];
    app.get('/', guard('verified'), (_request, response) => void response.end());
    app.use(((error, _request, response, _next) => {
      handled.push(error);
      response.status(500).end();
    }) as ErrorRequestHandler);
    const server = createServer(app).listen(0, '127.0.0.1');
    t.teardown(() => server.close());
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const headers = bearer(await auth.mint());
    t.equal((await fetch(url, { headers })).status, 200);
    const failure = new DOMException('the provider is gone', 'OperationError');
    breakVerification(t, failure);
    t.equal((await fetch(url, { headers })).status, 500);
    t.strictSame(handled, [failure]);
  });

  test(`${name}: two Authorization headers are refused, even if the first is good`, async (t) => {
    const auth = await startAuthServer(t);
    const post = await start(t, { auth, door: 'verified', makeApp });
    const { authorization } = bearer(await auth.mint());
    const answer = await post({ authorization: [authorization, authorization] });
    t.match(answer, { status: 400, body: { code: 'authorization_malformed' } });
  });

  test(`${name}: a purchase needs the address of the token, and passes again under its own key alone`, async (t) => {
    const auth = await startAuthServer(t);
    const post = await start(t, {
      auth,
      door: { door: 'once', matchEmail: true, repeatable: true },
      makeApp,
    });
    const headers = bearer(await auth.mintOnce());
    const keyed = { ...headers, 'idempotency-key': 'order-1' };
    t.match(await post(keyed, { email: 'eve@example.com' }), {
      status: 403,
      body: { code: 'email_mismatch' },
    });
    t.equal(auth.introspected.length, 0);
    t.match(await post(keyed, { email: 'ada@example.com' }), { status: 200 });
    t.match(await post(keyed, { email: 'ada@example.com' }), { status: 200 });
    t.match(await post(headers, { email: 'ada@example.com' }), { status: 401 });
  });
}

test('leaves alone what has been answered meanwhile', async (t) => {
  const { doors } = await startAuthServer(t);
  const written: unknown[] = [];
  const write = (...args: unknown[]) => void written.push(args);
  const response = (headersSent: boolean) => ({ headersSent, writeHead: write, end: write });
  const guard = createDoorMiddleware(createDoors(doors))('verified');
  await guard({ rawHeaders: [] }, response(true), () => t.fail('passed'));
  t.strictSame(written, []);
  await guard({ rawHeaders: [] }, response(false), () => t.fail('passed'));
  t.equal(written.length, 2);
});

test('a `next` that would take an error for a pass is not called: the promise rejects', async (t) => {
  const auth = await startAuthServer(t);
  const guard = createDoorMiddleware(createDoors(auth.doors))('verified');
  const request = { rawHeaders: ['authorization', `Bearer ${await auth.mint()}`] };
  const response = { headersSent: false, writeHead: () => t.fail('answered'), end: () => t.fail('answered') };
  const failure = new DOMException('the provider is gone', 'OperationError');
  breakVerification(t, failure);
  const passed = guard(request, response, () => t.fail('passed'));
  t.equal(await passed.catch((error: unknown) => error), failure);
});

test('a door that makes no sense is refused when it is declared', async (t) => {
  const { doors } = await startAuthServer(t);
  const door = createDoorMiddleware(createDoors({ verifier: doors.verifier }));
  t.throws(() => door('checked'), TypeError);
  t.throws(() => door('closed' as Door), TypeError);
});
