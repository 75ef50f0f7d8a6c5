import { createPublicKey, sign } from 'node:crypto';
import Fastify from 'fastify';
import { type Test, test } from 'tap';
import { createRequireOperator, operatorOf } from '../../src/admin/require-operator.ts';
import { sendProblem } from '../../src/http/problem.ts';
import { generateKeyMaterial } from '../../src/keys/key-material.ts';
import { addBearerCheck } from '../../src/tokens/access-token-check.ts';
import type { TokenClaims } from '../../src/verifier/check-token.ts';
import { claimsAt, encode } from '../verifier/support/tokens.ts';

const issuer = 'https://auth.example.com';
const seconds = 1_500_000_000;
const { kid, privateKey } = await generateKeyMaterial('ES256');
const key = createPublicKey(privateKey);
const pem = key.export({ format: 'pem', type: 'spki' }).toString();
const ofUser = {
  ...claimsAt(seconds),
  aud: issuer,
  scope: 'admin:keys',
  sid: 'a-session',
  auth_time: seconds,
};
const { sid: _sid, auth_time: _authTime, ...ofClient } = ofUser;

function make(claims: object): string {
  const input = `${encode({ alg: 'ES256', kid, typ: 'at+jwt' })}.${encode(claims)}`;
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `Bearer ${input}.${signature.toString('base64url')}`;
}

/** A server with a route that reads and one that writes, both of which answer who sent the request. */
async function build(t: Test, now: number) {
  const app = Fastify();
  t.teardown(() => app.close());
  app.setErrorHandler(sendProblem);
  const rules = {
    ...{ issuer, audiences: [issuer], types: ['at+jwt' as const], algorithms: ['ES256'] },
    ...{ leewaySeconds: 5, now: () => seconds * 1000 },
  };
  const requireKey = async () => ({ algorithm: 'ES256', key, pem });
  await addBearerCheck(app, {
    tokens: { requireKey, rulesFor: () => rules },
    issuer,
    isRevoked: () => false,
  });
  const requireOperator = createRequireOperator({
    statuses: { findLive: async (claims: TokenClaims) => claims },
    now: () => now,
    maxAuthAgeMs: 900_000,
  });
  const scope = 'admin:keys';
  app.get('/', { preHandler: requireOperator({ scope, writes: false }) }, async (request) =>
    operatorOf(request),
  );
  app.post('/', { preHandler: requireOperator({ scope, writes: true }) }, async (request) =>
    operatorOf(request),
  );
  return (method: 'GET' | 'POST', claims: object) =>
    app.inject({ method, url: '/', headers: { authorization: make(claims), 'user-agent': 'curl' } });
}

test('a user may change something until a quarter of an hour after the sign-in, and look at any time', async (t) => {
  const inTime = await build(t, (seconds + 900) * 1000);
  t.equal((await inTime('POST', ofUser)).statusCode, 200);
  const late = await build(t, (seconds + 900) * 1000 + 1);
  t.equal((await late('GET', ofUser)).statusCode, 200);
  for (const claims of [ofUser, { ...ofUser, auth_time: undefined }]) {
    const refused = await late('POST', claims);
    t.equal(refused.statusCode, 401);
    t.equal(refused.json().code, 'insufficient_user_authentication');
    t.equal(
      refused.headers['www-authenticate'],
      'Bearer realm="doorward", error="insufficient_user_authentication", max_age=900',
    );
  }
});

test("a service client's token has no sign-in that could be too long ago", async (t) => {
  const late = await build(t, (seconds + 86_400) * 1000);
  t.equal((await late('POST', ofClient)).statusCode, 200);
});

test('keeps who it was for the audit', async (t) => {
  const send = await build(t, seconds * 1000);
  const request = { device: { ip: '127.0.0.1', userAgent: 'curl' }, requestId: String };
  t.match((await send('POST', ofUser)).json(), {
    kind: 'user',
    id: ofUser.sub,
    sessionId: 'a-session',
    ...request,
  });
  const client = (await send('POST', ofClient)).json();
  t.match(client, { kind: 'client', id: ofClient.sub, ...request });
  t.notOk('sessionId' in client);
});
