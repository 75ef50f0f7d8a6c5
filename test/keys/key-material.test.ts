import { createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import fc from 'fast-check';
import { calculateJwkThumbprint } from 'jose';
import { test } from 'tap';
import type { SigningAlgorithm } from '../../src/core/jwk.ts';
import { createKeySeal, generateKeyMaterial, KeyEncryptionKeyError } from '../../src/keys/key-material.ts';

const { kid, privateKey } = await generateKeyMaterial('ES256');
const keyEncryptionKey = randomBytes(32);
const { seal, open } = createKeySeal(keyEncryptionKey);
const sealed = seal(privateKey, kid);

const kinds: Record<SigningAlgorithm, { jwk: object; members: string[]; digest: string | null }> = {
  ES256: { jwk: { kty: 'EC', crv: 'P-256' }, members: ['crv', 'kty', 'x', 'y'], digest: 'sha256' },
  EdDSA: { jwk: { kty: 'OKP', crv: 'Ed25519' }, members: ['crv', 'kty', 'x'], digest: null },
  RS256: { jwk: { kty: 'RSA', e: 'AQAB' }, members: ['e', 'kty', 'n'], digest: 'sha256' },
};

for (const [algorithm, { jwk, members, digest }] of Object.entries(kinds)) {
  test(`a new ${algorithm} key: named by its thumbprint, public members only, both halves belong together`, async (t) => {
    const key = await generateKeyMaterial(algorithm as SigningAlgorithm);
    t.equal(key.algorithm, algorithm);
    t.equal(key.kid, await calculateJwkThumbprint(key.publicJwk, 'sha256'));
    t.match(key.publicJwk, { ...jwk, kid: key.kid, alg: algorithm, use: 'sig' });
    t.same(Object.keys(key.publicJwk).sort(), [...members, 'alg', 'kid', 'use'].sort());
    const data = randomBytes(100);
    const publicKey = createPublicKey({ key: key.publicJwk, format: 'jwk' });
    t.ok(verify(digest, data, publicKey, sign(digest, data, key.privateKey)));
    const box = createKeySeal(keyEncryptionKey);
    t.ok(box.open(key.kid, box.seal(key.privateKey, key.kid)).privateKey.equals(key.privateKey));
  });
}

test('an RSA key has 3072 bits', async (t) => {
  const { publicJwk, privateKey } = await generateKeyMaterial('RS256');
  t.equal(Buffer.from(publicJwk.n ?? '', 'base64url').length * 8, 3072);
  t.match(privateKey.asymmetricKeyDetails, { modulusLength: 3072, publicExponent: 65_537n });
});

test('no two keys are alike', async (t) => {
  t.not((await generateKeyMaterial('ES256')).kid, kid);
});

test('what was sealed opens again, and is known to be current', async (t) => {
  const opened = open(kid, sealed);
  t.ok(opened.privateKey.equals(privateKey));
  t.equal(opened.isCurrent, true);
});

test('no two seals are alike, and none shows the key', async (t) => {
  const again = seal(privateKey, kid);
  t.notSame(again, sealed);
  t.notSame(again.subarray(0, 12), sealed.subarray(0, 12));
  const { d } = privateKey.export({ format: 'jwk' });
  t.notOk(sealed.includes(Buffer.from(d ?? '', 'base64url')));
});

test('what the previous key-encryption key sealed opens, and is known not to be current', async (t) => {
  const next = createKeySeal(randomBytes(32), keyEncryptionKey);
  const opened = next.open(kid, sealed);
  t.ok(opened.privateKey.equals(privateKey));
  t.equal(opened.isCurrent, false);
  t.equal(next.open(kid, next.seal(opened.privateKey, kid)).isCurrent, true);
});

test('new seals are under the current key-encryption key, which alone opens them', async (t) => {
  const current = randomBytes(32);
  const fresh = createKeySeal(current, keyEncryptionKey).seal(privateKey, kid);
  t.ok(createKeySeal(current).open(kid, fresh).isCurrent);
  t.throws(() => open(kid, fresh), KeyEncryptionKeyError);
});

test('a wrong key-encryption key is told in one line that names the key and no secret', async (t) => {
  const wrong = [randomBytes(32), randomBytes(32)] as const;
  const other = createKeySeal(...wrong);
  t.throws(() => other.open(kid, sealed), {
    name: 'KeyEncryptionKeyError',
    message: new RegExp(
      `^KEY_ENCRYPTION_KEY does not open signing key ${kid}: .*KEY_ENCRYPTION_KEY_PREVIOUS.* Nothing was changed\\.$`,
    ),
  });
});

test('what only a bug can cause is thrown as what it is, not as a wrong key-encryption key', (t) => {
  t.throws(() => createKeySeal(keyEncryptionKey.subarray(1)).open(kid, sealed), RangeError);
  const noKey = { export: () => Buffer.from('no key') } as unknown as KeyObject;
  const sealer = createKeySeal(keyEncryptionKey);
  t.throws(() => sealer.open(kid, sealer.seal(noKey, kid)), { code: /^ERR_OSSL/ });
  t.end();
});

test('the row of one key is not taken for another', async (t) => {
  const other = await generateKeyMaterial('ES256');
  t.throws(() => open(other.kid, sealed), KeyEncryptionKeyError);
});

test('a byte that was changed, lost or added is noticed, wherever it is', async (t) => {
  const isRefused = (bytes: Buffer) => {
    try {
      open(kid, bytes);
      return false;
    } catch (error) {
      return error instanceof KeyEncryptionKeyError;
    }
  };
  for (const index of sealed.keys()) {
    const changed = Buffer.from(sealed);
    changed[index] = (changed[index] ?? 0) ^ (1 << (index % 8));
    if (!isRefused(changed)) t.fail(`byte ${index}`);
  }
  const lengths = fc.nat({ max: sealed.length - 1 });
  const property = fc.property(lengths, (length) => isRefused(sealed.subarray(0, length)));
  t.doesNotThrow(() => fc.assert(property));
  t.ok(isRefused(Buffer.concat([sealed, Buffer.of(0)])));
  t.notOk(isRefused(sealed));
});
