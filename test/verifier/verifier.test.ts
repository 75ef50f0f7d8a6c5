import { test } from 'tap';
import type { TokenType } from '../../src/verifier/token-type.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import type { VerifierOptions } from '../../src/verifier/verifier-settings.ts';
import { breakVerification } from '../support/broken-crypto.ts';
import { createFakeIssuer, dead, jwksUri, settle } from './support/fake-issuer.ts';
import { codeOf, createSigner, issuer, onceAtShop, start } from './support/tokens.ts';

const minute = 60_000;

test('verifies a token for this service, and refuses one for another', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier();
  const claims = await verify(await fake.sign());
  t.equal(claims.email, 'ada@example.com');
  const { verify: verifyAtPayments } = fake.verifier({ audience: ['payments', 'books'] });
  t.equal(await codeOf(verifyAtPayments(await fake.sign())), 'audience_mismatch');
});

test('takes access tokens alone, unless told otherwise', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier();
  const token = await fake.signer.sign({ aud: onceAtShop }, { typ: 'one-time+jwt' });
  t.equal(await codeOf(verify(token)), 'type_not_allowed');
  t.equal(await codeOf(verify(token, { types: ['one-time+jwt'] })), 'ok');
});

test('of two types that it may take, holds each to the audience of its own', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier({ audience: ['shop', 'books'] });
  const codeFor = async (typ: TokenType, aud: string) =>
    codeOf(verify(await fake.signer.sign({ aud }, { typ }), { types: ['at+jwt', 'one-time+jwt'] }));
  t.equal(await codeFor('at+jwt', 'books'), 'ok');
  t.equal(await codeFor('one-time+jwt', 'urn:doorward:once:books'), 'ok');
  t.equal(await codeFor('at+jwt', 'urn:doorward:once:books'), 'audience_mismatch');
  t.equal(await codeFor('one-time+jwt', 'books'), 'audience_mismatch');
});

test('a key is good for its own algorithm alone', async (t) => {
  const fake = await createFakeIssuer();
  const rsa = await createSigner('RS256');
  fake.state.keys = [fake.signer.jwk, rsa.jwk];
  const { verify } = fake.verifier();
  t.equal(await codeOf(verify(await fake.sign(rsa))), 'ok');
  t.equal(await codeOf(verify(await rsa.sign({}, { kid: fake.signer.kid }))), 'algorithm_not_allowed');
  const { verify: verifyEdDsa } = fake.verifier({ algorithms: ['EdDSA'] });
  t.equal(await codeOf(verifyEdDsa(await fake.sign())), 'algorithm_not_allowed');
});

test('finds the keys through the metadata of the issuer', async (t) => {
  const fake = await createFakeIssuer();
  fake.state.metadata = { issuer, jwks_uri: 'https://keys.example.com/set' };
  const { verify } = fake.discoveringVerifier();
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  fake.advance(600_000);
  await verify(await fake.sign());
  await settle();
  t.strictSame(
    fake.requests.map(({ url }) => url),
    [`${issuer}/.well-known/oauth-authorization-server`, ...Array(2).fill('https://keys.example.com/set')],
    'the metadata once',
  );
});

test('metadata is below the path of the issuer', async (t) => {
  const asked: string[] = [];
  const fetch = async (url: string) => {
    asked.push(url);
    return new Response(null, { status: 404 });
  };
  for (const path of ['/auth', '/auth/', '/'])
    await codeOf(
      createVerifier({ issuer: `${issuer}${path}`, audience: 'shop', fetch, revocations: false }).load(),
    );
  t.strictSame(
    asked.map((url) => url.slice(issuer.length)),
    ['/auth', '/auth', ''].map((path) => `${path}/.well-known/oauth-authorization-server`),
  );
});

test('metadata of another issuer, or with an address that cannot be trusted, is refused', async (t) => {
  const fake = await createFakeIssuer();
  const good = { issuer, jwks_uri: jwksUri };
  const bad = [
    { ...good, issuer: `${issuer}/` },
    { ...good, issuer: 'https://evil.example' },
    { issuer },
    { ...good, jwks_uri: 'http://auth.example.com/keys' },
    { ...good, jwks_uri: 'keys' },
    { ...good, jwks_uri: 'file:///etc/passwd' },
    [],
    null,
  ];
  for (const metadata of bad) {
    fake.state.metadata = metadata;
    t.equal(await codeOf(fake.discoveringVerifier().load()), 'keys_unavailable', JSON.stringify(metadata));
  }
  t.notOk(fake.requests.some(({ url }) => !url.endsWith('oauth-authorization-server')));
});

test('a key set that has moved is found again', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.discoveringVerifier();
  await verify(await fake.sign());
  fake.state.instead = () => new Response(null, { status: 404 });
  fake.advance(700_000);
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  await settle();
  fake.state.instead = null;
  fake.state.metadata = { issuer, jwks_uri: `${issuer}/elsewhere` };
  fake.advance(1000);
  await verify(await fake.sign());
  await settle();
  t.equal(fake.requests.at(-1)?.url, `${issuer}/elsewhere`);
});

test('options that would check too little are refused at once', async (t) => {
  const good = { issuer, audience: 'shop' };
  const bad: Partial<VerifierOptions>[] = [
    { issuer: 'http://auth.example.com' },
    { issuer: 'auth.example.com' },
    { issuer: 'https://user:word@auth.example.com' },
    { jwksUri: 'http://auth.example.com/keys' },
    { jwksUri: 'http://localhost.evil.example/keys' },
    { jwksUri: 'http://127.0.0.1.evil.example/keys' },
    { jwksUri: 'ftp://localhost/keys' },
    { audience: '' },
    { audience: onceAtShop },
    { audience: ['shop', 'URN:Doorward:once:shop'] },
    { audience: [] },
    { leewaySeconds: 61 },
    { algorithms: ['HS256'] },
    { algorithms: ['none'] },
  ];
  for (const options of bad)
    t.throws(() => createVerifier({ ...good, ...options }), TypeError, JSON.stringify(options));
  const locals = ['http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:3000', 'http://auth.localhost'];
  for (const local of locals) t.ok(createVerifier({ ...good, issuer: local }), local);
  t.ok(createVerifier({ ...good, issuer: 'http://auth.example.com', allowInsecure: true }));
});

test('hooks are told, and one that throws or rejects changes nothing', async (t) => {
  const fake = await createFakeIssuer();
  const told: unknown[][] = [];
  const tell =
    (name: string) =>
    (...args: unknown[]) => {
      told.push([name, ...args]);
      if (name === 'verified') throw new Error('thrown by a hook');
      return Promise.reject(new Error('rejected by a hook'));
    };
  const on = { fetched: tell('fetched'), fetchFailed: tell('fetchFailed'), verified: tell('verified') };
  const { verify } = fake.verifier({ on });
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  t.equal(await codeOf(verify('x')), 'token_malformed');
  fake.state.instead = dead;
  fake.advance(700_000);
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  t.strictSame(told.slice(0, 3), [
    ['fetched', 0, 200],
    ['verified', 'ok'],
    ['verified', 'token_malformed'],
  ]);
  t.match(told[3], ['fetchFailed', { name: 'SetupError', cause: TypeError }]);
});

test('uses the fetch of the runtime, as it is when it is needed', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = createVerifier({ issuer, audience: 'shop', jwksUri, now: fake.now });
  const original = globalThis.fetch;
  t.teardown(() => {
    globalThis.fetch = original;
  });
  globalThis.fetch = (url, init) => fake.fetch(String(url), init ?? {});
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
});

test('an unexpected error is thrown as what it is, and the hook is told of its outcome', async (t) => {
  const fake = await createFakeIssuer();
  const outcomes: string[] = [];
  const { verify } = fake.verifier({ on: { verified: (outcome) => void outcomes.push(outcome) } });
  const token = await fake.sign();
  await verify(token);
  await codeOf(verify(`${token}AAAA`));
  const failure = new DOMException('the provider is gone', 'OperationError');
  breakVerification(t, failure);
  t.equal(await verify(token).catch((error: unknown) => error), failure);
  t.strictSame(outcomes, ['ok', 'signature_invalid', 'unexpected']);
});

test('on a host whose clock is behind, says so once a minute while it refuses fresh tokens', async (t) => {
  const fake = await createFakeIssuer();
  const warnings: string[] = [];
  const { verify } = fake.verifier({ on: { warning: (text) => warnings.push(text) } });
  const fresh = await fake.sign();
  fake.stepWallClock(-5000);
  t.equal(await codeOf(verify(fresh)), 'ok');
  t.strictSame(warnings, [], 'within the leeway');
  fake.stepWallClock(-1000);
  for (let count = 0; count < 10; count += 1) t.equal(await codeOf(verify(fresh)), 'token_not_yet_valid');
  t.strictSame(warnings, ['A token was issued in the future by 6 s: check the clock of this host']);
  fake.stepWallClock(-minute);
  fake.advance(minute - 1);
  t.equal(await codeOf(verify(fresh)), 'token_not_yet_valid');
  t.equal(warnings.length, 1, 'the wall clock does not measure the minute');
  fake.advance(1);
  t.equal(await codeOf(verify(fresh)), 'token_not_yet_valid');
  t.equal(warnings.length, 2);
});

test('warns about the clock only for a token that the issuer has signed for this service', async (t) => {
  const fake = await createFakeIssuer();
  const warnings: string[] = [];
  const { verify } = fake.verifier({ on: { warning: (text) => warnings.push(text) } });
  const iat = start / 1000 + 3600;
  const future = { iat, exp: iat + 300 };
  const forger = await createSigner();
  const signed = await fake.signer.sign(future);
  const refused = [
    ['key_unknown', forger.sign(future)],
    ['signature_invalid', forger.sign(future, { kid: fake.signer.kid })],
    ['signature_invalid', `${signed.slice(0, signed.lastIndexOf('.'))}.${'A'.repeat(86)}`],
    ['issuer_mismatch', fake.signer.sign({ ...future, iss: 'https://evil.example' })],
    ['audience_mismatch', fake.signer.sign({ ...future, aud: 'payments' })],
    ['token_not_yet_valid', fake.signer.sign({ nbf: iat })],
  ] as const;
  const ofClock = () => warnings.filter((text) => text.includes('clock'));
  for (const [code, token] of refused) t.equal(await codeOf(verify(await token)), code);
  t.strictSame(ofClock(), []);
  t.equal(await codeOf(verify(signed)), 'token_not_yet_valid');
  t.equal(ofClock().length, 1);
});
