import { createHmac, KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { CompactSign, exportSPKI, generateKeyPair } from 'jose';
import { test } from 'tap';
import {
  assertTokenRules,
  checkToken,
  DEFAULT_ALGORITHMS,
  type GetKey,
  type KnownKey,
  type TokenRules,
} from '../../src/verifier/check-token.ts';
import { VerifierError } from '../../src/verifier/verifier-error.ts';
import { breakVerification } from '../support/broken-crypto.ts';
import { otherSpelling } from '../support/es256-signature.ts';
import {
  type Changes,
  claimsAt,
  codeOf,
  createSigner,
  encode,
  issuer,
  onceAtShop,
  start,
} from './support/tokens.ts';

const rules: TokenRules = {
  issuer,
  audiences: ['shop'],
  types: ['at+jwt'],
  algorithms: DEFAULT_ALGORITHMS,
  leewaySeconds: 5,
  now: () => start,
};

const [signer, other, ed25519, rsa] = await Promise.all([
  createSigner(),
  createSigner(),
  createSigner('EdDSA'),
  createSigner('RS256'),
]);
const known = new Map<string, KnownKey>(
  [signer, other, ed25519, rsa].map(({ kid, jwk, publicKey }) => [
    kid,
    { algorithm: jwk.alg, key: publicKey },
  ]),
);

const getKey: GetKey = async (kid) => {
  const key = known.get(kid);
  if (!key) throw new VerifierError('key_unknown');
  return key;
};

function check(token: string, changes: Partial<TokenRules> = {}) {
  return codeOf(checkToken(token, getKey, { ...rules, ...changes }));
}

/** A token with this header, valid or not, and a correct signature. */
async function withHeader(header: Changes): Promise<string> {
  const input = `${encode({ alg: 'ES256', kid: signer.kid, typ: 'at+jwt', ...header })}.${encode(claimsAt(start / 1000))}`;
  const key = signer.privateKey;
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, Buffer.from(input));
  return `${input}.${Buffer.from(signature).toString('base64url')}`;
}

test('gives the claims and the type of a good token, for each algorithm', async (t) => {
  for (const { sign } of [signer, ed25519, rsa]) {
    const { claims, type } = await checkToken(await sign(), getKey, rules);
    t.equal(claims.email, 'ada@example.com');
    t.equal(type, 'at+jwt');
  }
});

test('takes the key objects of Node as well', async (t) => {
  const found = { algorithm: 'ES256', key: KeyObject.from(signer.publicKey) };
  t.equal(await codeOf(checkToken(await signer.sign(), () => found, rules)), 'ok');
  t.equal(await codeOf(checkToken(await other.sign(), () => found, rules)), 'signature_invalid');
});

test('knows types in every spelling, and takes only those asked for', async (t) => {
  for (const typ of ['at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/At+Jwt'])
    t.equal(await check(await signer.sign({}, { typ })), 'ok', typ);
  for (const typ of ['JWT', 'one-time+jwt', 'application/application/at+jwt', '', undefined, 1, ['at+jwt']])
    t.equal(await check(await withHeader({ typ })), 'type_not_allowed', String(typ));
  const oneTime = await signer.sign({ aud: onceAtShop }, { typ: 'one-time+jwt' });
  const { type } = await checkToken(oneTime, getKey, { ...rules, types: ['at+jwt', 'one-time+jwt'] });
  t.equal(type, 'one-time+jwt');
});

test('takes a token for any service only if it is told so', async (t) => {
  const token = await signer.sign({ aud: 'payments' });
  t.equal(await check(token), 'audience_mismatch');
  t.equal(await check(token, { audiences: null }), 'ok');
});

test('refuses every forgery', async (t) => {
  const token = await signer.sign();
  const [head = '', body = '', signature = ''] = token.split('.');
  const { publicKey: p384 } = await generateKeyPair('ES384');
  const stranger = await createSigner();
  const spki = await exportSPKI(signer.publicKey);
  const hmacInput = `${encode({ alg: 'HS256', kid: signer.kid, typ: 'at+jwt' })}.${body}`;
  const hmac = createHmac('sha256', spki).update(hmacInput).digest('base64url');
  known.set('p384', { algorithm: 'ES384', key: p384 });
  const forgeries: [what: string, token: string, code: string][] = [
    [
      'alg none, no signature',
      `${encode({ alg: 'none', kid: signer.kid, typ: 'at+jwt' })}.${body}.`,
      'token_malformed',
    ],
    ['alg none', await withHeader({ alg: 'none' }), 'algorithm_not_allowed'],
    ['alg nOnE', await withHeader({ alg: 'nOnE' }), 'algorithm_not_allowed'],
    ['HS256 keyed with the public key', `${hmacInput}.${hmac}`, 'algorithm_not_allowed'],
    ['an algorithm that is not on the list', await withHeader({ alg: 'ES384' }), 'algorithm_not_allowed'],
    ['no alg', await withHeader({ alg: undefined }), 'token_malformed'],
    ['an alg that is no text', await withHeader({ alg: ['ES256'] }), 'token_malformed'],
    ['the algorithm of another kind of key', await withHeader({ alg: 'RS256' }), 'algorithm_not_allowed'],
    ['a key on another curve', await withHeader({ kid: 'p384' }), 'algorithm_not_allowed'],
    ['no kid', await withHeader({ kid: undefined }), 'key_unknown'],
    ['an empty kid', await withHeader({ kid: '' }), 'key_unknown'],
    ['a kid that is no text', await withHeader({ kid: 1 }), 'key_unknown'],
    ['an unknown kid', await withHeader({ kid: '../../etc/passwd' }), 'key_unknown'],
    ['the kid of another key', await withHeader({ kid: other.kid }), 'signature_invalid'],
    ['its own key, jwk', await stranger.sign({}, { jwk: stranger.jwk }), 'key_unknown'],
    [
      'its own key under our kid',
      await stranger.sign({}, { jwk: stranger.jwk, kid: signer.kid }),
      'signature_invalid',
    ],
    ['jku', await stranger.sign({}, { jku: 'https://evil.example', kid: signer.kid }), 'signature_invalid'],
    ['x5u', await stranger.sign({}, { x5u: 'https://evil.example', kid: signer.kid }), 'signature_invalid'],
    ['x5c', await stranger.sign({}, { x5c: ['AAAA'], kid: signer.kid }), 'signature_invalid'],
    ['no signature', `${head}.${body}.`, 'token_malformed'],
    ['no third part', `${head}.${body}`, 'token_malformed'],
    ['a fourth part', `${token}.${signature}`, 'token_malformed'],
    ['another signature', `${head}.${body}.${'A'.repeat(86)}`, 'signature_invalid'],
    ['a short signature', `${head}.${body}.${signature.slice(0, 84)}`, 'signature_invalid'],
    [
      'other claims',
      `${head}.${encode({ ...claimsAt(start / 1000), sub: 'root' })}.${signature}`,
      'signature_invalid',
    ],
    ['b64', await withHeader({ crit: ['b64'], b64: false }), 'critical_header'],
    ['b64: true', await withHeader({ crit: ['b64'], b64: true }), 'critical_header'],
    ['an unknown crit', await withHeader({ crit: ['exp'], exp: 1 }), 'critical_header'],
    ['an empty crit', await withHeader({ crit: [] }), 'token_malformed'],
    ['a crit that is no list', await withHeader({ crit: 'exp' }), 'token_malformed'],
    ['crit null', await withHeader({ crit: null }), 'token_malformed'],
    ['something after it', `${token}AAAA`, 'signature_invalid'],
    ['a line break after it', `${token}\n`, 'token_malformed'],
    ['a space before it', ` ${token}`, 'token_malformed'],
    ['padding', `${token}=`, 'token_malformed'],
    ['the other alphabet', `${head}.${body}.${signature.slice(1)}+`, 'token_malformed'],
    [
      'bits that count for nothing',
      `${head}.${body}.${signature.slice(0, -1)}${nextOf(signature)}`,
      'token_malformed',
    ],
    ['a length that base64 has not', `${head}.${body}.${signature}AAA`, 'token_malformed'],
    ['a header that is not JSON', `${encode('{')}.${body}.${signature}`, 'token_malformed'],
    ['a header that is a list', `${encode([])}.${body}.${signature}`, 'token_malformed'],
    ['claims that are not JSON', await signBytes('{"iss"'), 'token_malformed'],
    ['a JWE', `${token}.${head}.${body}`, 'token_malformed'],
    ['more than 8 KiB', await signer.sign({ more: 'x'.repeat(8192) }), 'token_malformed'],
    ['nothing', '', 'token_missing'],
  ];
  for (const [what, forged, code] of forgeries) t.equal(await check(forged), code, what);
});

/** The same 6 bits but for the last, which base64url of 64 bytes does not use. */
function nextOf(signature: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet.charAt(alphabet.indexOf(signature.slice(-1)) + 1);
}

function signBytes(payload: string): Promise<string> {
  return new CompactSign(Buffer.from(payload))
    .setProtectedHeader({ alg: 'ES256', kid: signer.kid, typ: 'at+jwt' })
    .sign(signer.privateKey);
}

test('of two header members of one name the last counts, and the signature is over both', async (t) => {
  const header = `{"alg":"none","alg":"ES256","kid":"x","kid":"${signer.kid}","typ":"at+jwt"}`;
  const input = `${encode(header)}.${encode(claimsAt(start / 1000))}`;
  const hash = { name: 'ECDSA', hash: 'SHA-256' };
  const signature = await crypto.subtle.sign(hash, signer.privateKey, Buffer.from(input));
  t.equal(await check(`${input}.${Buffer.from(signature).toString('base64url')}`), 'ok');
  const reversed = header.replace('"ES256"', '"none"');
  t.equal(await check(`${encode(reversed)}.${input.split('.')[1]}.AAAA`), 'algorithm_not_allowed');
});

test('takes both signatures that ES256 has for a token, which have the same id', async (t) => {
  const token = await signer.sign();
  const twin = otherSpelling(token);
  t.not(twin, token);
  t.strictSame(await checkToken(twin, getKey, rules), await checkToken(token, getKey, rules));
});

test('an unexpected error is thrown as what it is, and is no refusal', async (t) => {
  const token = await signer.sign();
  const thrownBy = (find: GetKey) => checkToken(token, find, rules).catch((error: unknown) => error);
  const bug = new RangeError('a bug in the look-up of keys');
  t.equal(await thrownBy(() => Promise.reject(bug)), bug);
  t.equal(
    await thrownBy(() => {
      throw bug;
    }),
    bug,
  );
  const unknown = new VerifierError('keys_unavailable');
  t.equal(await thrownBy(() => Promise.reject(unknown)), unknown, 'a VerifierError of the look-up as well');
  const mislabelled = { algorithm: 'ES256', key: rsa.publicKey };
  t.match(await thrownBy(() => mislabelled), new TypeError(), 'a key that is not what its set says');
});

test('cryptography that fails is no wrong signature', async (t) => {
  const failure = new DOMException('the provider is gone', 'OperationError');
  breakVerification(t, failure);
  t.equal(await checkToken(await signer.sign(), getKey, rules).catch((error: unknown) => error), failure);
});

test('asks for no key before everything else in the header is right', async (t) => {
  const asked: string[] = [];
  const spy: GetKey = (kid) => {
    asked.push(kid);
    return getKey(kid);
  };
  const refused = [
    await withHeader({ alg: 'none' }),
    await withHeader({ typ: 'JWT' }),
    await withHeader({ crit: ['b64'], b64: true }),
    await withHeader({ kid: undefined }),
    'x'.repeat(9000),
    'a.b.c',
  ];
  for (const token of refused) t.not(await codeOf(checkToken(token, spy, rules)), 'ok');
  t.strictSame(asked, []);
});

test('no error quotes the token, not even in its cause', async (t) => {
  const canary = 'canary';
  const tokens = [
    `${encode(`{"${canary}`)}.${encode('{}')}.AAAA`,
    await signBytes(`{"${canary}`),
    await signer.sign({ exp: 1, canary }),
    await withHeader({ crit: [canary] }),
  ];
  for (const token of tokens) {
    const error = await checkToken(token, getKey, rules).catch((refused) => refused);
    t.type(error, VerifierError);
    t.equal(error.cause, undefined);
    t.notMatch(`${error.message} ${JSON.stringify(error)}`, canary);
  }
});

test('property: whatever text comes as a token, only a VerifierError is thrown', async () => {
  const [head = '', body = '', signature = ''] = (await signer.sign()).split('.');
  const part = fc.oneof(
    fc.constantFrom(head, body, signature),
    fc.base64String().map(encode),
    fc.json().map(encode),
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(part, { maxLength: 4 }).map((parts) => parts.join('.')),
  );
  const isOurs = async (token: string) =>
    token === `${head}.${body}.${signature}` || /^[a-z_]+$/.test(await check(token));
  await fc.assert(fc.asyncProperty(text, isOurs));
});

test('property: a token with one character changed is refused', async () => {
  const token = await signer.sign();
  const alphabet = 'ABCabc019-_.=+/ ';
  const at = fc.integer({ min: 0, max: token.length - 1 });
  const isRefused = async (index: number, character: string) => {
    const changed = token.slice(0, index) + character + token.slice(index + 1);
    return changed === token || (await check(changed)) !== 'ok';
  };
  await fc.assert(fc.asyncProperty(at, fc.constantFrom(...alphabet), isRefused), { numRuns: 300 });
});

test('refuses rules that check too little', async (t) => {
  const good = { algorithms: DEFAULT_ALGORITHMS, audiences: ['shop'], leewaySeconds: 60 };
  t.doesNotThrow(() => assertTokenRules(good));
  t.doesNotThrow(() => assertTokenRules({ ...good, audiences: null }));
  for (const algorithms of [[], ['none'], ['ES256', 'HS256'], ['es256']])
    t.throws(() => assertTokenRules({ ...good, algorithms }), TypeError, algorithms.join());
  t.throws(() => assertTokenRules({ ...good, audiences: ['shop', onceAtShop] }), TypeError);
  for (const leewaySeconds of [61, -1, Number.NaN])
    t.throws(() => assertTokenRules({ ...good, leewaySeconds }), TypeError);
});
