import { createPublicKey, randomBytes } from 'node:crypto';
import { createLocalJWKSet, decodeProtectedHeader, errors, type JSONWebKeySet, jwtVerify } from 'jose';
import { test } from 'tap';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../../src/core/jwk.ts';
import { sql } from '../../src/db/drizzle.ts';
import type { KeyService, SignerKey } from '../../src/keys/key-service.ts';
import { createTokenSigner } from '../../src/keys/token-signer.ts';
import { createWire } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import {
  kidOf,
  MINUTE_MS,
  makeClaims,
  openKeys,
  openSeparateKeys,
  policy,
  type ReplicaOptions,
} from '../support/keys.ts';

const ALGORITHMS: readonly SigningAlgorithm[] = SIGNING_ALGORITHMS;

/** One replica with a first key, and a count of the signers that it made. */
async function setUp(options: ReplicaOptions = {}) {
  const place = await openKeys();
  const made: string[] = [];
  const createSigner = (key: SignerKey) => {
    made.push(key.kid);
    return createTokenSigner(key);
  };
  const replica = place.replica({ createSigner, ...options });
  await replica.schedule.look();
  return { ...place, ...replica, made };
}

const setOf = (keys: KeyService): JSONWebKeySet => JSON.parse(keys.jwks().body);
const kidsIn = (keys: KeyService) => setOf(keys).keys.map(({ kid }) => kid);
const signedBy = (keys: KeyService) => String(decodeProtectedHeader(keys.sign(makeClaims())).kid);

/** As a service does it that has only the key set. */
function verify(token: string, keys: KeyService) {
  const expected = { issuer: 'https://auth.example.com', audience: 'shop', typ: 'at+jwt' };
  return jwtVerify(token, createLocalJWKSet(setOf(keys)), expected);
}

test('before the first refresh there is no key, and signing is unavailable', async (t) => {
  const { keys } = (await openKeys()).replica();
  t.throws(() => keys.sign({}), { code: 'unavailable' });
  t.equal(keys.activeKid(), null);
  t.same(setOf(keys), { keys: [] });
  t.match(keys.state(), { keys: [], untilRotationMs: null });
});

test('an empty table: signing is unavailable, and nobody is to keep the empty set', async (t) => {
  const { keys } = (await openKeys()).replica();
  await keys.refresh();
  t.throws(() => keys.sign({}), { code: 'unavailable' });
  t.equal(keys.jwks().maxAgeSeconds, 0);
});

for (const algorithm of ALGORITHMS) {
  test(`tokens of ${algorithm} verify with jose and the key set alone, claims as they were given`, async (t) => {
    const { keys, store } = await setUp({ policy: { algorithm } });
    const claims = { ...makeClaims(), email_verified: false, scope: '', deep: { ü: [1] } };
    const { payload, protectedHeader } = await verify(keys.sign(claims), keys);
    t.strictSame({ ...payload }, claims);
    const kid = kidOf(await store.list(), 'active');
    t.strictSame({ ...protectedHeader }, { alg: algorithm, typ: 'at+jwt', kid });
    const [jwk, ...others] = setOf(keys).keys;
    t.same(others, []);
    t.match(jwk, { use: 'sig', alg: algorithm, kid });
    for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) t.notOk(member in (jwk ?? {}), member);
    t.equal(createPublicKey({ key: jwk ?? {}, format: 'jwk' }).type, 'public');
  });
}

test('a token of another server, and one that expired, do not verify', async (t) => {
  const { keys } = await setUp();
  const expired = keys.sign(makeClaims(1_000_000_000_000));
  await t.rejects(verify(expired, keys), errors.JWTExpired);
  const token = keys.sign(makeClaims());
  const other = await setUp();
  await t.rejects(verify(token, other.keys), errors.JWKSNoMatchingKey);
});

test('a changed algorithm is a rotation: old tokens verify until the retention of their key ends', async (t) => {
  const old = await setUp();
  const { store, moveTime } = old;
  const token = old.keys.sign(makeClaims());
  const oldKid = signedBy(old.keys);
  const next = old.replica({ policy: { algorithm: 'EdDSA' } });
  await next.schedule.look();
  t.equal(signedBy(next.keys), oldKid, 'the new key is published, and does not sign yet');
  t.same(
    setOf(next.keys).keys.map(({ alg }) => alg),
    ['ES256', 'EdDSA'],
  );
  await moveTime(policy.publishAheadMs);
  await next.schedule.look();
  t.equal(decodeProtectedHeader(next.keys.sign(makeClaims())).alg, 'EdDSA');
  await t.resolves(verify(next.keys.sign(makeClaims()), next.keys));
  await t.resolves(verify(token, next.keys));

  await moveTime(policy.retainMs - MINUTE_MS);
  await next.schedule.look();
  await t.resolves(verify(token, next.keys));
  await moveTime(MINUTE_MS);
  await next.schedule.look();
  await t.rejects(verify(token, next.keys), errors.JWKSNoMatchingKey);
  t.equal((await store.list()).keys.length, 1);
});

test('a pending key has its signer long before it signs, and each signer is made once', async (t) => {
  const { keys, rotator, made, schedule, moveTime } = await setUp();
  const first = signedBy(keys);
  t.same(made, [first]);
  const second = await rotator.publishNext();
  await keys.refresh();
  t.same(made, [first, second]);
  t.equal(signedBy(keys), first);
  await moveTime(policy.publishAheadMs);
  await schedule.look();
  await keys.refresh();
  t.equal(signedBy(keys), second);
  t.same(made, [first, second]);
});

test('a replica switches keys when it refreshes, and the old tokens go on verifying', async (t) => {
  const { keys, rotator, replica } = await setUp();
  const other = replica();
  await other.keys.refresh();
  const token = other.keys.sign(makeClaims());
  const [old, next] = [signedBy(keys), await rotator.replaceNow(null)];
  t.equal(signedBy(other.keys), old);
  await other.keys.refresh();
  t.equal(signedBy(other.keys), next);
  await t.resolves(verify(token, other.keys));
});

test('a revoked key leaves the key set at once, and its tokens verify no more', async (t) => {
  const { keys, rotator } = await setUp();
  const token = keys.sign(makeClaims());
  const leaked = signedBy(keys);
  const next = await rotator.replaceNow(leaked);
  await keys.refresh();
  t.same(kidsIn(keys), [next]);
  await t.rejects(verify(token, keys), errors.JWKSNoMatchingKey);
});

test('published, active and retired keys are shown, the oldest first', async (t) => {
  const { keys, rotator, store } = await setUp();
  await rotator.replaceNow(null);
  await rotator.publishNext();
  const ring = await keys.refresh();
  t.same(kidsIn(keys), [kidOf(ring, 'retired'), kidOf(ring, 'active'), kidOf(ring, 'pending')]);
  t.same((await store.list()).keys, ring.keys);
});

test('the key set and its tag stay the same while nothing changes, and change together', async (t) => {
  const { keys, rotator, replica } = await setUp();
  const { body, etag } = keys.jwks();
  t.match(etag, /^"[\w-]{43}"$/);
  const other = replica();
  for (const each of [keys, other.keys]) {
    await each.refresh();
    t.match(each.jwks(), { body, etag }, 'on every replica');
  }
  await rotator.publishNext();
  await keys.refresh();
  t.not(keys.jwks().body, body);
  t.not(keys.jwks().etag, etag);
  t.match(keys.jwks().etag, /^"[\w-]{43}"$/);
});

test('max-age is the setting, less where the next change is nearer, and 0 when that is overdue', async (t) => {
  const { keys, moveTime } = await setUp();
  t.equal(keys.jwks().maxAgeSeconds, 600);
  await moveTime(policy.rotateEveryMs - policy.publishAheadMs - 5 * MINUTE_MS);
  await keys.refresh();
  const { maxAgeSeconds } = keys.jwks();
  t.ok(maxAgeSeconds <= 300 && maxAgeSeconds > 280, `${maxAgeSeconds} s`);
  await moveTime(6 * MINUTE_MS);
  await keys.refresh();
  t.equal(keys.jwks().maxAgeSeconds, 0);
});

test('max-age goes on counting down between two refreshes', async (t) => {
  const time = { passedMs: 0 };
  const { keys, moveTime } = await setUp({ local: () => Date.now() + time.passedMs });
  await moveTime(policy.rotateEveryMs - policy.publishAheadMs - MINUTE_MS);
  await keys.refresh();
  time.passedMs = 9_000;
  const { maxAgeSeconds } = keys.jwks();
  t.ok(maxAgeSeconds <= 51 && maxAgeSeconds > 31, `${maxAgeSeconds} s`);
});

test('a replica that the database confirms no more stops signing in time, and recovers with the next answer', async (t) => {
  const place = await openSeparateKeys(t);
  const time = { passedMs: 0 };
  const wire = await createWire(t, place.url);
  const { keys, schedule } = place.replica(
    { deadlineMs: 2_000, local: () => Date.now() + time.passedMs },
    { url: wire.url, name: 'cut off' },
  );
  await schedule.look();
  const served = keys.jwks();
  wire.cut();
  await t.rejects(keys.refresh(), { code: 'unavailable' });
  time.passedMs = 9 * MINUTE_MS;
  await t.rejects(keys.refresh());
  t.ok(keys.sign({}));
  t.equal(keys.jwks().maxAgeSeconds, 0, 'nobody is to keep a key set that may have changed unheard of');
  time.passedMs = 11 * MINUTE_MS;
  t.throws(() => keys.sign({}), { code: 'unavailable' });
  t.match(keys.jwks(), { body: served.body, etag: served.etag }, 'the key set is served from memory');
  wire.mend();
  await eventually(keys.refresh);
  t.ok(keys.sign({}));
  t.ok(keys.jwks().maxAgeSeconds > 0);
});

test('a key that does not open is refused at refresh, and the replica does not count as confirmed', async (t) => {
  const time = { passedMs: 0 };
  const { keys, rotator, database } = await setUp({ local: () => Date.now() + time.passedMs });
  await rotator.publishNext();
  await database.execute(
    sql`update signing_keys set encrypted_private_key = ${randomBytes(200)} where activated_at is null`,
  );
  time.passedMs = 15 * MINUTE_MS;
  await t.rejects(keys.refresh(), { name: 'KeyEncryptionKeyError' });
  t.throws(() => keys.sign({}), { code: 'unavailable' });
});

test('keys that only verify any more must open, and revoked ones need not', async (t) => {
  const { keys, rotator, database, replica } = await setUp();
  await rotator.replaceNow(signedBy(keys));
  await rotator.replaceNow(null);
  const spoil = (state: 'retired' | 'revoked') =>
    database.execute(
      state === 'retired'
        ? sql`update signing_keys set encrypted_private_key = '' where retired_at is not null`
        : sql`update signing_keys set encrypted_private_key = '' where revoked_at is not null`,
    );
  for (const [state, published] of [
    ['revoked', 2],
    ['retired', 1],
  ] as const) {
    await spoil(state);
    const other = replica();
    await other.keys.refresh();
    t.equal(kidsIn(other.keys).length, published, state);
    t.ok(other.keys.sign({}));
  }
});
