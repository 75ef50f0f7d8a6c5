import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { decodeJwt } from 'jose';
import type { IntrospectionOptions } from '../../../src/verifier/introspection.ts';
import { createRunningFeed } from './running-feed.ts';
import { type Changes, createSigner, onceAtShop, type Signer } from './tokens.ts';

type Teardown = { teardown(undo: () => unknown): void };

export type AuthServer = Awaited<ReturnType<typeof startAuthServer>>;

/**
 * The part of an auth server that resource services call, on a real socket.
 * @param options.tellsRevocations whether it has a feed of them
 */
export async function startAuthServer(t: Teardown, { tellsRevocations = false } = {}) {
  const signer = await createSigner();
  const credentials: IntrospectionOptions = { clientId: 'shop', clientSecret: crypto.randomUUID() };
  const revoked = new Set<unknown>();
  /** jti -> the key of the request that redeemed it. */
  const spent = new Map<unknown, unknown>();
  const feed = createRunningFeed();
  const introspected: { token: string; idempotencyKey: string | undefined }[] = [];

  const server = createServer(async (request, response) => {
    if (request.url === '/.well-known/oauth-authorization-server')
      return reply(response, {
        issuer: url,
        jwks_uri: `${url}/.well-known/jwks.json`,
        ...(tellsRevocations && { revocations_uri: `${url}/revocations` }),
      });
    if (tellsRevocations && request.url?.startsWith('/revocations')) return feed.answer(response);
    if (request.url === '/.well-known/jwks.json') return reply(response, { keys: [signer.jwk] });
    if (request.url === '/oauth/introspect') return reply(response, await introspect(request));
    return reply(response, 404);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  t.teardown(() => server.listening && stop());

  async function introspect(request: IncomingMessage): Promise<object | number> {
    const token = new URLSearchParams(await text(request)).get('token') ?? '';
    const key = request.headers['idempotency-key']?.toString();
    introspected.push({ token, idempotencyKey: key });
    const { clientId, clientSecret } = credentials as { clientId: string; clientSecret: string };
    if (request.headers.authorization !== `Basic ${btoa(`${clientId}:${clientSecret}`)}`) return 401;
    if (token === 'no-token') return { active: false };
    const claims = decodeJwt(token);
    if (revoked.has(claims.jti)) return { active: false };
    if (claims.once !== true) return { active: true, ...claims };
    if (!spent.has(claims.jti)) spent.set(claims.jti, key);
    return spent.get(claims.jti) === key ? { active: true, ...claims } : { active: false };
  }

  /** A token that is valid at the shop now, except for the changes. */
  function mint(claims: Changes = {}, header: Changes = {}, by: Signer = signer): Promise<string> {
    const seconds = Math.floor(Date.now() / 1000);
    const times = { iat: seconds, exp: seconds + 3600, auth_time: seconds - 60 };
    const isOnce = header.typ === 'one-time+jwt';
    return by.sign(
      { iss: url, ...times, once: isOnce, ...(isOnce && { aud: onceAtShop }), ...claims },
      header,
    );
  }

  return {
    url,
    signer,
    credentials,
    introspected,
    stop,
    mint,
    mintOnce: (claims: Changes = {}) => mint(claims, { typ: 'one-time+jwt' }),
    revoke: (token: string) => {
      const { jti = '' } = decodeJwt(token);
      revoked.add(jti);
      feed.revoke(jti);
    },
    countStreams: feed.countStreams,
    /** The options of the shop's doors. */
    doors: {
      verifier: { issuer: url, audience: 'shop', timeoutMs: 60_000, logger: false as const },
      introspection: credentials,
    },
  };
}

function reply(response: ServerResponse, body: object | number): void {
  if (typeof body === 'number') response.writeHead(body).end();
  else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
