import { test } from 'tap';
import type { Door } from '../../src/verifier/door-rules.ts';
import { createDoors, type DoorRequest, type DoorsOptions } from '../../src/verifier/doors.ts';
import type { Fetch } from '../../src/verifier/fetch-document.ts';
import type { Introspection } from '../../src/verifier/introspection.ts';
import { createVerifier, type Verifier } from '../../src/verifier/verifier.ts';
import { VerifierError } from '../../src/verifier/verifier-error.ts';
import { breakVerification } from '../support/broken-crypto.ts';
import { createFakeIssuer, dead, settle } from './support/fake-issuer.ts';
import { type Changes, issuer, onceAtShop } from './support/tokens.ts';

/** Doors of the shop, on an auth server whose answers to introspections the test sets. */
async function open(
  answer: (claims: Changes) => Response = (claims) => Response.json({ active: true, ...claims }),
) {
  const fake = await createFakeIssuer();
  const redemptions: (string | null)[] = [];
  const fetch: Fetch = async (url, init) => {
    if (!url.endsWith('/oauth/introspect')) return fake.fetch(url, init);
    redemptions.push(new Headers(init.headers).get('idempotency-key'));
    const token = new URLSearchParams(String(init.body)).get('token') ?? '';
    return answer(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()));
  };
  const verifier = fake.verifier({ fetch });
  const introspection = { clientId: 'shop', clientSecret: 'word' };
  const doors = createDoors({ verifier, introspection, realm: 'the shop' });
  const sign = async (claims: Changes = {}, header: Changes = {}) =>
    `Bearer ${await fake.signer.sign(claims, header)}`;
  return {
    ...fake,
    ...doors,
    redemptions,
    sign,
    once: () => sign({ aud: onceAtShop }, { typ: 'one-time+jwt' }),
    verifier,
  };
}

/** The answer in short: who passed, or status and code. */
async function short(check: ReturnType<Awaited<ReturnType<typeof open>>['check']>): Promise<unknown> {
  const answer = await check;
  return 'user' in answer ? (answer.user?.sub ?? null) : `${answer.status} ${answer.code}`;
}

test('an open door lets everybody through, and knows who has a good token', async (t) => {
  const { check, sign, once, state } = await open();
  t.equal(await short(check('open', { authorization: await sign() })), 'user-1');
  const strangers = [
    undefined,
    [],
    'Bearer x',
    'Bearer',
    'Basic x',
    ['a', 'b'],
    await sign({ exp: 1 }),
    await once(),
  ];
  for (const authorization of strangers) t.equal(await short(check('open', { authorization })), null);
  state.instead = dead;
  t.equal(await short((await open()).check('open', { authorization: await sign() })), null);
});

test('a token comes in one Authorization header, and as a Bearer', async (t) => {
  const { check, sign } = await open();
  const good = await sign();
  const token = good.slice('Bearer '.length);
  const cases: [DoorRequest['authorization'], unknown][] = [
    [good, 'user-1'],
    [[good], 'user-1'],
    [`bearer   ${token} `, 'user-1'],
    [undefined, '401 token_missing'],
    [[], '401 token_missing'],
    ['', '401 token_missing'],
    [`Basic ${token}`, '401 token_missing'],
    [`Bearers ${token}`, '401 token_missing'],
    [token, '401 token_missing'],
    ['Bearer', '400 authorization_malformed'],
    ['Bearer ', '400 authorization_malformed'],
    [`Bearer ${token} ${token}`, '400 authorization_malformed'],
    [`Bearer ${token}, Basic x`, '400 authorization_malformed'],
    [`Bearer\t${token}`, '400 authorization_malformed'],
    [[good, good], '400 authorization_malformed'],
    [[good, 'Basic x'], '400 authorization_malformed'],
    [`Bearer ${token}=`, '401 token_malformed'],
  ];
  for (const [authorization, answer] of cases)
    t.equal(await short(check('verified', { authorization })), answer, String(authorization).slice(0, 20));
});

test('refusals are challenges of RFC 6750 and problems of RFC 9457', async (t) => {
  const { check, sign } = await open(() => new Response(null, { status: 500 }));
  const ask = async (door: Door, authorization?: string) => {
    const answer = await check(door, { authorization });
    if ('user' in answer) throw new Error('passed');
    const { status, headers, body, code } = answer;
    const problem = JSON.parse(body);
    t.match(problem, { type: `urn:doorward:problem:${code}`, title: /^[A-Z]/, status, code });
    t.equal(headers['content-type'], 'application/problem+json; charset=utf-8');
    t.equal(headers['cache-control'], 'no-store');
    return [status, headers['www-authenticate'], headers['retry-after']];
  };
  const bearer = (rest: string) => `Bearer realm="the shop"${rest}`;
  t.strictSame(await ask('verified'), [401, bearer(''), undefined]);
  t.strictSame(await ask('verified', await sign({ exp: 1 })), [
    401,
    bearer(', error="invalid_token", error_description="The token has expired"'),
    undefined,
  ]);
  t.strictSame(await ask({ door: 'verified', scope: 'orders:read admin' }, await sign()), [
    403,
    bearer(
      ', error="insufficient_scope", error_description="The token does not have the scope that is asked for here", scope="orders:read admin"',
    ),
    undefined,
  ]);
  t.strictSame(await ask({ door: 'verified', maxAuthAge: 30 }, await sign()), [
    401,
    bearer(
      ', error="insufficient_user_authentication", error_description="The sign-in is too long ago", max_age=30',
    ),
    undefined,
  ]);
  t.strictSame(await ask('verified', 'Bearer'), [
    400,
    bearer(
      ', error="invalid_request", error_description="The Authorization header is not Bearer and a token"',
    ),
    undefined,
  ]);
  t.strictSame(await ask({ door: 'verified', matchEmail: true }, await sign()), [403, undefined, undefined]);
  t.strictSame(await ask('checked', await sign()), [503, undefined, '1']);
});

test('without keys nobody knows: 503, and 401 only for what is wrong in any case', async (t) => {
  const { check, sign, state } = await open();
  state.instead = dead;
  t.equal(await short(check('verified', { authorization: await sign() })), '503 keys_unavailable');
  t.equal(
    await short(check('verified', { authorization: await sign({}, { typ: 'JWT' }) })),
    '401 type_not_allowed',
  );
});

test('a checked door asks the auth server about good tokens alone', async (t) => {
  const { check, sign, once, redemptions } = await open();
  t.equal(await short(check('checked', { authorization: await sign() })), 'user-1');
  t.strictSame(redemptions, [null], 'nothing is redeemed');
  t.equal(await short(check('checked', { authorization: await sign({ exp: 1 }) })), '401 token_expired');
  t.equal(await short(check('checked', { authorization: await once() })), '401 type_not_allowed');
  t.equal(redemptions.length, 1);
  const revoking = await open(() => Response.json({ active: false }));
  t.equal(
    await short(revoking.check('checked', { authorization: await revoking.sign() })),
    '401 token_inactive',
  );
});

test('a once door redeems under a key of its own, or the key of the request where that may be repeated', async (t) => {
  const { check, sign, once, redemptions } = await open();
  const authorization = await once();
  const repeatable = { door: 'once', repeatable: true } as const;
  t.equal(await short(check(repeatable, { authorization, idempotencyKey: 'order-1' })), 'user-1');
  t.equal(await short(check(repeatable, { authorization })), 'user-1');
  t.equal(await short(check('once', { authorization, idempotencyKey: 'order-1' })), 'user-1');
  for (const idempotencyKey of ['', 'x'.repeat(256), 'a b', 'ä', 'a\nb'])
    t.equal(await short(check(repeatable, { authorization, idempotencyKey })), 'user-1');
  t.equal(redemptions[0], 'order-1');
  for (const key of redemptions.slice(1)) t.match(key, /^[\da-f]{8}-[\da-f-]{27}$/);
  t.equal(new Set(redemptions).size, redemptions.length);
  t.equal(await short(check('once', { authorization: await sign() })), '401 type_not_allowed');
});

test('a door takes neither type of token with the audience of the other', async (t) => {
  const { check, sign, redemptions } = await open();
  const typ = 'one-time+jwt';
  for (const aud of [
    'shop',
    ['shop'],
    'urn:doorward:once:payments',
    'urn:doorward:once:urn:doorward:once:shop',
  ])
    t.equal(
      await short(check('once', { authorization: await sign({ aud }, { typ }) })),
      '401 audience_mismatch',
      String(aud),
    );
  for (const door of ['verified', 'checked'] as const)
    t.equal(
      await short(check(door, { authorization: await sign({ aud: onceAtShop }) })),
      '401 audience_mismatch',
    );
  t.equal(
    await short(check('once', { authorization: await sign({ aud: onceAtShop }) })),
    '401 type_not_allowed',
  );
  t.strictSame(redemptions, []);
});

test('a request that is refused for anything else redeems nothing', async (t) => {
  const { check, once, redemptions } = await open();
  const authorization = await once();
  const refused: [Door, unknown, string][] = [
    [{ door: 'once', scope: 'admin' }, {}, '403 scope_insufficient'],
    [{ door: 'once', maxAuthAge: 30 }, {}, '401 auth_too_old'],
    [{ door: 'once', matchEmail: true }, { email: 'eve@example.com' }, '403 email_mismatch'],
    [{ door: 'once', matchEmail: true }, undefined, '403 email_mismatch'],
  ];
  for (const [door, body, answer] of refused)
    t.equal(await short(check(door, { authorization, body })), answer);
  t.strictSame(redemptions, []);
  const rule: Door = { door: 'once', matchEmail: 'buyer', scope: 'orders:write', maxAuthAge: 60 };
  t.equal(await short(check(rule, { authorization, body: { buyer: 'Ada@example.com' } })), 'user-1');
  t.equal(redemptions.length, 1);
});

/** Doors of a verifier whose feed is as old as the test says. */
async function openWithLag(withIntrospection: boolean) {
  const opened = await open();
  const warnings: string[] = [];
  const state = { lagMs: 0, revoked: false, whileVerifying: () => {}, verified: 0 };
  const verifier: Verifier = {
    ...opened.verifier,
    settings: {
      ...opened.verifier.settings,
      revocations: 'stream',
      warn: ({ message }) => void warnings.push(message),
    },
    revocationLag: () => state.lagMs,
    verify: async (...question) => {
      const claims = await opened.verifier.verify(...question);
      state.verified += 1;
      if (state.revoked) throw new VerifierError('token_revoked');
      state.whileVerifying();
      return claims;
    },
  };
  const introspection = { clientId: 'shop', clientSecret: 'word' };
  const doors = createDoors({ verifier, ...(withIntrospection && { introspection }) });
  return { ...opened, ...doors, feed: state, warnings };
}

const fresh = { door: 'verified', maxRevocationLag: 5 } as const;

test('a door with maxRevocationLag asks nobody while the revocations are fresh', async (t) => {
  for (const withIntrospection of [true, false]) {
    const { check, sign, redemptions, feed } = await openWithLag(withIntrospection);
    const authorization = await sign();
    for (feed.lagMs of [0, 4999, 5000]) t.equal(await short(check(fresh, { authorization })), 'user-1');
    feed.revoked = true;
    t.equal(await short(check(fresh, { authorization })), '401 token_revoked');
    t.strictSame(redemptions, []);
  }
});

test('when they are stale or were never loaded, it asks, or says that it cannot know now', async (t) => {
  for (const lagMs of [5001, Number.POSITIVE_INFINITY]) {
    const asking = await openWithLag(true);
    asking.feed.lagMs = lagMs;
    t.equal(await short(asking.check(fresh, { authorization: await asking.sign() })), 'user-1');
    t.strictSame(asking.redemptions, [null], 'asked, and nothing is redeemed');
    t.strictSame(asking.warnings, []);

    const alone = await openWithLag(false);
    alone.feed.lagMs = lagMs;
    const answer = await alone.check(fresh, { authorization: await alone.sign() });
    t.match(answer, { status: 503, code: 'revocations_unavailable', headers: { 'retry-after': '1' } });
    t.notOk('headers' in answer && 'www-authenticate' in answer.headers, 'which says nothing of the token');
    t.match(alone.warnings, [
      /^A door with maxRevocationLag refuses requests, because .* REVOCATIONS is not off/,
    ]);
    t.equal(await short(alone.check('verified', { authorization: await alone.sign() })), 'user-1');
  }
});

test('while they are stale, what is wrong in any case is refused for that', async (t) => {
  for (const withIntrospection of [true, false]) {
    const { check, sign, feed, redemptions } = await openWithLag(withIntrospection);
    feed.lagMs = 60_000;
    t.equal(await short(check(fresh, { authorization: undefined })), '401 token_missing');
    t.equal(await short(check(fresh, { authorization: await sign({ exp: 1 }) })), '401 token_expired');
    const admin = { ...fresh, scope: 'admin' };
    t.equal(await short(check(admin, { authorization: await sign() })), '403 scope_insufficient');
    feed.revoked = true;
    t.equal(await short(check(fresh, { authorization: await sign() })), '401 token_revoked');
    t.strictSame(redemptions, []);
  }
});

test('a token that was compared with stale revocations is compared again if newer ones came in meanwhile', async (t) => {
  for (const isRevoked of [true, false]) {
    const { check, sign, feed, redemptions } = await openWithLag(true);
    feed.lagMs = 60_000;
    feed.whileVerifying = () => {
      feed.lagMs = 0;
      feed.revoked = isRevoked;
    };
    const answer = await short(check(fresh, { authorization: await sign() }));
    t.equal(answer, isRevoked ? '401 token_revoked' : 'user-1');
    t.equal(feed.verified, 2);
    t.strictSame(redemptions, [], 'so there is nothing to ask');
  }
});

test('whether it asks is decided before the body is read', async (t) => {
  const { declare, sign, feed, redemptions } = await openWithLag(true);
  const door = declare(fresh);
  const enter = async () => {
    const entered = await door.enter(await sign());
    if (!('visit' in entered) || entered.visit === null) throw new Error('refused');
    return entered.visit;
  };
  const good = await enter();
  feed.lagMs = 60_000;
  const late = await enter();
  t.match(await door.finish(good, {}), { user: { sub: 'user-1' } });
  t.strictSame(redemptions, []);
  feed.lagMs = 0;
  t.match(await door.finish(late, {}), { user: { sub: 'user-1' } });
  t.strictSame(redemptions, [null]);
});

test('a declared door says what it may need', async (t) => {
  const asking = await openWithLag(true);
  const alone = await openWithLag(false);
  const needs = { body: false, introspection: false, redemption: false };
  t.strictSame(asking.declare('open').needs, needs);
  t.strictSame(asking.declare('verified').needs, needs);
  t.strictSame(asking.declare('checked').needs, { ...needs, introspection: true });
  t.strictSame(asking.declare('once').needs, { ...needs, introspection: true, redemption: true });
  t.strictSame(asking.declare({ ...fresh, matchEmail: true }).needs, {
    ...needs,
    body: true,
    introspection: true,
  });
  t.strictSame(alone.declare(fresh).needs, needs, 'without introspection, it is refused at the door');
});

test('a door with maxRevocationLag needs a feed or somebody to ask', async (t) => {
  const verifier = { issuer, audience: 'shop', revocations: false } as const;
  t.throws(() => createDoors({ verifier }).declare(fresh), /needs revocations or introspection/);
  t.throws(() => createDoors({ verifier: createVerifier(verifier) }).declare(fresh), TypeError);
  const introspection = { clientId: 'shop', clientSecret: 'word' };
  t.ok(createDoors({ verifier, introspection }).declare(fresh).needs.introspection);
});

test('a verifier that was given goes on when the doors are closed', async (t) => {
  let closed = 0;
  const { verifier } = await open();
  const close = async () => {
    closed += 1;
  };
  const given = { ...verifier, close };
  await createDoors({ verifier: given }).close();
  t.equal(closed, 0);
});

test('doors that cannot be made leave no feed running that nobody could end', async (t) => {
  const asked: string[] = [];
  const fetch = async (url: string) => {
    asked.push(url);
    return new Response(null, { status: 404 });
  };
  const verifier = { issuer, audience: 'shop', fetch, logger: false as const };
  const introspection = { clientId: 'shop', clientSecret: '' };
  t.throws(() => createDoors({ verifier, introspection }), TypeError);
  await settle();
  t.strictSame(asked, []);
});

test('what does not fit together is refused when it is declared', async (t) => {
  const { verifier } = await open();
  const { declare, check } = createDoors({ verifier: { issuer, audience: 'shop', revocations: false } });
  for (const door of ['checked', 'once'] as const) t.throws(() => declare(door), /needs introspection/);
  await t.rejects(check('closed' as Door, { authorization: undefined }), TypeError);
  const bad: Partial<DoorsOptions>[] = [
    { realm: 'a"b' },
    { realm: '' },
    { realm: 'a\nb' },
    { introspection: { clientId: 'shop', clientSecret: '' } },
    { verifier: { issuer, audience: 'shop', leewaySeconds: 61 } },
  ];
  for (const options of bad) t.throws(() => createDoors({ verifier, ...options }), TypeError);
});

test('an introspection of another make that fails in its own way lets no request pass', async (t) => {
  const { verifier, sign } = await open();
  const introspection: Introspection = {
    check: async () => {},
    introspect: async () => ({ active: true }),
    confirm: () => Promise.reject(new Error('a "bug"\n')),
  };
  const { check } = createDoors({ verifier, introspection });
  t.equal(await short(check('checked', { authorization: await sign() })), '503 introspection_unavailable');
});

test('what is unexpected comes through as what it is, at an open door too', async (t) => {
  const { check, sign } = await open();
  const authorization = await sign();
  await check('verified', { authorization });
  const failure = new DOMException('the provider is gone', 'OperationError');
  breakVerification(t, failure);
  for (const door of ['open', 'verified', 'checked'] as const)
    t.equal(await check(door, { authorization }).catch((error: unknown) => error), failure, door);
});
