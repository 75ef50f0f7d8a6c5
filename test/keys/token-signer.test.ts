import { createPublicKey } from 'node:crypto';
import { compactVerify, jwtVerify } from 'jose';
import { test } from 'tap';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../src/core/jwk.ts';
import { generateKeyMaterial } from '../../src/keys/key-material.ts';
import { createTokenSigner } from '../../src/keys/token-signer.ts';
import type { TokenType } from '../../src/verifier/check-token.ts';

const ALGORITHMS: readonly SigningAlgorithm[] = SIGNING_ALGORITHMS;
const TYPES: TokenType[] = ['at+jwt', 'one-time+jwt'];

/** A signer with a key of its own, and the key that its tokens verify with. */
async function setUp(algorithm: SigningAlgorithm) {
  const { kid, privateKey } = await generateKeyMaterial(algorithm);
  const publicKey = createPublicKey(privateKey);
  return { kid, publicKey, sign: createTokenSigner({ kid, algorithm, privateKey }) };
}

for (const algorithm of ALGORITHMS) {
  test(`a token of ${algorithm} verifies with jose, has its header and nothing else there, and claims as they were given`, async (t) => {
    const { kid, publicKey, sign } = await setUp(algorithm);
    const iat = Math.floor(Date.now() / 1000);
    const claims = {
      sub: 'u1',
      email: 'zoë@example.com',
      name: '佐藤 🔑',
      iat,
      exp: iat + 60,
      deep: { a: [1] },
    };
    for (const typ of TYPES) {
      const token = sign(claims, typ);
      const { payload, protectedHeader } = await jwtVerify(token, publicKey, {
        algorithms: [algorithm],
        typ,
      });
      t.strictSame({ ...protectedHeader }, { alg: algorithm, typ, kid });
      t.strictSame({ ...payload }, claims);
      await t.resolves(compactVerify(token, publicKey));
    }
  });

  test(`a token of ${algorithm} verifies neither with another key nor with a changed claim`, async (t) => {
    const [mine, other] = [await setUp(algorithm), await setUp(algorithm)];
    const token = mine.sign({ sub: 'u1' }, 'at+jwt');
    await t.rejects(compactVerify(token, other.publicKey));
    const [header, , signature] = token.split('.');
    const claims = Buffer.from('{"sub":"u2"}').toString('base64url');
    await t.rejects(compactVerify(`${header}.${claims}.${signature}`, mine.publicKey));
  });
}

test('an ES256 signature is 64 bytes and verifies, however short its numbers are', async (t) => {
  const { publicKey, sign } = await setUp('ES256');
  const tokens = Array.from({ length: 2_000 }, (_, at) => sign({ at }, 'at+jwt'));
  const signatures = tokens.map((token) => token.split('.')[2] ?? '');
  for (const signature of signatures) if (!/^[\w-]{86}$/.test(signature)) t.fail(signature);
  // DER leaves out leading zeros, and puts one before a number whose first bit is set: both must occur.
  const firstBytes = signatures.flatMap((signature) => {
    const numbers = Buffer.from(signature, 'base64url');
    return [numbers.readUInt8(0), numbers.readUInt8(32)];
  });
  t.ok(firstBytes.includes(0), 'one number at least began with a zero');
  t.ok(
    firstBytes.some((byte) => byte >= 128),
    'and one had its first bit set',
  );
  for (const token of tokens) await compactVerify(token, publicKey);
});
