import { test } from 'tap';
import { createDoors } from '../../src/verifier/doors.ts';
import { followRevocations } from '../../src/verifier/follow-revocations.ts';
import type { Introspection } from '../../src/verifier/introspection.ts';
import { createTokenHash } from '../../src/verifier/token-hash.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { settingsOf, type VerifierOptions } from '../../src/verifier/verifier-settings.ts';
import { createFakeIssuer, jwksUri, settle } from './support/fake-issuer.ts';
import { beginStream, createTime, sendEvent, sendJson, startFeedServer, until } from './support/feed.ts';
import { messageOf, type Revoked } from './support/revocations.ts';
import { codeOf, createSigner, issuer } from './support/tokens.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** An issuer with a feed that is polled, as a `fetch`. */
async function setUp(t: Teardown) {
  const fake = await createFakeIssuer();
  const state = {
    metadata: { issuer, jwks_uri: jwksUri, revocations_uri: `${issuer}/revocations` } as Record<
      string,
      unknown
    >,
    metadataStatus: 200,
    revoked: {} as Revoked,
  };
  const asked: string[] = [];
  const warnings: string[] = [];
  const fetch = async (url: string, init: RequestInit) => {
    asked.push(url);
    const { pathname } = new URL(url);
    if (pathname.endsWith('/revocations'))
      return Response.json(messageOf(state.revoked, { as_of: fake.now() }));
    if (!pathname.endsWith('oauth-authorization-server')) return fake.fetch(url, init);
    return Response.json(state.metadata, { status: state.metadataStatus });
  };
  return {
    ...fake,
    fetch,
    feed: state,
    asked,
    warnings,
    verifier(options: Partial<VerifierOptions> = {}) {
      const verifier = createVerifier({
        ...{ issuer, audience: 'shop', fetch, now: fake.now, steadyNow: fake.steadyNow },
        ...{ revocations: 'poll', logger: { warn: (text: string) => warnings.push(text) }, ...options },
      });
      t.teardown(verifier.close);
      return verifier;
    },
  };
}

test('refuses a token whose session has ended', async (t) => {
  const issuerWithFeed = await setUp(t);
  issuerWithFeed.feed.revoked = { sessions: ['session-1'] };
  const token = await issuerWithFeed.sign();
  const { verify, revocationLag } = issuerWithFeed.verifier();
  t.equal(revocationLag(), Number.POSITIVE_INFINITY);
  await until(() => revocationLag() === 0);
  t.equal(await codeOf(verify(token)), 'token_revoked');
  t.equal(await codeOf(verify(`${token}AAAA`)), 'signature_invalid', 'of a forged one it says nothing');
  t.equal(await codeOf(verify(await issuerWithFeed.signer.sign({ sid: 'session-2' }))), 'ok');
});

test('does so too where hashing takes a turn of the event loop', async (t) => {
  const { getBuiltinModule } = process;
  t.teardown(() => Object.assign(process, { getBuiltinModule }));
  Object.assign(process, { getBuiltinModule: undefined });
  t.equal(createTokenHash().now, undefined, 'as here');
  const { feed, verifier, sign, signer } = await setUp(t);
  feed.revoked = { sessions: ['session-1'] };
  const { verify, revocationLag } = verifier();
  await until(() => revocationLag() === 0);
  t.equal(await codeOf(verify(await sign())), 'token_revoked');
  t.equal(await codeOf(verify(await signer.sign({ sid: 'session-2' }))), 'ok');
});

test('refuses a token with an old version of the claims, and a version that is none', async (t) => {
  const { feed, verifier, signer } = await setUp(t);
  feed.revoked = { users: { 'user-1': 4 } };
  const { verify, revocationLag } = verifier();
  await until(() => revocationLag() === 0);
  const codes: string[] = [];
  for (const cv of [undefined, 3, 4, 5, 0, 1.5, '4', null, 2 ** 53])
    codes.push(await codeOf(verify(await signer.sign({ cv }))));
  t.strictSame(codes, ['token_revoked', 'token_revoked', 'ok', 'ok', ...Array(5).fill('claim_invalid')]);
});

test('a token may be revoked by a key, a client or itself', async (t) => {
  const { feed, verifier, signer, state } = await setUp(t);
  const next = await createSigner();
  state.keys = [signer.jwk, next.jwk];
  feed.revoked = { keys: [next.kid], clients: { jobs: 1_800_000_000 }, tokens: ['token-1'] };
  const { verify, revocationLag } = verifier();
  await until(() => revocationLag() === 0);
  const machine = { client_id: 'jobs', sid: undefined };
  t.equal(await codeOf(verify(await next.sign())), 'token_revoked');
  t.equal(await codeOf(verify(await signer.sign(machine))), 'token_revoked');
  t.equal(await codeOf(verify(await signer.sign({ jti: 'token-1' }))), 'token_revoked');
  t.equal(await codeOf(verify(await signer.sign())), 'ok');
});

/** An auth server on a real socket, all of it. */
async function startWhole(t: Teardown) {
  const server = await startFeedServer(t);
  const [signer, next] = [await createSigner(), await createSigner()];
  let elapsed = 0;
  const state = { keys: [signer.jwk, next.jwk], revoked: {} as Revoked };
  const asOf = () => Date.now() + elapsed;
  server.state.answer = (response, { path }) => {
    const { origin } = server;
    if (path.endsWith('jwks.json')) return sendJson(response, { keys: state.keys });
    if (path === '/revocations') return beginStream(response, messageOf(state.revoked, { as_of: asOf() }));
    const metadata = {
      issuer: origin,
      jwks_uri: `${origin}/.well-known/jwks.json`,
      revocations_uri: server.url,
    };
    return sendJson(response, metadata);
  };
  const verifier = createVerifier({
    ...{ issuer: server.origin, audience: 'shop', logger: false, timeoutMs: 60_000 },
    ...{ now: asOf, steadyNow: () => performance.now() + elapsed },
  });
  t.teardown(verifier.close);
  const sign = (by: typeof signer, claims: object = {}) => {
    const seconds = Math.floor(asOf() / 1000);
    return by.sign({ iss: server.origin, iat: seconds, exp: seconds + 300, ...claims });
  };
  return {
    server,
    state,
    signer,
    next,
    verifier,
    sign,
    advance: (ms: number) => {
      elapsed += ms;
    },
    keyRequests: () => server.asked.filter(({ path }) => path.endsWith('jwks.json')).length,
    beat: () => sendEvent(server.latest(), 'beat', { as_of: asOf(), age: 0 }),
    send: (what: Revoked) =>
      sendEvent(
        server.latest(),
        'revocations',
        messageOf(what, { cursor: 'a.2', from: 'a.1', as_of: asOf() }),
      ),
  };
}

test('follows the feed that the metadata names, by a stream', async (t) => {
  const { verifier, sign, signer, send, server } = await startWhole(t);
  const token = await sign(signer);
  t.equal(await codeOf(verifier.verify(token)), 'ok');
  await until(() => verifier.revocationLag() < 10_000);
  send({ sessions: ['session-1'] });
  while ((await codeOf(verifier.verify(token))) === 'ok') await settle();
  t.equal(await codeOf(verifier.verify(token)), 'token_revoked');
  t.equal(server.open(), 1);
  await verifier.close();
  await until(() => server.open() === 0);
  t.equal(await codeOf(verifier.verify(token)), 'token_revoked', 'what is known stays in force');
});

test('a revoked key is void at once, and keys are asked for until it is gone from them', async (t) => {
  const { verifier, sign, signer, next, send, beat, advance, keyRequests, state } = await startWhole(t);
  const token = await sign(signer);
  t.equal(await codeOf(verifier.verify(token)), 'ok');
  await until(() => verifier.revocationLag() < 10_000);
  send({ keys: [signer.kid] });
  while ((await codeOf(verifier.verify(token))) === 'ok') await settle();
  t.equal(await codeOf(verifier.verify(token)), 'token_revoked');
  t.equal(keyRequests(), 1, 'asked just now');
  // The first to answer does not know yet.
  for (const count of [2, 3]) {
    advance(2000);
    beat();
    await until(() => keyRequests() === count);
    t.equal(await codeOf(verifier.verify(token)), 'token_revoked');
  }
  state.keys = [next.jwk];
  advance(2000);
  beat();
  await until(() => keyRequests() === 4);
  while ((await codeOf(verifier.verify(token))) === 'token_revoked') await settle();
  t.equal(await codeOf(verifier.verify(token)), 'key_unknown');
  advance(2000);
  beat();
  await until(() => verifier.revocationLag() < 2000);
  await settle();
  t.equal(keyRequests(), 4, 'and no more');
  t.equal(await codeOf(verifier.verify(await sign(next))), 'ok');
});

test('with jwksUri, looks for the feed beside the keys', async (t) => {
  const { asked, verifier, feed } = await setUp(t);
  const inside = 'https://inside.example.com/auth/.well-known';
  const { revocationLag } = verifier({ jwksUri: `${inside}/jwks.json` });
  await until(() => revocationLag() === 0);
  t.strictSame(asked, [
    `${inside}/oauth-authorization-server`,
    'https://inside.example.com/auth/revocations',
  ]);
  feed.metadata = { issuer };
  asked.length = 0;
  verifier({ jwksUri: `${inside}/jwks.json` });
  await settle();
  t.strictSame(asked, [`${inside}/oauth-authorization-server`], 'unless there is none');
});

test('with a jwksUri that says nothing of other addresses, revocationsUri is needed', async (t) => {
  const { asked, verifier, warnings } = await setUp(t);
  const keys = 'https://inside.example.com/keys';
  verifier({ jwksUri: keys });
  await until(() => warnings.length > 0);
  t.strictSame(warnings, [
    'The auth server has a revocation feed, but jwksUri does not tell where: set revocationsUri',
  ]);
  asked.length = 0;
  const { revocationLag } = verifier({
    jwksUri: keys,
    revocationsUri: 'https://inside.example.com/feed/revocations',
  });
  await until(() => revocationLag() === 0);
  t.strictSame(asked, ['https://inside.example.com/feed/revocations']);
});

test('with jwksUri and no metadata beside it, there is no feed; what else is wrong is said', async (t) => {
  const { asked, verifier, warnings, feed } = await setUp(t);
  feed.metadataStatus = 404;
  const { close } = verifier({ jwksUri, revocations: undefined as never });
  await settle();
  t.strictSame([asked.length, warnings], [1, []]);
  await close();
  feed.metadataStatus = 500;
  verifier({ jwksUri });
  await until(() => warnings.length > 0);
  t.match(warnings, [/^The metadata at \S+ is answered with the status 500: /]);
});

/** What a CDN may say that has the keys alone. */
const elsewhere: [what: string, answer: () => Response, warning: RegExp][] = [
  ['401', () => new Response(null, { status: 401 }), /is answered with the status 401: /],
  ['403', () => new Response('<Error>', { status: 403 }), /is answered with the status 403: /],
  ['a redirect', () => new Response(null, { status: 302 }), /is answered with a redirect \(302\)/],
  ['a page', () => new Response('<html>'), /is not a JSON object: /],
  ['a list', () => Response.json([]), /is not a JSON object: /],
  ['another issuer', () => Response.json({ issuer: 'https://b.example.com' }), /is of the issuer /],
];

test('where the keys are elsewhere and nobody asked for a feed, what is no metadata beside them is no failure', async (t) => {
  for (const [what, answer, warning] of elsewhere) {
    const { verifier, warnings, asked, fetch } = await setUp(t);
    const failures: unknown[] = [];
    const options = {
      jwksUri: 'https://cdn.example.com/.well-known/jwks.json',
      fetch: async (url: string, init: RequestInit) => (url.includes('cdn') ? answer() : fetch(url, init)),
      on: { revocationsFailed: (error: unknown) => failures.push(error) },
    };
    const { revocationLag, close } = verifier({ ...options, revocations: undefined as never });
    await settle();
    t.strictSame([warnings, failures, asked], [[], [], []], what);
    t.equal(revocationLag(), Number.POSITIVE_INFINITY);
    await close();
    verifier(options);
    await until(() => warnings.length > 0);
    t.match(warnings, [warning], 'who asked for one is told');
  }
});

test('without a feed, a door with maxRevocationLag asks, or refuses for now', async (t) => {
  const { verifier, fetch, sign } = await setUp(t);
  const guarded = verifier({
    jwksUri: 'https://cdn.example.com/.well-known/jwks.json',
    fetch: async (url, init) =>
      url.endsWith('oauth-authorization-server') ? new Response(null, { status: 403 }) : fetch(url, init),
    revocations: undefined as never,
  });
  await settle();
  const authorization = `Bearer ${await sign()}`;
  const door = { door: 'verified', maxRevocationLag: 2 } as const;
  t.match(await createDoors({ verifier: guarded }).check(door, { authorization }), {
    status: 503,
    code: 'revocations_unavailable',
  });
  const confirmed: string[] = [];
  const introspection: Introspection = {
    check: async () => {},
    introspect: async () => ({ active: true }),
    confirm: async (token) => void confirmed.push(token),
  };
  const asking = createDoors({ verifier: guarded, introspection });
  t.match([await asking.check(door, { authorization }), confirmed.length], [{ user: { sub: 'user-1' } }, 1]);
});

test('a feed that was there is missed, whatever is said of it but that there is none', async (t) => {
  for (const revocations of ['poll', undefined] as const) {
    const time = createTime();
    const failures: string[] = [];
    let metadata = () => Response.json({ issuer, revocations_uri: `${issuer}/revocations` });
    const settings = settingsOf({
      ...{ issuer, audience: 'shop', logger: false, steadyNow: time.steadyNow },
      on: { revocationsFailed: (error) => failures.push(String(error)) },
      fetch: async (url) => (url.endsWith('/revocations') ? new Response(null, { status: 503 }) : metadata()),
    });
    const options = { issuer, audience: 'shop', jwksUri, ...(revocations && { revocations }) };
    t.teardown(followRevocations(options, settings, () => {}, time.later).close);
    const goOnUntil = async (isSo: () => boolean) => {
      for (let turn = 0; turn < 5 && !isSo(); turn += 1) {
        time.advance(60_000);
        await settle();
      }
      t.ok(isSo(), `${isSo} ${failures.at(-1)}`);
    };
    await goOnUntil(() => /revocation feed .* the status 503/.test(`${failures.at(-1)}`));
    metadata = () => Response.json({}, { status: 404 });
    await goOnUntil(() => /metadata .* is not there/.test(`${failures.at(-1)}`));
    metadata = () => Response.json({}, { status: 403 });
    await goOnUntil(() => /metadata .* the status 403/.test(`${failures.at(-1)}`));
    metadata = () => Response.json({ issuer });
    await goOnUntil(() => Math.max(...time.waits()) > 400_000);
  }
});

test('trouble is no answer: the feed is asked for again', async (t) => {
  const trouble = [
    () => new Response(null, { status: 503 }),
    () => new Response(null, { status: 429 }),
    () => Promise.reject(new TypeError('fetch failed')),
  ];
  for (const answer of trouble) {
    const { verifier, warnings } = await setUp(t);
    verifier({ jwksUri, fetch: async () => answer(), revocations: undefined as never });
    await until(() => warnings.length > 0);
    t.match(warnings, [/^The metadata at /]);
  }
});

test('without a feed, warns only who asks for one', async (t) => {
  const { verifier, warnings, feed } = await setUp(t);
  feed.metadata = { issuer, jwks_uri: jwksUri };
  const { revocationLag } = verifier({ revocations: undefined as never });
  await settle();
  t.strictSame([warnings, revocationLag()], [[], Number.POSITIVE_INFINITY]);
  verifier({ revocations: 'stream' });
  await until(() => warnings.length > 0);
  t.match(warnings, [/names no revocation feed.*: set REVOCATIONS there, or leave out revocations here/]);
});

test('an address of the feed that cannot be trusted is not asked', async (t) => {
  const { verifier, warnings, feed, asked } = await setUp(t);
  feed.metadata.revocations_uri = 'http://169.254.169.254/revocations';
  verifier();
  await until(() => warnings.length > 0);
  t.match(warnings, [
    /because its revocations_uri must be https, as the issuer is: .* or set revocationsUri$/,
  ]);
  t.equal(asked.length, 1);
});

test('without a feed by its own choice, it asks for none', async (t) => {
  const { verifier, asked, sign, feed } = await setUp(t);
  feed.revoked = { sessions: ['session-1'] };
  const { verify, revocationLag, close } = verifier({ revocations: false });
  t.equal(await codeOf(verify(await sign())), 'ok');
  t.strictSame(
    asked.filter((url) => url.endsWith('/revocations')),
    [],
  );
  t.equal(revocationLag(), Number.POSITIVE_INFINITY);
  await close();
});

test('options of the feed that make no sense are refused at once', (t) => {
  const bad = [
    { revocations: 'sse' as 'stream' },
    { revocations: true as unknown as false },
    { revocationsUri: 'http://auth.example.com/revocations' },
    { revocationsUri: '/revocations' },
  ];
  for (const options of bad)
    t.throws(
      () => createVerifier({ issuer, audience: 'shop', ...options }),
      TypeError,
      JSON.stringify(options),
    );
  t.end();
});

test('whatever the feed does, making a verifier throws nothing', async (t) => {
  const fetch = () => {
    throw new Error('no network');
  };
  const failures: unknown[] = [];
  const on = { revocationsFailed: (error: unknown) => failures.push(error) };
  const { close } = createVerifier({ issuer, audience: 'shop', fetch, on, logger: false });
  await until(() => failures.length > 0);
  t.match(failures, [{ name: 'SetupError' }]);
  await close();
});
