import { generateKeyPairSync } from 'node:crypto';
import { test } from 'tap';
import { readPublicKeys } from '../../src/oauth/client-keys.ts';

const makeKeys = (kid?: string) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const named = kid === undefined ? {} : { kid };
  return {
    publicJwk: { ...publicKey.export({ format: 'jwk' }), ...named },
    privateJwk: { ...privateKey.export({ format: 'jwk' }), ...named },
  };
};

test('takes a JWK alone, or a set of keys with different kids', (t) => {
  const [one, two] = [makeKeys('one').publicJwk, makeKeys('two').publicJwk];
  const nameless = makeKeys().publicJwk;
  t.same(readPublicKeys(nameless), [nameless]);
  t.same(readPublicKeys({ keys: [one, two] }), [one, two]);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' });
  const okp = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  t.same(readPublicKeys(rsa), [rsa]);
  t.same(readPublicKeys(okp), [okp]);
  t.end();
});

test('keeps the members that count and no others, which could make the key unusable later', (t) => {
  const { publicJwk } = makeKeys('one');
  const odd = { key_ops: ['verify', 'sign'], ext: 'yes', priv: 'AAAA', x5c: ['AAAA'] };
  t.same(readPublicKeys({ ...publicJwk, ...odd, alg: 'ES256', use: 'sig' }), [
    { ...publicJwk, alg: 'ES256', use: 'sig' },
  ]);
  t.same(readPublicKeys({ ...publicJwk, x: `${publicJwk.x}=` }), [publicJwk], 'in the one right spelling');
  t.end();
});

test('refuses what is no usable public key, and says where', (t) => {
  const { publicJwk, privateJwk } = makeKeys('one');
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
  const cases: [unknown, string, RegExp][] = [
    [undefined, '/keys/0', /JWK/],
    [null, '/keys/0', /JWK/],
    ['text', '/keys/0', /JWK/],
    [{ keys: 'none' }, '', /JWK Set/],
    [{ keys: [] }, '', /1 to 10/],
    [{ keys: Array.from({ length: 11 }, (_, at) => makeKeys(`${at}`).publicJwk) }, '', /1 to 10/],
    [{ keys: [publicJwk, null] }, '/keys/1', /JWK/],
    [{ keys: [publicJwk, publicJwk] }, '', /different kid/],
    [{ keys: [makeKeys().publicJwk, publicJwk] }, '', /different kid/],
    [privateJwk, '/keys/0', /private/],
    [{ kty: 'oct', k: 'c2VjcmV0' }, '/keys/0', /private/],
    [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }, '/keys/0', /EC, OKP or RSA/],
    [weak, '/keys/0', /2048 bits/],
    [generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' }), '/keys/0', /P-256/],
    [
      generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey.export({ format: 'jwk' }),
      '/keys/0',
      /P-256/,
    ],
    [{ ...publicJwk, alg: 'HS256' }, '/keys/0', /for signatures/],
    [{ ...publicJwk, use: 'enc' }, '/keys/0', /for signatures/],
    [{ ...publicJwk, alg: ['ES256'], use: 'enc' }, '/keys/0', /for signatures/],
    [{ ...publicJwk, key_ops: ['sign'] }, '/keys/0', /for signatures/],
    [{ ...publicJwk, kid: 1 }, '/keys/0', /a text for a kid/],
  ];
  for (const [document, path, message] of cases)
    t.throws(() => readPublicKeys(document), { code: 'validation_failed', errors: [{ path, message }] });
  t.end();
});
