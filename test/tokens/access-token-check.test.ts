import { createHmac, createPublicKey, sign } from 'node:crypto';
import fc from 'fast-check';
import Fastify from 'fastify';
import { type Test, test } from 'tap';
import { unavailable } from '../../src/core/errors.ts';
import { SIGNING_ALGORITHMS } from '../../src/core/jwk.ts';
import { sendProblem } from '../../src/http/problem.ts';
import { generateKeyMaterial } from '../../src/keys/key-material.ts';
import type { PublicKey } from '../../src/keys/key-service.ts';
import { addBearerCheck, bearerOf, requireScope } from '../../src/tokens/access-token-check.ts';
import { checkToken, type TokenClaims, type TokenRules } from '../../src/verifier/check-token.ts';
import { VerifierError } from '../../src/verifier/verifier-error.ts';
import { type Changes, claimsAt, encode } from '../verifier/support/tokens.ts';

const issuer = 'https://auth.example.com';
/** Years ago: code that uses the wall clock finds these tokens expired. */
const seconds = 1_500_000_000;
const rules: TokenRules = {
  issuer,
  audiences: [issuer],
  types: ['at+jwt'],
  algorithms: [...SIGNING_ALGORITHMS],
  leewaySeconds: 5,
  now: () => seconds * 1000,
};
const claims = { ...claimsAt(seconds), aud: issuer, scope: 'admin:doctor' };

/** A key of the server, for signing and for verifying. */
async function makeKey(algorithm: (typeof SIGNING_ALGORITHMS)[number]) {
  const { kid, privateKey } = await generateKeyMaterial(algorithm);
  const key = createPublicKey(privateKey);
  const pem = key.export({ format: 'pem', type: 'spki' }).toString();
  const known: PublicKey = { algorithm, key, pem };
  return { kid, algorithm, privateKey, known };
}

const keys = await Promise.all(SIGNING_ALGORITHMS.map(makeKey));
type Key = Awaited<ReturnType<typeof makeKey>>;
const [es256, eddsa, rs256] = keys as [Key, Key, Key];
const byKid = new Map(keys.map((key) => [key.kid, key]));

async function requireKey(kid: string): Promise<PublicKey> {
  const key = byKid.get(kid);
  if (key === undefined) throw new VerifierError('key_unknown');
  return key.known;
}

/** A route of the server with this check, and the error that its error handler got. */
async function build(
  t: Pick<Test, 'teardown'>,
  find = requireKey,
  findLive: (claims: TokenClaims) => Promise<Pick<TokenClaims, 'scope'> | null> = async (claims) => claims,
  isRevoked = (_claims: TokenClaims, _kid: string) => false,
) {
  const app = Fastify();
  t.teardown(() => app.close());
  const thrown: unknown[] = [];
  app.setErrorHandler((error: Error, request, reply) => {
    thrown.push(error);
    return sendProblem(error as never, request, reply);
  });
  await addBearerCheck(app, { tokens: { requireKey: find, rulesFor: () => rules }, issuer, isRevoked });
  app.get('/', { preHandler: requireScope({ scope: 'admin:doctor', findLive }) }, async ({ user }) => user);
  const ask = async (authorization?: string) => {
    const response = await app.inject({ url: '/', headers: { ...(authorization && { authorization }) } });
    return response.statusCode === 200 ? '200' : `${response.statusCode} ${response.json().code}`;
  };
  return { app, ask, thrown };
}

/** A token with this header and these claims, valid or not, with a correct signature of the key. */
function make(header: Changes = {}, body: unknown = claims, by = es256): string {
  const input = `${encode({ alg: by.algorithm, kid: by.kid, typ: 'at+jwt', ...header })}.${encode(body)}`;
  return `${input}.${signatureOf(input, by)}`;
}

function signatureOf(input: string, { algorithm, privateKey: key }: Key): string {
  const hash = algorithm === 'EdDSA' ? null : 'sha256';
  return sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
}

test('lets a token of each algorithm through, and gives its claims as request.user', async (t) => {
  const { app, ask } = await build(t);
  for (const key of keys) t.equal(await ask(`Bearer ${make({}, claims, key)}`), '200', key.algorithm);
  const { scope, ...others } = claims;
  const headers = { authorization: `bearer  ${make({}, { ...others, scope: `other ${scope}` })}` };
  const response = await app.inject({ url: '/', headers });
  t.strictSame(response.json(), { ...others, scope: `other ${scope}` });
});

test('refuses a token that was revoked, and asks that only of tokens that are good', async (t) => {
  const asked: string[] = [];
  const isRevoked = ({ jti }: TokenClaims) => asked.push(jti) > 0 && jti === 'void';
  const { ask } = await build(t, requireKey, undefined, isRevoked);
  const bearer = (jti: string, by = es256, more: Changes = {}) =>
    ask(`Bearer ${make({ kid: es256.kid }, { ...claims, jti, ...more }, by)}`);
  t.equal(await bearer('void'), '401 invalid_token');
  t.equal(await bearer('good'), '200');
  t.equal(await bearer('expired', es256, { exp: seconds - 5 }), '401 invalid_token');
  const stranger = { ...(await makeKey('ES256')), kid: es256.kid };
  t.equal(await bearer('forged', stranger), '401 invalid_token');
  t.strictSame(asked, ['void', 'good']);
});

test('refuses a token whose key was revoked, although the key is still there', async (t) => {
  const { ask } = await build(t, requireKey, undefined, (_claims, kid) => kid === es256.kid);
  for (const key of keys)
    t.equal(await ask(`Bearer ${make({}, claims, key)}`), key === es256 ? '401 invalid_token' : '200');
});

test('goes by the clock that it is given alone', async (t) => {
  const { ask } = await build(t);
  t.equal(await ask(`Bearer ${make({}, { ...claims, nbf: seconds, exp: seconds + 1 })}`), '200');
  t.equal(await ask(`Bearer ${make({}, { ...claims, exp: seconds - 5 })}`), '401 invalid_token');
  t.equal(await ask(`Bearer ${make({}, { ...claims, nbf: seconds + 6 })}`), '401 invalid_token');
});

test('says which of the two it is: no token, or not this one', async (t) => {
  const { app, ask } = await build(t);
  t.equal(await ask(), '401 not_signed_in');
  t.equal((await app.inject('/')).headers['www-authenticate'], 'Bearer realm="doorward"');
  t.equal(await ask(`Bearer ${make({}, { ...claims, scope: 'other' })}`), '403 insufficient_scope');
  t.equal(await ask(`Bearer ${make({}, { ...claims, scope: undefined })}`), '403 insufficient_scope');
  const { ask: askRevoked } = await build(t, requireKey, async () => null);
  t.equal(await askRevoked(`Bearer ${make()}`), '401 invalid_token');
  const { ask: askDemoted } = await build(t, requireKey, async () => ({ scope: 'admin:other' }));
  t.equal(await askDemoted(`Bearer ${make()}`), '403 insufficient_scope', 'a scope that is lost since');
});

test('a request with another scheme has no token, and gets no error code (RFC 6750 §3.1)', async (t) => {
  const { app } = await build(t);
  for (const authorization of ['Basic dTpw', 'Digest x', `Bearer,${make()}`, make()]) {
    const response = await app.inject({ url: '/', headers: { authorization } });
    t.equal(response.json().code, 'not_signed_in', authorization.slice(0, 20));
    t.equal(response.headers['www-authenticate'], 'Bearer realm="doorward"');
  }
});

test('refuses every forgery by a 401', async (t) => {
  const { ask, thrown } = await build(t);
  const token = make();
  const [head = '', body = '', signature = ''] = token.split('.');
  const none = encode({ alg: 'none', kid: es256.kid, typ: 'at+jwt' });
  const mac = `${encode({ alg: 'HS256', kid: es256.kid, typ: 'at+jwt' })}.${body}`;
  const stranger = await makeKey('ES256');
  const der = sign('sha256', Buffer.from(`${head}.${body}`), es256.privateKey).toString('base64url');
  const forgeries: Record<string, string> = {
    'no token at all': '',
    nonsense: 'nonsense',
    'two parts': `${head}.${body}`,
    'four parts': `${token}.${signature}`,
    'no signature': `${head}.${body}.`,
    'alg none': `${none}.${body}.`,
    'alg none, signed': make({ alg: 'none' }),
    'HS256 keyed with the public key': `${mac}.${createHmac('sha256', es256.known.pem).update(mac).digest('base64url')}`,
    'the algorithm of another key': make({ alg: 'RS256' }),
    'a variant of the algorithm': make({ alg: 'PS256' }, claims, rs256),
    'a key of another algorithm': make({ kid: eddsa.kid }),
    'another name of the algorithm': make({ alg: 'Ed25519' }, claims, eddsa),
    'no algorithm': make({ alg: undefined }),
    'no kid': make({ kid: undefined }),
    'an empty kid': make({ kid: '' }),
    'a kid that is a list': make({ kid: [es256.kid] }),
    'an unknown kid': make({ kid: 'unknown' }, claims, stranger),
    'its own key': make({ jwk: stranger.known.key.export({ format: 'jwk' }) }, claims, stranger),
    'its own key under our kid': make({ kid: es256.kid }, claims, stranger),
    'a single-use token': make({ typ: 'one-time+jwt' }),
    'an ID token': make({ typ: 'JWT' }),
    'no type': make({ typ: undefined }),
    'a critical header': make({ crit: ['b64'], b64: true }),
    'an empty list of critical headers': make({ crit: [] }),
    'null for critical headers': make({ crit: null }),
    'other claims': `${head}.${encode({ ...claims, sub: 'root' })}.${signature}`,
    'another header': `${encode({ alg: 'ES256', kid: es256.kid, typ: 'AT+JWT' })}.${body}.${signature}`,
    'a short signature': `${head}.${body}.${signature.slice(0, 84)}`,
    'a signature in DER': `${head}.${body}.${der}`,
    'a signature of zeros': `${head}.${body}.${'A'.repeat(86)}`,
    padding: `${token}==`,
    'the other alphabet': `${head}.${body}.${signature.slice(1)}+`,
    'bits that count for nothing': `${head}.${body}.${signature.slice(0, -1)}${lastBitsOf(signature)}`,
    'a header that is no JSON': make().replace(head, encode('{')),
    'a header that is a list': make().replace(head, encode([])),
    'claims that are no JSON': make({}, '{'),
    'claims that are a list': make({}, []),
    'claims that are null': make({}, null),
    'no subject': make({}, { ...claims, sub: undefined }),
    'another issuer': make({}, { ...claims, iss: `${issuer}/` }),
    'another audience': make({}, { ...claims, aud: 'shop' }),
    'an expiry that is a text': make({}, { ...claims, exp: '9999999999' }),
    'more than 8 KiB': make({}, { ...claims, more: 'x'.repeat(8_192) }),
  };
  for (const [what, forged] of Object.entries(forgeries))
    t.equal(await ask(`Bearer ${forged}`), '401 invalid_token', what);
  for (const other of ['Bearer', 'Bearer a b', 'bearer ,'])
    t.equal(await ask(other), '401 invalid_token', other);
  for (const error of thrown)
    t.notOk((error as Error).cause, 'and no error takes a piece of the token along');
});

/** The next letter: the same bytes, except for bits that are zero in base64url of 64 bytes. */
function lastBitsOf(signature: string): string {
  return String.fromCharCode(signature.charCodeAt(signature.length - 1) + 1);
}

test('keys that cannot be known are 503, and what is unexpected is itself: 500', async (t) => {
  const authorization = `Bearer ${make()}`;
  const unknown = unavailable(new Error('no database'));
  const away = await build(t, () => Promise.reject(unknown));
  t.equal(await away.ask(authorization), '503 unavailable');
  t.strictSame(away.thrown, [unknown]);
  const bug = new RangeError('a bug in the look-up of keys');
  const broken = await build(t, () => Promise.reject(bug));
  t.equal(await broken.ask(authorization), '500 internal_error');
  t.strictSame(broken.thrown, [bug]);
  const live = await build(t, requireKey, () => Promise.reject(bug));
  t.equal(await live.ask(authorization), '500 internal_error');
  t.strictSame(live.thrown, [bug]);
});

test('a clock that fails is an error of the server, and ends neither the request nor the process', async (t) => {
  const app = Fastify();
  t.teardown(() => app.close());
  const bug = new RangeError('no time');
  const stopped = () => ({
    ...rules,
    now: () => {
      throw bug;
    },
  });
  const isRevoked = () => false;
  await addBearerCheck(app, { tokens: { requireKey, rulesFor: stopped }, issuer, isRevoked });
  app.get('/', { preHandler: requireScope({ scope: '', findLive: async (live) => live }) }, async () => '');
  const response = await app.inject({ url: '/', headers: { authorization: `Bearer ${make()}` } });
  t.match([response.statusCode, response.json()], [500, { message: 'no time' }]);
});

test('a key is asked for once a request, and not before the header is right', async (t) => {
  const asked: string[] = [];
  const { ask } = await build(t, (kid) => {
    asked.push(kid);
    return requireKey(kid);
  });
  for (const token of ['nonsense', make({ typ: 'JWT' }), make({ crit: ['exp'] }), make({ kid: '' })])
    await ask(`Bearer ${token}`);
  t.strictSame(asked, []);
  for (let times = 0; times < 3; times += 1) t.equal(await ask(`Bearer ${make()}`), '200');
  t.strictSame(asked, Array(3).fill(es256.kid));
});

test('property: this check and the one of services say the same of any token, and nothing is unexpected', async (t) => {
  const { ask } = await build(t);
  const header = fc.record(
    {
      alg: fc.oneof(
        fc.constantFrom(...SIGNING_ALGORITHMS, 'none', 'HS256', 'PS256', 'Ed25519'),
        fc.jsonValue(),
      ),
      kid: fc.oneof(fc.constantFrom(...byKid.keys()), fc.string(), fc.jsonValue()),
      typ: fc.oneof(fc.constantFrom('at+jwt', 'application/AT+JWT', 'one-time+jwt'), fc.jsonValue()),
      crit: fc.jsonValue(),
      b64: fc.jsonValue(),
      zip: fc.jsonValue(),
      toString: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  const body = fc.oneof(
    fc.constant(claims),
    fc.record({ ...fcClaims() }, { requiredKeys: [] }),
    fc.jsonValue(),
  );
  const signature = fc.oneof(fc.constant(null), fc.uint8Array({ minLength: 1, maxLength: 400 }));
  const by = fc.constantFrom(...keys);
  const agree = async (head: object, payload: unknown, bytes: Uint8Array | null, key: Key) => {
    const token = make(head as Changes, payload, key);
    const [one = '', two = ''] = token.split('.');
    const sent = bytes === null ? token : `${one}.${two}.${Buffer.from(bytes).toString('base64url')}`;
    const here = await ask(`Bearer ${sent}`);
    return (await passes(sent)) ? /^200|^403 insuff/.test(here) : here === '401 invalid_token';
  };
  await fc.assert(fc.asyncProperty(header, body, signature, by, agree), { numRuns: 500 });
});

/** Claims one of which may be anything. */
function fcClaims(): Record<string, fc.Arbitrary<unknown>> {
  const entries = Object.entries(claims).map(([name, value]): [string, fc.Arbitrary<unknown>] => [
    name,
    fc.oneof({ arbitrary: fc.constant(value), weight: 20 }, { arbitrary: fc.jsonValue(), weight: 1 }),
  ]);
  return Object.fromEntries(entries);
}

/** The result of `checkToken`. Any error that is not a VerifierError fails the test. */
async function passes(token: string): Promise<boolean> {
  try {
    await checkToken(token, requireKey, rules);
    return true;
  } catch (error) {
    if (error instanceof VerifierError) return false;
    throw error;
  }
}

test('the token of a header is what follows the scheme, and nothing else', (t) => {
  t.equal(bearerOf('Bearer x.y.z'), 'x.y.z');
  t.equal(bearerOf('BEARER   x'), 'x');
  for (const other of ['Bearer', 'Bearer ', 'Bearer x y']) t.equal(bearerOf(other), '');
  for (const other of [undefined, '', 'Bearerx', 'Basic x', ' Bearer x'])
    t.throws(() => bearerOf(other), { code: 'not_signed_in' });
  t.end();
});
