import { test } from 'tap';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { createFakeIssuer, createGate, dead, jwksUri, settle } from './support/fake-issuer.ts';
import { codeOf, createSigner, issuer } from './support/tokens.ts';

const minute = 60_000;
const hour = 60 * minute;

test('fetches the keys once for a hundred tokens at a time, and for the next ten minutes', async (t) => {
  const fake = await createFakeIssuer();
  const gate = createGate();
  const answer = Response.json({ keys: fake.state.keys }, { headers: fake.state.headers });
  fake.state.instead = () => gate.passed.then(() => answer);
  const { verify } = fake.verifier();
  const tokens = await Promise.all(Array.from({ length: 100 }, () => fake.sign()));
  const verified = Promise.all(tokens.map((token) => codeOf(verify(token))));
  await settle();
  gate.open();
  t.strictSame([...new Set(await verified)], ['ok']);
  fake.advance(7 * minute);
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  await settle();
  t.strictSame(
    fake.requests.map(({ url }) => url),
    [jwksUri],
  );
});

test('renews keys in the background before their time is over, while nobody waits', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier();
  await verify(await fake.sign());
  fake.advance(9 * minute);
  const gate = createGate();
  const answer = Response.json({ keys: fake.state.keys });
  fake.state.instead = () => gate.passed.then(() => answer);
  for (let count = 0; count < 3; count += 1) t.equal(await codeOf(verify(await fake.sign())), 'ok');
  t.equal(fake.requests.length, 2, 'one is under way, and none of the three waited for it');
  gate.open();
  await settle();
  fake.state.instead = null;
  fake.advance(2 * minute);
  await verify(await fake.sign());
  t.equal(fake.requests.length, 2, 'fresh again');
});

test('a service that slept through the life of its keys asks first', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier();
  await verify(await fake.sign());
  fake.advance(hour);
  const next = await createSigner();
  fake.state.keys = [next.jwk];
  t.equal(await codeOf(verify(await fake.sign())), 'key_unknown', 'revoked meanwhile');
  t.equal(await codeOf(verify(await fake.sign(next))), 'ok');
});

test('a key that has left the key set is refused from then on', async (t) => {
  const fake = await createFakeIssuer();
  const next = await createSigner();
  const { verify } = fake.verifier();
  fake.state.keys = [fake.signer.jwk, next.jwk];
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  fake.state.keys = [next.jwk];
  fake.advance(10 * minute);
  await codeOf(verify(await fake.sign(next)));
  await settle();
  t.equal(await codeOf(verify(await fake.sign())), 'key_unknown');
  t.equal(await codeOf(verify(await fake.sign(next))), 'ok');
});

test('with the auth server dead, keys serve for 24 hours more', async (t) => {
  const fake = await createFakeIssuer();
  const staleAges: number[] = [];
  const failures: unknown[] = [];
  const { verify } = fake.verifier({
    on: { stale: (ageMs) => staleAges.push(ageMs), fetchFailed: (error) => failures.push(error) },
  });
  await verify(await fake.sign());
  t.equal(fake.requests.length, 1);
  fake.state.instead = dead;
  fake.advance(23 * hour);
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  t.strictSame(staleAges, [23 * hour]);
  t.equal(failures.length, 1);
  fake.advance(2 * hour);
  t.equal(await codeOf(verify(await fake.sign())), 'keys_unavailable');
  fake.state.instead = null;
  fake.advance(minute);
  t.equal(await codeOf(verify(await fake.sign())), 'ok', 'and it is back by itself');
});

test('after a failure nobody waits, and the tries become rare', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier();
  await verify(await fake.sign());
  fake.state.instead = dead;
  fake.advance(11 * minute);
  const tries: number[] = [];
  for (let second = 0; second < 120; second += 1) {
    const before = fake.requests.length;
    t.equal(await codeOf(verify(await fake.sign())), 'ok');
    await settle();
    if (fake.requests.length > before) tries.push(second);
    fake.advance(1000);
  }
  t.strictSame(tries, [0, 1, 3, 7, 15, 31, 61, 91]);
});

test('bad answers never take the place of good keys', async (t) => {
  const fake = await createFakeIssuer();
  const answers: (() => Response)[] = [
    () => new Response('oops', { status: 500 }),
    () => new Response('<html>'),
    () => Response.json({}),
    () => Response.json({ keys: [] }),
    () => Response.json([]),
    () => new Response(null, { status: 302, headers: { location: 'https://evil.example' } }),
    () => new Response('x'.repeat(70_000)),
    () => new Response(JSON.stringify({ keys: fake.state.keys, more: 'x'.repeat(70_000) })),
    () => new Response(null, { status: 204 }),
  ];
  const { verify } = fake.verifier();
  await verify(await fake.sign());
  for (const answer of answers) {
    fake.state.instead = answer;
    fake.advance(11 * minute);
    const before = fake.requests.length;
    t.equal(await codeOf(verify(await fake.sign())), 'ok');
    await settle();
    t.equal(fake.requests.length, before + 1);
  }
});

test('without keys it cannot be known: 1 s later it is tried again', async (t) => {
  const fake = await createFakeIssuer();
  const { verify, load } = fake.verifier();
  fake.state.instead = dead;
  t.equal(await codeOf(load()), 'keys_unavailable');
  t.equal(await codeOf(verify(await fake.sign())), 'keys_unavailable');
  t.equal(fake.requests.length, 1);
  fake.state.instead = null;
  fake.advance(1000);
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  t.equal(await codeOf(load()), 'ok');
});

test('an unknown key is looked for once per cool-down, whatever comes', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier();
  await verify(await fake.sign());
  const flood = async () => {
    const tokens = Array.from({ length: 200 }, (_, index) =>
      fake.signer.sign({}, { kid: `unknown ${index}` }),
    );
    const codes = await Promise.all(tokens.map(async (token) => codeOf(verify(await token))));
    return [...new Set(codes)];
  };
  t.strictSame(await flood(), ['key_unknown']);
  t.equal(fake.requests.length, 1, 'asked just now');
  for (let round = 2; round < 5; round += 1) {
    fake.advance(30_000);
    t.strictSame(await flood(), ['key_unknown']);
    t.equal(fake.requests.length, round);
  }
});

test('a new key is found by its first token', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier();
  await verify(await fake.sign());
  const next = await createSigner();
  fake.state.keys = [fake.signer.jwk, next.jwk];
  fake.advance(30_000);
  const codes = await Promise.all([1, 2, 3].map(async () => codeOf(verify(await fake.sign(next)))));
  t.strictSame(codes, ['ok', 'ok', 'ok']);
  t.equal(fake.requests.length, 2);
});

test('a token with a new key is not refused while the auth server is away', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier();
  await verify(await fake.sign());
  fake.state.instead = dead;
  fake.advance(30_000);
  t.equal(await codeOf(verify(await fake.sign(await createSigner()))), 'keys_unavailable');
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
});

test('asks whether the keys have changed, and keeps them when they have not', async (t) => {
  const fake = await createFakeIssuer();
  fake.state.headers = { 'cache-control': 'max-age=60', etag: '"one"' };
  const statuses: number[] = [];
  const { verify } = fake.verifier({ on: { fetched: (_ms, status) => statuses.push(status) } });
  await verify(await fake.sign());
  fake.state.instead = () => new Response(null, { status: 304, headers: { 'cache-control': 'max-age=60' } });
  fake.advance(5 * minute);
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  t.equal(fake.requests[1]?.headers.get('if-none-match'), '"one"');
  fake.advance(50_000);
  await verify(await fake.sign());
  await settle();
  t.strictSame(statuses, [200, 304, 304]);
  t.equal(fake.requests[2]?.headers.get('if-none-match'), '"one"');
});

test('a 304 to a question that was not asked is no answer', async (t) => {
  const fake = await createFakeIssuer();
  fake.state.instead = () => new Response(null, { status: 304 });
  t.equal(await codeOf(fake.verifier().load()), 'keys_unavailable');
});

test('a wall clock that is set back does not make a revoked key trusted for longer', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier();
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
  const next = await createSigner();
  fake.state.keys = [next.jwk];
  fake.stepWallClock(-2 * hour);
  fake.advance(11 * minute);
  t.equal(await codeOf(verify(await fake.sign())), 'key_unknown', 'the revoked key');
  t.equal(await codeOf(verify(await fake.sign(next))), 'ok', 'the new key');
});

test('a wall clock that is set back does not delay the look for a new key', async (t) => {
  const fake = await createFakeIssuer();
  const { verify } = fake.verifier();
  await verify(await fake.sign());
  const next = await createSigner();
  fake.state.keys = [fake.signer.jwk, next.jwk];
  fake.stepWallClock(-2 * hour);
  fake.advance(30_000);
  t.equal(await codeOf(verify(await fake.sign(next))), 'ok');
});

test('a wall clock that is set back does not delay the next try after a failure', async (t) => {
  const fake = await createFakeIssuer();
  const { verify, load } = fake.verifier();
  fake.state.instead = dead;
  t.equal(await codeOf(load()), 'keys_unavailable');
  fake.state.instead = null;
  fake.stepWallClock(-2 * hour);
  fake.advance(1000);
  t.equal(await codeOf(verify(await fake.sign())), 'ok');
});

test('a wall clock that is set forward or back changes nothing about the stale age', async (t) => {
  const fake = await createFakeIssuer();
  const staleAges: number[] = [];
  const { verify } = fake.verifier({ on: { stale: (ageMs) => staleAges.push(ageMs) } });
  await verify(await fake.sign());
  fake.state.instead = dead;
  fake.stepWallClock(48 * hour);
  fake.advance(hour);
  t.equal(await codeOf(verify(await fake.sign())), 'ok', 'set forward');
  t.strictSame(staleAges, [hour]);
  fake.stepWallClock(-72 * hour);
  fake.advance(24 * hour);
  t.equal(await codeOf(verify(await fake.sign())), 'keys_unavailable', 'set back');
});

test('the steady clock of the runtime measures by default', async (t) => {
  const fake = await createFakeIssuer();
  const durations: number[] = [];
  const { load } = createVerifier({
    issuer,
    audience: 'shop',
    jwksUri,
    fetch: fake.fetch,
    on: { fetched: (ms) => durations.push(ms) },
    now: () => Number.NaN,
  });
  t.equal(await codeOf(load()), 'ok');
  t.ok((durations[0] as number) >= 0, `${durations[0]} ms`);
});
