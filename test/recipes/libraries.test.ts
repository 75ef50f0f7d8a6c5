import { createServer } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { createVerifier } from 'fast-jwt';
import buildGetJwks from 'get-jwks';
import { Hono } from 'hono';
import { jwk } from 'hono/jwk';
import { JwksClient, JwksRateLimitError } from 'jwks-rsa';
import t from 'tap';
import { bearer } from '../support/gateway-world.ts';
import { startAuthServer } from '../verifier/support/auth-server.ts';
import { createSigner } from '../verifier/support/tokens.ts';

/** What the pages say about the libraries, and why their code is as it is. */

const auth = await startAuthServer(t);
const jwksUri = `${auth.url}/.well-known/jwks.json`;

/** The status that the middleware of Hono answers. */
async function honoAnswers(token: string, options: Partial<Parameters<typeof jwk>[0]>): Promise<number> {
  const app = new Hono();
  app.get('/', jwk({ alg: ['ES256'], ...options }), (c) => c.text('passed'));
  return (await app.request('/', { headers: bearer(token) })).status;
}

t.test('hono/jwk without typ refuses every access token', async (t) => {
  t.equal(await honoAnswers(await auth.mint(), { keys: [auth.signer.jwk] }), 401);
});

t.test('hono/jwk refuses a token of a clock that is 2 seconds ahead, unless iat is off', async (t) => {
  const token = await auth.mint({ iat: Math.floor(Date.now() / 1000) + 2 });
  const answer = (iat: boolean) =>
    honoAnswers(token, { keys: [auth.signer.jwk], verification: { typ: 'at+jwt', iat } });
  t.equal(await answer(true), 401);
  t.equal(await answer(false), 200);
});

t.test(
  'hono/jwk with jwks_uri fetches the keys for every request, and answers 401 when it cannot',
  async (t) => {
    let fetched = 0;
    const keyServer = createServer((_request, response) => {
      fetched += 1;
      if (fetched === 3) response.destroy();
      else response.end(JSON.stringify({ keys: [auth.signer.jwk] }));
    });
    await new Promise<void>((resolve) => keyServer.listen(0, '127.0.0.1', resolve));
    t.teardown(() => keyServer.close());
    const address = keyServer.address();
    if (address === null || typeof address === 'string') throw new Error('not a TCP address');
    const options = { jwks_uri: `http://127.0.0.1:${address.port}`, verification: { typ: 'at+jwt' } };
    const token = await auth.mint();
    t.equal(await honoAnswers(token, options), 200);
    t.equal(await honoAnswers(token, options), 200);
    t.equal(fetched, 2);
    t.equal(await honoAnswers(token, options), 401);
  },
);

t.test('jwks-rsa with rateLimit cannot fetch a real key after ten invented ones', async (t) => {
  const askTenTimes = async (client: JwksClient) => {
    for (let kid = 0; kid < 10; kid += 1) await t.rejects(client.getSigningKey(`invented-${kid}`));
  };
  const limited = new JwksClient({ jwksUri, rateLimit: true });
  await askTenTimes(limited);
  await t.rejects(limited.getSigningKey(auth.signer.kid), JwksRateLimitError);
  const open = new JwksClient({ jwksUri });
  await askTenTimes(open);
  t.equal((await open.getSigningKey(auth.signer.kid)).kid, auth.signer.kid);
});

t.test('get-jwks goes on with a key that was revoked, unless its stale cache is off', async (t) => {
  const started = performance.now();
  let shiftMs = 0;
  t.intercept(performance, 'now', { value: () => started + shiftMs });
  let served: unknown[] = [auth.signer.jwk];
  t.intercept(globalThis, 'fetch', { value: async () => Response.json({ keys: served }) });
  const [usual, careful] = [buildGetJwks({ ttl: 600_000 }), buildGetJwks({ ttl: 600_000 })];
  careful.staleCache.get = () => undefined;
  const wanted = { domain: auth.url, alg: 'ES256', kid: auth.signer.kid };
  const [key] = await Promise.all([usual.getJwk(wanted), careful.getJwk(wanted)]);

  served = [(await createSigner()).jwk];
  // lru-cache looks at the clock once in a millisecond.
  await setTimeout(5);
  // Beyond its `ttl` it must only be used often enough.
  for (const stepMs of [601_000, 500_000, 500_000, 500_000]) {
    shiftMs += stepMs;
    await setTimeout(5);
    t.equal(await usual.getJwk(wanted), key);
  }
  await t.rejects(careful.getJwk(wanted), { code: 'JWK_NOT_FOUND' });
});

t.test('fast-jwt lets a token without aud and exp pass, unless they are required', async (t) => {
  const keys = buildGetJwks();
  const token = await auth.mint({ aud: undefined, exp: undefined });
  const verify = (requiredClaims: string[]) =>
    createVerifier({
      key: () => keys.getPublicKey({ domain: auth.url, alg: 'ES256', kid: auth.signer.kid }),
      allowedAud: 'shop',
      requiredClaims,
    })(token);
  t.match(await verify([]), { iss: auth.url });
  await t.rejects(verify(['aud', 'exp']), { code: 'FAST_JWT_MISSING_REQUIRED_CLAIM' });
});
