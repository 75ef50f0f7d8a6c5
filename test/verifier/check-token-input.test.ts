import { KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { test } from 'tap';
import { checkToken, type GetKey, type TokenRules } from '../../src/verifier/check-token.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { VerifierError } from '../../src/verifier/verifier-error.ts';
import { claimsAt, createSigner, encode, issuer, type Signer, start } from './support/tokens.ts';

/** All algorithms that a verifier can be configured for. */
const algorithms = [
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
];
/** Other members of a header. */
const oddAlgorithms = [
  ...['none', 'None', 'HS256', 'ES256K', 'Ed448', 'ML-DSA-44', 'RSA-OAEP', 'es256', '', 'constructor'],
  ...[undefined, null, 1, true, ['ES256'], {}],
];
const signatureLengths = [1, 31, 32, 63, 64, 65, 71, 95, 96, 97, 131, 132, 133, 255, 256, 257, 384, 512];

const signers = await Promise.all(algorithms.map((algorithm) => createSigner(algorithm)));
const byKid = new Map(signers.map((signer) => [signer.kid, signer]));
const rules: TokenRules = {
  issuer,
  audiences: ['shop'],
  types: ['at+jwt'],
  algorithms,
  leewaySeconds: 5,
  now: () => start,
};

/** Like the server: with key objects, at once or after a look-up. */
const getKey: GetKey = (kid) => {
  const signer = byKid.get(kid);
  if (!signer) throw new VerifierError('key_unknown');
  const found = { algorithm: signer.jwk.alg, key: KeyObject.from(signer.publicKey) };
  return kid < 'M' ? found : Promise.resolve(found);
};

/** Like a service: with a key set that it fetches. */
const { verify } = createVerifier({
  issuer,
  audience: 'shop',
  jwksUri: `${issuer}/jwks`,
  algorithms,
  now: () => start,
  cooldownMs: Number.POSITIVE_INFINITY,
  fetch: async () => Response.json({ keys: signers.map(({ jwk }) => jwk) }),
});

/** The result for both, which must be the same. Any error that is not a VerifierError fails the test. */
async function check(token: string): Promise<string> {
  const codes = [checkToken(token, getKey, rules), verify(token)].map((checked) =>
    checked.then(
      () => 'ok',
      (error: unknown) => {
        if (error instanceof VerifierError) return error.code;
        throw error;
      },
    ),
  );
  const [one, other] = await Promise.all(codes);
  if (one !== other) throw new Error(`${one} is not ${other}`);
  return String(one);
}

type Parameters = { name: string; hash?: string; saltLength?: number };

const WEB_CRYPTO = new Map<string, (hash: string) => Parameters>([
  ['ES', (hash: string) => ({ name: 'ECDSA', hash })],
  ['RS', (hash: string) => ({ name: 'RSASSA-PKCS1-v1_5', hash })],
  ['PS', (hash: string) => ({ name: 'RSA-PSS', saltLength: Number(hash.slice(4)) / 8 })],
  ['Ed', () => ({ name: 'Ed25519' })],
]);

/** A signature with this key's algorithm, even if the header names another. */
async function signInput({ jwk, privateKey }: Signer, input: string): Promise<Buffer> {
  const parameters = WEB_CRYPTO.get(jwk.alg.slice(0, 2))?.(`SHA-${jwk.alg.slice(2)}`);
  return Buffer.from(await crypto.subtle.sign(parameters ?? '', privateKey, Buffer.from(input)));
}

function inputOf(header: object): string {
  return `${encode(header)}.${encode(claimsAt(start / 1000))}`;
}

test('a key verifies tokens of its own algorithm alone, whatever the header says, and no answer is unexpected', async (t) => {
  for (const signer of signers) {
    for (const alg of [...algorithms, ...oddAlgorithms]) {
      const input = inputOf({ alg, kid: signer.kid, typ: 'at+jwt' });
      const code = await check(`${input}.${(await signInput(signer, input)).toString('base64url')}`);
      const isText = typeof alg === 'string' && alg !== '';
      const refusal = isText ? 'algorithm_not_allowed' : 'token_malformed';
      const expected = alg === signer.jwk.alg ? 'ok' : refusal;
      if (code !== expected) t.fail(`${signer.jwk.alg} as ${JSON.stringify(alg)}: ${code}`);
    }
  }
});

test('a signature of another length, or of zeros or ones alone, is wrong and nothing else', async (t) => {
  for (const { kid, jwk } of signers) {
    const input = inputOf({ alg: jwk.alg, kid, typ: 'at+jwt' });
    for (const length of signatureLengths) {
      for (const byte of [0x00, 0x01, 0x80, 0xff]) {
        const code = await check(`${input}.${Buffer.alloc(length, byte).toString('base64url')}`);
        if (code !== 'signature_invalid') t.fail(`${jwk.alg}, ${length} bytes of ${byte}: ${code}`);
      }
    }
  }
});

test('property: no header, no claims and no signature give anything but a VerifierError', async () => {
  const anyAlgorithm = fc.oneof(fc.constantFrom(...algorithms, ...oddAlgorithms), fc.string());
  const header = fc.record(
    {
      alg: anyAlgorithm,
      kid: fc.oneof(fc.constantFrom(...byKid.keys()), fc.string(), fc.jsonValue()),
      typ: fc.oneof(fc.constant('at+jwt'), fc.string(), fc.jsonValue()),
      crit: fc.oneof(fc.constant(['b64']), fc.jsonValue()),
      b64: fc.oneof(fc.boolean(), fc.jsonValue()),
      jwk: fc.jsonValue(),
      toString: fc.jsonValue(),
      ['__proto__']: fc.jsonValue(),
    },
    { requiredKeys: ['alg', 'kid', 'typ'] },
  );
  const claims = fc.oneof(fc.constant(claimsAt(start / 1000)), fc.jsonValue());
  const signature = fc.oneof(fc.constant('its own'), fc.uint8Array({ minLength: 1, maxLength: 520 }));
  const isAnswered = async (head: object, payload: unknown, signed: string | Uint8Array) => {
    const input = `${encode(head)}.${encode(payload)}`;
    const { alg, kid } = head as { alg: unknown; kid: string };
    const signer = byKid.get(kid) ?? signers.find(({ jwk }) => jwk.alg === alg);
    const bytes = typeof signed === 'string' ? signer && (await signInput(signer, input)) : signed;
    const code = await check(`${input}.${Buffer.from(bytes ?? []).toString('base64url')}`);
    return code !== 'ok' || signer?.jwk.alg === alg;
  };
  await fc.assert(fc.asyncProperty(header, claims, signature, isAnswered), { numRuns: 1_000 });
});
