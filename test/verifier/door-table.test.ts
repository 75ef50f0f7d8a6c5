import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import express4 from 'express-4';
import Fastify from 'fastify';
import { type Test, test } from 'tap';
import type { Door, DoorKind } from '../../src/verifier/door-rules.ts';
import { createDoors, type Doors } from '../../src/verifier/doors.ts';
import { createDoorMiddleware } from '../../src/verifier/express.ts';
import { doorwardFastify, userOf } from '../../src/verifier/fastify.ts';
import { until } from '../support/gateway-program.ts';
import { type AuthServer, startAuthServer } from './support/auth-server.ts';
import { expectedDoorTable, fillDoorTable, formatDoorTable, type TokenCases } from './support/door-table.ts';
import { type Changes, createSigner } from './support/tokens.ts';

type StartService = (t: Test, auth: AuthServer) => Promise<string>;

/** Path -> door. */
const doors = {
  open: 'open',
  verified: 'verified',
  limited: { door: 'verified', maxRevocationLag: 60 },
  checked: 'checked',
  once: 'once',
} as const satisfies Record<string, Door>;

const nameOf = (request: object) => ({ sub: userOf(request)?.sub ?? 'nobody' });

function openDoors(t: Test, auth: AuthServer): Doors {
  const opened = createDoors(auth.doors);
  t.teardown(() => opened.close());
  return opened;
}

const startFastify: StartService = async (t, auth) => {
  const app = Fastify();
  t.teardown(() => app.close());
  await app.register(doorwardFastify, auth.doors);
  for (const [path, door] of Object.entries(doors))
    app.get(`/${path}`, { config: { door } }, async (request) => nameOf(request));
  return app.listen({ port: 0, host: '127.0.0.1' });
};

const startExpress: StartService = (t, auth) => {
  const app = express();
  const door = createDoorMiddleware(openDoors(t, auth));
  for (const [path, rule] of Object.entries(doors))
    app.get(`/${path}`, door(rule), (request, response) => void response.json(nameOf(request)));
  return listen(t, app);
};

/** The same lines: they must suit the types of Express 4, too. */
const startExpress4: StartService = (t, auth) => {
  const app = express4();
  const door = createDoorMiddleware(openDoors(t, auth));
  for (const [path, rule] of Object.entries(doors))
    app.get(`/${path}`, door(rule), (request, response) => void response.json(nameOf(request)));
  return listen(t, app);
};

const startNode: StartService = (t, auth) => {
  const door = createDoorMiddleware(openDoors(t, auth));
  const guards = new Map(Object.entries(doors).map(([path, rule]) => [`/${path}`, door(rule)]));
  return listen(t, (request, response) => {
    const pass = () => void response.end(JSON.stringify(nameOf(request)));
    void guards.get(request.url ?? '')?.(request, response, pass);
  });
};

async function listen(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function tokenCases(auth: AuthServer): Promise<TokenCases> {
  const stranger = await createSigner();
  const typOf = (door: DoorKind) => (door === 'once' ? 'one-time+jwt' : 'at+jwt');
  const mint =
    (claims: Changes = {}) =>
    (door: DoorKind) =>
      auth.mint(claims, { typ: typOf(door) });
  return {
    good: mint(),
    expired: mint({ exp: 1 }),
    'wrong audience': mint({ aud: 'payments' }),
    'wrong issuer': mint({ iss: 'https://elsewhere.example.com' }),
    'wrong typ': (door) => auth.mint({}, { typ: door === 'once' ? 'at+jwt' : 'one-time+jwt' }),
    revoked: async (door) => {
      const token = await mint()(door);
      auth.revoke(token);
      return token;
    },
    reused: mint(),
    forged: (door) => auth.mint({}, { typ: typOf(door), kid: auth.signer.kid }, stranger),
    'no token': async () => null,
  };
}

function askAt(url: string) {
  return async (door: string, token: string | null): Promise<string> => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(`${url}/${door}`, { headers });
    const { sub, code } = (await response.json()) as { sub?: string; code?: string };
    return `${response.status} ${sub ?? code}`;
  };
}

const services: [name: string, start: StartService][] = [
  ['Fastify', startFastify],
  ['Express 5', startExpress],
  ['Express 4', startExpress4],
  ['node:http', startNode],
];

for (const [name, start] of services) {
  test(`every door answers every token as it must, on ${name}`, async (t) => {
    const auth = await startAuthServer(t);
    const url = await start(t, auth);
    const table = await fillDoorTable(await tokenCases(auth), askAt(url));
    t.comment(`${name}\n${formatDoorTable(table)}`);
    t.strictSame(table, expectedDoorTable('user-1'));
  });

  test(`with the auth server gone, known keys serve and what cannot be known is 503, on ${name}`, async (t) => {
    const auth = await startAuthServer(t);
    const ask = askAt(await start(t, auth));
    t.equal(await ask('verified', await auth.mint()), '200 user-1');
    await auth.stop();
    t.equal(await ask('open', await auth.mint()), '200 user-1');
    t.equal(await ask('verified', await auth.mint()), '200 user-1');
    t.equal(await ask('checked', await auth.mint()), '503 introspection_unavailable');
    t.equal(await ask('once', await auth.mintOnce()), '503 introspection_unavailable');
    t.equal(await ask('checked', await auth.mint({ exp: 1 })), '401 token_expired');
  });

  test(`a token whose revocation was heard is refused, and nobody is asked, on ${name}`, async (t) => {
    const auth = await startAuthServer(t, { tellsRevocations: true });
    let skippedMs = 0;
    const verifier = { ...auth.doors.verifier, steadyNow: () => performance.now() + skippedMs };
    const ask = askAt(await start(t, { ...auth, doors: { ...auth.doors, verifier } }));
    const [good, revoked] = [await auth.mint(), await auth.mint()];
    const isFollowing = async () => {
      const before = auth.introspected.length;
      return (await ask('limited', good)) === '200 user-1' && auth.introspected.length === before;
    };
    await until(isFollowing, () => 'the revocations were never loaded');
    const asked = auth.introspected.length;
    auth.revoke(revoked);
    for (const door of ['verified', 'limited'])
      await until(
        async () => (await ask(door, revoked)) === '401 token_revoked',
        () => `${door}: the revocation was never heard`,
      );
    t.equal(await ask('open', revoked), '200 nobody');
    t.equal(await ask('limited', good), '200 user-1');
    t.equal(auth.introspected.length, asked);

    await auth.stop();
    skippedMs = 61_000;
    t.equal(await ask('limited', good), '503 introspection_unavailable');
    t.equal(await ask('verified', good), '200 user-1');
    for (const door of ['verified', 'limited']) t.equal(await ask(door, revoked), '401 token_revoked');
  });
}
