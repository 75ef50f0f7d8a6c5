import { test } from 'tap';
import { createDoors } from '../../src/verifier/doors.ts';
import { createIntrospection } from '../../src/verifier/introspection.ts';
import type { TokenType } from '../../src/verifier/token-type.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { freePort } from '../support/free-port.ts';
import { createFakeIssuer, jwksUri } from './support/fake-issuer.ts';
import { codeOf, createSigner, issuer, onceAtShop } from './support/tokens.ts';

const minute = 60_000;
const metadataUri = `${issuer}/.well-known/oauth-authorization-server`;
const setIssuer =
  'set issuer to PUBLIC_URL of the auth server, letter for letter, and jwksUri if this service reaches it by another address';
const checkCertificate =
  'check the certificate and the host name in it; if its CA is your own, name it in NODE_EXTRA_CA_CERTS';

const status = (code: number) => () => new Response('secret', { status: code });
const failure = (code: string) => () => {
  throw new TypeError('fetch failed: secret', { cause: Object.assign(new Error('secret'), { code }) });
};

const ofMetadata: [what: string, answer: () => Response, warning: string][] = [
  [
    'nothing there',
    failure('ECONNREFUSED'),
    `cannot be fetched (ECONNREFUSED): start the auth server, or ${setIssuer}`,
  ],
  [
    'an untrusted certificate',
    failure('DEPTH_ZERO_SELF_SIGNED_CERT'),
    `cannot be fetched, because TLS fails (DEPTH_ZERO_SELF_SIGNED_CERT): ${checkCertificate}`,
  ],
  [
    'https to a port that speaks http',
    failure('ERR_SSL_WRONG_VERSION_NUMBER'),
    `cannot be fetched, because TLS fails (ERR_SSL_WRONG_VERSION_NUMBER): ${checkCertificate}`,
  ],
  [
    'no answer in time',
    () => {
      throw new DOMException('secret', 'TimeoutError');
    },
    `cannot be fetched (TimeoutError): start the auth server, or ${setIssuer}`,
  ],
  ['a redirect', status(301), `is answered with a redirect (301), which is not followed: ${setIssuer}`],
  ['another path', status(404), `is not there (404): ${setIssuer}`],
  [
    'a server in trouble',
    status(503),
    'is answered with the status 503: look into the log of the auth server',
  ],
  ['a page', () => new Response('<html>secret'), `is not a JSON object: ${setIssuer}`],
  ['a list', () => Response.json(['secret']), `is not a JSON object: ${setIssuer}`],
  [
    'another issuer',
    () => Response.json({ issuer: 'http://other\n' }),
    `is of the issuer http://other?, not ${issuer}: set issuer to PUBLIC_URL of the auth server, letter for letter`,
  ],
  [
    'no address of the keys',
    () => Response.json({ issuer }),
    'is not usable, because its jwks_uri must be https, as the issuer is: check PUBLIC_URL of the auth server, or set jwksUri',
  ],
];

test('warns, with the cause and the cure, when the metadata cannot be used', async (t) => {
  for (const [what, answer, warning] of ofMetadata) {
    const warnings: string[] = [];
    const logger = { warn: (text: string) => warnings.push(text) };
    const verifier = createVerifier({ issuer, audience: 'shop', logger, fetch: async () => answer() });
    t.equal(await codeOf(verifier.load()), 'keys_unavailable');
    t.strictSame(warnings, [`The metadata at ${metadataUri} ${warning}`], what);
  }
});

test('warns when nothing listens at the address, as the network says it', async (t) => {
  const local = `http://127.0.0.1:${await freePort()}`;
  const warnings: string[] = [];
  const logger = { warn: (text: string) => warnings.push(text) };
  await codeOf(createVerifier({ issuer: local, audience: 'shop', logger, timeoutMs: minute }).load());
  t.match(warnings, [
    /^The metadata at http:\/\/127\.0\.0\.1:\d+\/\S+ cannot be fetched \(ECONNREFUSED\): start /,
  ]);
});

test('warns of a key set without a key that it may use, and of one that is elsewhere', async (t) => {
  const fake = await createFakeIssuer();
  const warnings: string[] = [];
  const logger = { warn: (text: string) => warnings.push(text) };
  await codeOf(fake.verifier({ logger, algorithms: ['EdDSA'] }).load());
  fake.state.instead = status(404);
  await codeOf(fake.verifier({ logger, jwksUri: `${jwksUri}?key=secret` }).load());
  await codeOf(fake.discoveringVerifier({ logger }).load());
  t.strictSame(warnings, [
    `The key set at ${jwksUri} has no usable key for EdDSA: set algorithms to SIGNING_ALGORITHM of the auth server`,
    `The key set at ${jwksUri} is not there (404): check jwksUri`,
    `The key set at ${jwksUri} is not there (404): check PUBLIC_URL of the auth server, or set jwksUri`,
  ]);
});

test('warns of a clock that is not that of the auth server, when it fetches the keys', async (t) => {
  const fake = await createFakeIssuer();
  const warnings: string[] = [];
  const logger = { warn: (text: string) => warnings.push(text) };
  const fetched = async (serverMs: number, headers: Record<string, string> = {}) => {
    fake.state.headers = { date: new Date(fake.now() + serverMs).toUTCString(), ...headers };
    await codeOf(fake.verifier({ logger }).load());
    return warnings.splice(0);
  };
  t.strictSame(await fetched(-8000), [
    'The clock of this host is 8 s ahead of that of the auth server: set both by NTP',
  ]);
  t.strictSame(await fetched(8000), [
    'The clock of this host is 8 s behind that of the auth server: set both by NTP',
  ]);
  for (const ms of [-7000, 0, 7000]) t.strictSame(await fetched(ms), []);
  t.strictSame(await fetched(-300_000, { age: '300' }), [], 'an answer from a cache');
  t.strictSame(await fetched(0, { date: 'soon' }), [], 'not a date');
});

test('warns once a minute for each cause, however many requests come, and one cause hides no other', async (t) => {
  const fake = await createFakeIssuer();
  const warnings: string[] = [];
  const { verify } = fake.verifier({ logger: { warn: (text) => warnings.push(text) } });
  const warned = async (minutes: number) => {
    for (let second = 0; second < minutes * 60; second += 1) {
      await codeOf(verify(await stranger.sign()));
      fake.advance(1000);
    }
    return warnings.splice(0).map((text) => text.replace(/.*(cannot be fetched|status 500).*/, '$1'));
  };
  const stranger = await createSigner();
  fake.state.instead = failure('ECONNREFUSED');
  t.same(await warned(1), ['cannot be fetched']);
  fake.state.instead = status(500);
  t.same(await warned(1), ['status 500']);
  let isGone = false;
  fake.state.instead = () => {
    isGone = !isGone;
    return (isGone ? failure('ECONNREFUSED') : status(500))();
  };
  t.same((await warned(3)).sort(), [...Array(3).fill('cannot be fetched'), ...Array(3).fill('status 500')]);
});

test('warns of tokens for other services, which a misspelt audience makes of its own', async (t) => {
  const fake = await createFakeIssuer();
  const warnings: string[] = [];
  const warned = async (audience: string | string[], aud: unknown, types?: TokenType[]) => {
    const { verify } = fake.verifier({ audience, logger: { warn: (text) => warnings.push(text) } });
    const token = await fake.signer.sign({ aud }, { typ: types?.[0] ?? 'at+jwt' });
    t.equal(await codeOf(verify(token, types && { types })), 'audience_mismatch');
    return warnings.splice(0);
  };
  const warning = (found: string, taken: string) => [
    `A token with a good signature is for ${found}, and this service takes tokens for ${taken}: if this service is among the first, set audience to that name; otherwise a client sends tokens of another service`,
  ];
  t.strictSame(await warned('shp', 'shop'), warning('shop', 'shp'));
  t.strictSame(await warned(['a', 'b'], ['shop', 'payments']), warning('shop, payments', 'a, b'));
  t.strictSame(
    await warned('shp', onceAtShop, ['one-time+jwt']),
    warning(onceAtShop, `urn:doorward:once:shp`),
  );
  t.strictSame(await warned('shp', `shop\n${'x'.repeat(300)}`), warning(`shop?${'x'.repeat(195)}`, 'shp'));
  t.strictSame(await warned('shp', [...'abcdefg']), warning('a, b, c, d, e and 2 more', 'shp'));
});

test('warns of another audience once a minute, of no token with a bad signature, and of none that is good', async (t) => {
  const fake = await createFakeIssuer();
  const warnings: string[] = [];
  const { verify } = fake.verifier({ logger: { warn: (text) => warnings.push(text) } });
  const stranger = await createSigner();
  const forged = await stranger.sign({ aud: 'payments' }, { kid: fake.signer.kid });
  t.equal(await codeOf(verify(forged)), 'signature_invalid');
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  t.strictSame(warnings, []);
  for (let second = 0; second < 120; second += 1) {
    await codeOf(verify(await fake.signer.sign({ aud: `other-${second}` })));
    fake.advance(1000);
  }
  t.equal(warnings.length, 2);
  await codeOf(verify(await fake.signer.sign({ iss: 'https://other.example.com' })));
  t.equal(warnings.length, 3, 'hides no other cause');
});

test('warns in the console by default, at the hook as well, and nowhere with logger: false', async (t) => {
  const lines = t.capture(console, 'warn', () => {});
  const hooked: string[] = [];
  const verifier = (options: { logger?: false }) =>
    createVerifier({
      issuer,
      audience: 'shop',
      fetch: async () => new Response(null, { status: 404 }),
      on: { warning: (text) => hooked.push(text) },
      ...options,
    });
  await codeOf(verifier({}).load());
  t.strictSame(
    lines().map(({ args }) => args),
    [hooked],
  );
  await codeOf(verifier({ logger: false }).load());
  t.equal(lines().length, 0);
  t.equal(hooked.length, 2);
});

test('a logger that throws or rejects changes nothing', async (t) => {
  const broken = [
    () => {
      throw new Error('a full disk');
    },
    () => Promise.reject(new Error('a full disk')),
  ];
  for (const warn of broken) {
    const fetch = async () => new Response(null, { status: 404 });
    const verifier = createVerifier({ issuer, audience: 'shop', logger: { warn }, fetch });
    t.equal(await codeOf(verifier.load()), 'keys_unavailable');
  }
});

test('warns of an introspection that gives no answer, and quotes neither token nor secret', async (t) => {
  const fake = await createFakeIssuer();
  const answers: [() => Response, string][] = [
    [
      failure('ENOTFOUND'),
      'cannot be fetched (ENOTFOUND): start the auth server, or check issuer, or set introspectionUri',
    ],
    [status(404), 'is not there (404): check issuer, or set introspectionUri'],
    [status(403), 'is answered with the status 403: look into the log of the auth server'],
    [
      () => Response.json({}),
      'does not say whether the token is active: check issuer, or set introspectionUri',
    ],
  ];
  for (const [answer, warning] of answers) {
    const warnings: string[] = [];
    const logger = { warn: (text: string) => warnings.push(text) };
    const { settings } = fake.verifier({ logger, fetch: async () => answer() });
    const { introspect } = createIntrospection({ clientId: 'shop', clientSecret: 'secret' }, settings);
    await codeOf(introspect(await fake.sign()));
    t.strictSame(warnings, [`The introspection at ${issuer}/oauth/introspect ${warning}`]);
  }
  const warnings: string[] = [];
  const { settings } = fake.verifier({
    logger: { warn: (text) => warnings.push(text) },
    fetch: async () => status(404)(),
  });
  const elsewhere = { clientId: 'shop', clientSecret: 'secret', introspectionUri: `${issuer}/elsewhere` };
  await codeOf(createIntrospection(elsewhere, settings).introspect('x'));
  t.strictSame(warnings, [
    `The introspection at ${issuer}/elsewhere is not there (404): check introspectionUri`,
  ]);
});

test('says which option is missing when there is no audience', async (t) => {
  const message =
    "audience is missing: set it to the name of this service in AUDIENCES of the auth server, for example createVerifier({ issuer: 'https://auth.example.com', audience: 'payments' })";
  for (const audience of [undefined, '', [], [''], [undefined]])
    t.throws(() => createVerifier({ issuer, audience: audience as string }), { name: 'TypeError', message });
});

test('a check of the setup throws what is not a problem of it unchanged', async (t) => {
  const fake = await createFakeIssuer();
  const bug = new RangeError('a bug');
  const introspection = {
    introspect: async () => ({ active: false as const }),
    confirm: async () => {},
    check: () => Promise.reject(bug),
  };
  const doors = createDoors({ verifier: fake.verifier(), introspection });
  t.equal(await doors.checkSetup().catch((error: unknown) => error), bug);
});
