import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { exportJWK, generateKeyPair } from 'jose';
import { test } from 'tap';
import { freshForMs, readKeySet } from '../../src/verifier/key-set.ts';
import { createSigner } from './support/tokens.ts';

const algorithms = ['ES256', 'EdDSA', 'RS256'];
const { jwk, privateKey } = await createSigner();

function read(body: unknown, status = 200) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return readKeySet({ status, text, headers: new Headers() }, algorithms);
}

test('imports the keys that may be used, and leaves out all others', async (t) => {
  const symmetric = { kty: 'oct', kid: 'oct', alg: 'ES256', k: createHash('sha256').digest('base64url') };
  const { publicKey: p384 } = await generateKeyPair('ES384');
  const { jwk: okp } = await createSigner('EdDSA');
  const { publicKey: smallRsa } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const jwkOf = (key: KeyObject) => key.export({ format: 'jwk' });
  const others = [
    { ...jwk, kid: 'for encryption', use: 'enc' },
    { ...jwk, kid: undefined },
    { ...jwk, kid: 'no algorithm', alg: undefined },
    { ...jwk, kid: 'another algorithm', alg: 'ES512' },
    { ...jwk, kid: 'wrong algorithm', alg: 'RS256' },
    { ...jwk, kid: 'broken', x: 'AAAA' },
    { ...(await exportJWK(privateKey)), kid: 'private', alg: 'ES256' },
    { ...(await exportJWK(p384)), kid: 'wrong curve', alg: 'ES256' },
    { ...jwk, kid: 'for signing', key_ops: ['sign'] },
    { ...jwk, kid: 'for nothing', key_ops: [] },
    { ...jwk, kid: 'for two things', key_ops: ['verify', 'sign'] },
    { ...jwk, kid: 'operations that are no list', key_ops: 'verify' },
    { ...jwk, kid: 'curve of another type', crv: 'Ed25519' },
    { ...jwk, kid: 'curve that is not supported', crv: 'secp256k1' },
    { ...jwk, kid: 'type that is not supported', kty: 'AKP' },
    { ...jwk, kid: 'private in another way', priv: 'AAAA' },
    { ...jwk, kid: 'not a point of the curve', y: jwk.x },
    { ...jwk, kid: 'a number that is no text', x: 1 },
    { ...okp, kid: 'Ed448', crv: 'Ed448' },
    { ...okp, kid: 'X25519', crv: 'X25519' },
    { ...okp, kid: 'short', x: okp.x?.slice(4) },
    { ...jwkOf(smallRsa), kid: 'too small', alg: 'RS256' },
    symmetric,
    null,
    'key',
  ];
  const { use, ...withoutUse } = jwk;
  const keys = await read({ keys: [jwk, { ...withoutUse, kid: 'no use' }, ...others] });
  t.strictSame([...keys.keys()], [jwk.kid, 'no use']);
  t.equal(keys.get(jwk.kid)?.algorithm, 'ES256');
});

test('an answer without a usable key is none', async (t) => {
  for (const body of [{}, { keys: [] }, { keys: {} }, { keys: [null] }, [], null, '', '{"keys":'])
    await t.rejects(read(body), Error, JSON.stringify(body));
  for (const status of [204, 302, 404, 500]) await t.rejects(read({ keys: [jwk] }, status));
});

test('keys are fresh for as long as the answer says, within bounds', async (t) => {
  const minutes = (count: number) => count * 60_000;
  const cases: [headers: Record<string, string>, ms: number][] = [
    [{ 'cache-control': 'public, max-age=120' }, minutes(2)],
    [{ 'cache-control': 'max-age="120"' }, minutes(2)],
    [{ 'cache-control': 'MAX-AGE=120', age: '30' }, 90_000],
    [{ 'cache-control': 'max-age=120', age: 'soon' }, minutes(2)],
    [{ 'cache-control': 's-maxage=5, max-age=120' }, minutes(2)],
    [{ 'cache-control': 'max-age=0' }, 1000],
    [{ 'cache-control': 'max-age=120', age: '500' }, 1000],
    [{ 'cache-control': 'no-store' }, 1000],
    [{ 'cache-control': 'no-cache, max-age=300' }, 1000],
    [{ 'cache-control': 'max-age=99999999999999999999' }, minutes(10)],
    [{}, minutes(5)],
  ];
  for (const [headers, ms] of cases)
    t.equal(freshForMs(new Headers(headers), minutes(10)), ms, JSON.stringify(headers));
});
