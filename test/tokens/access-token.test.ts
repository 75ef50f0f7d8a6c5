import fc from 'fast-check';
import { test } from 'tap';
import {
  type AccessTokenOptions,
  accessTokenClaims,
  type TokenSubject,
} from '../../src/tokens/access-token.ts';

const subject: TokenSubject = {
  id: 'session-1',
  userId: 'user-1',
  claims: { email: 'ada@example.com', email_verified: false, cv: 3 },
  authenticatedAt: 1_800_000_000_999,
  amr: ['pwd'],
  acr: null,
  expiresAt: 1_802_592_000_999,
  idleExpiresAt: 1_801_209_600_999,
};

const options: AccessTokenOptions = {
  issuer: 'https://auth.example.com',
  clientId: 'browser',
  audiences: ['shop'],
  ttlMs: 1_800_000,
  now: 1_800_000_100_999,
  jti: 'jti-1',
};

test('has the claims of RFC 9068 and OpenID Connect, the claims version, and no others', async (t) => {
  t.strictSame(accessTokenClaims(subject, options), {
    iss: 'https://auth.example.com',
    sub: 'user-1',
    aud: 'shop',
    client_id: 'browser',
    iat: 1_800_000_100,
    exp: 1_800_001_900,
    jti: 'jti-1',
    sid: 'session-1',
    email: 'ada@example.com',
    email_verified: false,
    cv: 3,
    roles: [],
    scope: '',
    auth_time: 1_800_000_000,
    amr: ['pwd'],
  });
});

test('says of the user what it was given, whole', async (t) => {
  const claims = { email: 'eve@example.com', email_verified: true };
  const said = accessTokenClaims({ ...subject, claims }, options);
  t.match(said, claims);
  t.notOk('cv' in said, 'a copy of the release before knows no claims version');
});

test('says the roles and their scope of a user who has some', async (t) => {
  const roles = ['editor', 'reader'];
  const claims = { ...subject.claims, roles, scope: 'posts:read posts:write' };
  t.match(accessTokenClaims({ ...subject, claims }, options), { roles, scope: 'posts:read posts:write' });
});

test('says how strongly the user signed in, if that has a name', async (t) => {
  t.match(accessTokenClaims({ ...subject, amr: ['hwk', 'user'], acr: 'phr' }, options), {
    amr: ['hwk', 'user'],
    acr: 'phr',
  });
});

test('one audience is a string, several are an array', async (t) => {
  const audOf = (audiences: string[]) => accessTokenClaims(subject, { ...options, audiences }).aud;
  t.strictSame(audOf(['shop']), 'shop');
  t.strictSame(audOf(['shop', 'payments']), ['shop', 'payments']);
});

test('a token ends with its session at the latest, used or not, and never before it is made', async (t) => {
  const ms = fc.integer({ min: 0, max: 100_000 });
  const endsInTime = (life: number, expires: number, idleExpires: number) => {
    const { now } = options;
    const session = { ...subject, expiresAt: now + expires, idleExpiresAt: now + idleExpires };
    const { iat, exp } = accessTokenClaims(session, { ...options, ttlMs: life });
    const latest = Math.min(now + expires, now + idleExpires);
    const whole = Math.floor(latest / 1000);
    return exp >= iat && exp === Math.min(iat + Math.floor(life / 1000), whole) && exp * 1000 <= latest;
  };
  t.doesNotThrow(() => fc.assert(fc.property(ms, ms, ms, endsInTime), { numRuns: 1000 }));
});

test('times are whole seconds, and the life is exactly the whole seconds of its ttl', async (t) => {
  const ms = fc.oneof(fc.integer({ min: 0, max: 4e12 }), fc.double({ min: 0, max: 4e12, noNaN: true }));
  const ttl = fc.oneof(
    fc.integer({ min: 60_000, max: 86_400_000 }),
    fc.double({ min: 60_000, max: 86_400_000, noNaN: true }),
  );
  const isWhole = (now: number, authenticatedAt: number, ttlMs: number) => {
    const session = { ...subject, authenticatedAt, expiresAt: 1e15, idleExpiresAt: 1e15 };
    const { iat, exp, auth_time } = accessTokenClaims(session, { ...options, now, ttlMs });
    const isInPast = iat * 1000 <= now && auth_time * 1000 <= authenticatedAt;
    return (
      [iat, exp, auth_time].every(Number.isInteger) && exp - iat === Math.floor(ttlMs / 1000) && isInPast
    );
  };
  t.doesNotThrow(() => fc.assert(fc.property(ms, ms, ttl, isWhole), { numRuns: 1000 }));
});
