import fc from 'fast-check';
import { type JWK, SignJWT } from 'jose';
import { test } from 'tap';
import type { PublicJwk } from '../../src/core/jwk.ts';
import { ASSERTION_ALGORITHMS, assertionIssuer, checkAssertion } from '../../src/oauth/client-assertion.ts';
import { breakVerification } from '../support/broken-crypto.ts';
import { type Changes, createSigner, encode } from '../verifier/support/tokens.ts';

const issuer = 'https://auth.example.com';
const now = 1_800_000_000_000;
const claims = { iss: 'books', sub: 'books', aud: issuer, iat: now / 1000, exp: now / 1000 + 60, jti: 'one' };

const signers = await Promise.all(ASSERTION_ALGORITHMS.map((algorithm) => createSigner(algorithm)));
const [es256] = signers as [(typeof signers)[0]];

function check(assertion: string, keys: JWK[] = signers.map(({ jwk }) => jwk)) {
  const publicKeys = keys as PublicJwk[];
  return checkAssertion(assertion, { clientId: 'books', publicKeys, audiences: [issuer], now });
}

function make({ jwk, privateKey } = es256, header: Changes = {}): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: jwk.alg, kid: jwk.kid, ...header }).sign(privateKey);
}

test('takes an assertion of each algorithm that clients may sign with', async (t) => {
  for (const signer of signers)
    t.strictSame(
      await check(await make(signer)),
      { jti: 'one', expiresAt: new Date(now + 90_000) },
      signer.kid,
    );
  t.equal(await check(await make(es256, { kid: signers[1]?.kid })), null);
});

test('what is not the fault of the assertion is thrown as what it is', async (t) => {
  const assertion = await make();
  // The registration of clients refuses such a key.
  await t.rejects(check(assertion, [{ ...es256.jwk, key_ops: ['verify', 'sign'] }]), { name: 'SyntaxError' });
  const failure = new DOMException('the provider is gone', 'OperationError');
  breakVerification(t, failure);
  t.equal(await check(assertion).catch((error: unknown) => error), failure);
});

test('names the issuer that an assertion claims, if that is a text', async (t) => {
  t.equal(assertionIssuer(await make()), 'books');
  for (const iss of [undefined, null, 5, ['books'], {}])
    t.equal(assertionIssuer(`${encode({ alg: 'none' })}.${encode({ iss })}.`), null);
  for (const nonsense of ['', 'x', 'a.b.c', `${encode({})}.${encode([])}.`, `..${encode({ iss: 'books' })}`])
    t.equal(assertionIssuer(nonsense), null, nonsense);
});

test('property: whatever a client sends is an assertion that holds, or none', async () => {
  const header = fc.record(
    {
      alg: fc.oneof(fc.constantFrom(...ASSERTION_ALGORITHMS, 'none', 'HS256', 'RS512'), fc.jsonValue()),
      kid: fc.oneof(fc.constantFrom(...signers.map(({ kid }) => kid)), fc.jsonValue()),
      typ: fc.jsonValue(),
      crit: fc.oneof(fc.constant(['b64']), fc.jsonValue()),
      b64: fc.jsonValue(),
      jwk: fc.jsonValue(),
    },
    { requiredKeys: ['alg'] },
  );
  const body = fc.oneof(fc.constant(claims), fc.jsonValue());
  const signature = fc.uint8Array({ maxLength: 400 });
  const isAnswered = async (head: object, payload: unknown, bytes: Uint8Array) => {
    const assertion = `${encode(head)}.${encode(payload)}.${Buffer.from(bytes).toString('base64url')}`;
    assertionIssuer(assertion);
    return (await check(assertion)) === null;
  };
  await fc.assert(fc.asyncProperty(header, body, signature, isAnswered), { numRuns: 500 });
});
