import { decodeJwt, decodeProtectedHeader } from 'jose';
import { type Test, test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import type { KeyService } from '../../src/keys/key-service.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import type { SessionRecord } from '../../src/sessions/session-rules.ts';
import type { SessionService } from '../../src/sessions/session-service.ts';
import { createTokenReuse } from '../../src/tokens/token-reuse.ts';
import { createTokenService } from '../../src/tokens/token-service.ts';
import {
  build,
  codeOf,
  cookieHeader,
  cookieOf,
  createPlace,
  quickSettings,
  runSql,
  signUp,
} from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { mintToken } from '../support/clients.ts';

const WINDOW_MS = 30_000;

const session: SessionRecord = {
  id: 's1',
  userId: 'u1',
  claims: { email: 'a@example.com', email_verified: false, cv: 1 },
  userStatus: 'active',
  createdAt: 0,
  authenticatedAt: 0,
  amr: ['pwd'],
  acr: null,
  lastSeenAt: 0,
  expiresAt: 1e15,
  idleExpiresAt: 1e15,
  ended: false,
  version: 1,
};

const LIFE_SECONDS = 1800;

function tokenOf(access_token: string, expires_in = LIFE_SECONDS) {
  return { access_token, token_type: 'Bearer' as const, expires_in };
}

/** The test sets the time and the active key. */
function makeWorld() {
  const world: { now: number; kid: string | null } = { now: 1_000_000, kid: 'k1' };
  return { world, now: () => world.now, keys: { activeKid: () => world.kid } };
}

function setUp(windowMs = WINDOW_MS) {
  const { world, ...parts } = makeWorld();
  return { world, reuse: createTokenReuse({ windowMs, ...parts }) };
}

test('a token is found again while it is younger than the window, with what is left of its life', (t) => {
  const { world, reuse } = setUp();
  t.equal(reuse.find(session), null);
  reuse.keep(session, undefined, tokenOf('token'));
  t.strictSame(reuse.find(session), tokenOf('token'));
  world.now += WINDOW_MS - 1;
  t.strictSame(reuse.find(session), tokenOf('token', LIFE_SECONDS - WINDOW_MS / 1000));
  world.now += 1;
  t.equal(reuse.find(session), null);
  t.end();
});

test('finding a token again does not make it younger', (t) => {
  const { world, reuse } = setUp();
  reuse.keep(session, undefined, tokenOf('token'));
  for (let asked = 0; asked < 3; asked += 1) {
    world.now += WINDOW_MS / 3;
    t.equal(reuse.find(session) === null, asked === 2);
  }
  t.end();
});

test('a token that the end of its session cut short is not found at its end', (t) => {
  const { world, reuse } = setUp();
  reuse.keep(session, undefined, tokenOf('token', 5));
  world.now += 4_000;
  t.strictSame(reuse.find(session), tokenOf('token', 1));
  world.now += 1;
  t.equal(reuse.find(session), null);
  t.end();
});

test('a window of 0 keeps nothing and finds nothing', (t) => {
  const { reuse } = setUp(0);
  reuse.keep(session, undefined, tokenOf('token'));
  t.equal(reuse.find(session), null);
  t.end();
});

test('a token is for its own session and its own audience', (t) => {
  const { reuse } = setUp();
  reuse.keep(session, undefined, tokenOf('for all'));
  t.equal(reuse.find(session, 'shop'), null);
  t.equal(reuse.find({ ...session, id: 's2' }), null);
  reuse.keep(session, 'shop', tokenOf('for the shop'));
  t.match(reuse.find(session, 'shop'), { access_token: 'for the shop' });
  t.match(reuse.find(session), { access_token: 'for all' });
  t.end();
});

test('a token from before a change of the session is not found, nor is a newer one for an older copy', (t) => {
  const { reuse } = setUp();
  reuse.keep(session, undefined, tokenOf('before'));
  const changed = { ...session, version: 2 };
  t.equal(reuse.find(changed), null);
  reuse.keep(changed, undefined, tokenOf('after'));
  t.match(reuse.find(changed), { access_token: 'after' });
  t.equal(reuse.find(session), null);
  t.end();
});

test('a token without a claims version, from a copy of the release before, is not kept', (t) => {
  const { reuse } = setUp();
  const { cv, ...claims } = session.claims;
  reuse.keep({ ...session, claims }, undefined, tokenOf('without'));
  t.equal(reuse.find(session), null);
  t.end();
});

test('a token of a key that is not the active one any more is not found', (t) => {
  const { world, reuse } = setUp();
  reuse.keep(session, undefined, tokenOf('token'));
  for (const kid of ['k2', null]) {
    world.kid = kid;
    t.equal(reuse.find(session), null);
  }
  t.end();
});

test('without an active key nothing is kept', (t) => {
  const { world, reuse } = setUp();
  world.kid = null;
  reuse.keep(session, undefined, tokenOf('token'));
  t.equal(reuse.find(session), null);
  world.kid = 'k1';
  t.equal(reuse.find(session), null);
  t.end();
});

test('a clock that went back finds nothing: nobody knows how old the token is', (t) => {
  const { world, reuse } = setUp();
  reuse.keep(session, undefined, tokenOf('token'));
  world.now -= 1;
  t.equal(reuse.find(session), null);
  t.end();
});

test('a token that is given out again says for how long it is still good', (t) => {
  const { world, now, keys } = makeWorld();
  let signed = 0;
  const sign = () => {
    signed += 1;
    return `token ${signed}`;
  };
  const tokens = createTokenService({
    sessions: {} as SessionService,
    keys: { ...keys, sign } as unknown as KeyService,
    findKey: async () => null,
    now,
    issuer: 'https://auth.example.com',
    clientId: 'browser',
    audiences: ['shop'],
    ttlMs: 1_800_000,
    reuseMs: WINDOW_MS,
  });
  const mint = () => {
    const { access_token: token, expires_in: seconds } = tokens.mintFor(session, {});
    return [token, seconds];
  };
  t.strictSame(mint(), ['token 1', 1800]);
  t.strictSame(mint(), ['token 1', 1800]);
  world.now += 10_000;
  t.strictSame(mint(), ['token 1', 1790]);
  world.now += 1;
  t.strictSame(mint(), ['token 1', 1789], 'rather too little than too much');
  world.now += 19_999;
  t.strictSame(mint(), ['token 2', 1800]);
  t.end();
});

/** A server that reuses tokens, and the answers of its routes. */
async function start(t: Test, settings: Record<string, string> = {}) {
  const place = await createPlace(t);
  const all = { ACCESS_TOKEN_REUSE: '30s', AUDIENCES: 'shop,payments', ...settings };
  const built = await build(t, all, place);
  const { app } = built;
  return {
    ...built,
    place,
    config: loadConfig({ ...quickSettings, ...place, ...all }),
    mint: (cookie: string) => app.inject({ method: 'POST', url: '/token', headers: { cookie } }),
    /** The token that a gateway gets for the cookie. */
    door: async (cookie: string, query = '') => {
      const { headers } = await app.inject({ url: `/forward-auth${query}`, headers: { cookie } });
      return String(headers.authorization).replace('Bearer ', '');
    },
  };
}

test('by default a session gets another token each time', async (t) => {
  const { app } = await build(t);
  const { cookie } = await signUp(app);
  t.not(await mintToken(app, cookie), await mintToken(app, cookie));
});

test('within ACCESS_TOKEN_REUSE a session gets the same token, and after it another one', async (t) => {
  const { app, advance, mint } = await start(t);
  const { cookie } = await signUp(app);
  const first = (await mint(cookie)).json();
  t.equal(first.expires_in, 1800);
  t.match((await mint(cookie)).json(), { access_token: first.access_token, token_type: 'Bearer' });
  await advance(10_000);
  // A look at the database during the jump may keep the old time until the next look.
  const later = await eventually(async () => {
    const body = (await mint(cookie)).json();
    if (body.expires_in > 1790) throw new Error('the jump has not been noticed yet');
    return body;
  });
  t.equal(later.access_token, first.access_token);
  t.ok(later.expires_in > 1770, `${later.expires_in} s`);
  await advance(30_000);
  const other = await eventually(async () => {
    const body = (await mint(cookie)).json();
    if (body.access_token === first.access_token) throw new Error('the jump has not been noticed yet');
    return body;
  });
  t.ok(other.expires_in > 1770);
});

test('each session and each audience has its own token', async (t) => {
  const { app } = await start(t);
  const [one, other] = [await signUp(app), await signUp(app)];
  const mintAll = async () => [
    await mintToken(app, one.cookie),
    await mintToken(app, one.cookie, { audience: 'shop' }),
    await mintToken(app, one.cookie, { audience: 'payments' }),
    await mintToken(app, other.cookie),
  ];
  const tokens = await mintAll();
  t.strictSame(
    tokens.map((token) => [decodeJwt(token).sub, decodeJwt(token).aud]),
    [
      [one.user.id, ['shop', 'payments']],
      [one.user.id, 'shop'],
      [one.user.id, 'payments'],
      [other.user.id, ['shop', 'payments']],
    ],
  );
  t.strictSame(await mintAll(), tokens);
});

test('a single-use token is never given out twice, and never for another kind', async (t) => {
  const { app } = await start(t);
  const { cookie } = await signUp(app);
  const single = () => mintToken(app, cookie, { audience: 'shop', single_use: true });
  const before = await single();
  const plain = await mintToken(app, cookie, { audience: 'shop' });
  const tokens = [before, plain, await single(), await single()];
  t.equal(new Set(tokens).size, tokens.length);
  t.equal(decodeProtectedHeader(plain).typ, 'at+jwt');
  t.equal(await mintToken(app, cookie, { audience: 'shop' }), plain);
});

test('an ended session gets no token at once, and a new sign-in another one', async (t) => {
  const { app, mint } = await start(t);
  const { cookie, email, password } = await signUp(app);
  const token = await mintToken(app, cookie);
  await app.inject({ method: 'POST', url: '/logout', headers: { cookie } });
  const refused = await mint(cookie);
  t.equal(refused.statusCode, 404);
  t.equal(codeOf(refused), 'session_not_found');
  const signedIn = await app.inject({ method: 'POST', url: '/login', payload: { email, password } });
  const next = await mintToken(app, cookieHeader(cookieOf(signedIn).value));
  t.not(decodeJwt(next).sid, decodeJwt(token).sid);
});

test('once a change of what tokens say is known, another token says it', async (t) => {
  const { app, advance, place } = await start(t);
  const [changed, same] = [await signUp(app), await signUp(app)];
  const mintBoth = async () => [await mintToken(app, changed.cookie), await mintToken(app, same.cookie)];
  const first = await mintBoth();
  // Sessions in the cache are read again after a minute, while the tokens of now are still within their window.
  await advance(45_000);
  const [before, kept] = await eventually(async () => {
    const tokens = await mintBoth();
    if (tokens.some((token) => first.includes(token))) throw new Error('the jump has not been noticed yet');
    return tokens;
  });
  await runSql(
    place.DATABASE_URL,
    `update users set email = 'new@example.com', claims_version = claims_version + 1
     where email = '${changed.email}'`,
  );
  await advance(16_000);
  const after = await eventually(async () => {
    const token = await mintToken(app, changed.cookie);
    if (token === before) throw new Error('the change is not known yet');
    return token;
  });
  t.equal(decodeJwt(after).email, 'new@example.com');
  t.equal(await mintToken(app, changed.cookie), after);
  t.equal(await mintToken(app, same.cookie), kept, 'which did not come from the time that passed');
});

test('once a key is revoked, none of its tokens is given out again', async (t) => {
  const { app, config } = await start(t);
  const { cookie } = await signUp(app);
  const [old, startedAt] = [await mintToken(app, cookie), performance.now()];
  const { kid } = decodeProtectedHeader(old);
  t.equal(await mintToken(app, cookie), old);
  await runCommand(config, 'keys.rotate', { now: true, revoke: String(kid) });
  const next = await eventually(async () => {
    const token = await mintToken(app, cookie);
    if (token === old) throw new Error('the replica has not looked at its keys yet');
    return token;
  });
  t.ok(performance.now() - startedAt < WINDOW_MS, 'the old token was young enough still');
  const keySet = (await app.inject('/.well-known/jwks.json')).json();
  t.strictSame(
    [decodeProtectedHeader(next).kid],
    keySet.keys.map((key: { kid: string }) => key.kid),
  );
  t.not(decodeProtectedHeader(next).kid, kid);
  t.equal(await mintToken(app, cookie), next);
});

test('a gateway gets the same token for the cookie as well', async (t) => {
  const { app, door } = await start(t);
  const { cookie } = await signUp(app);
  const token = await door(cookie);
  t.match(decodeJwt(token), { aud: ['shop', 'payments'] });
  t.equal(await door(cookie), token);
  t.equal(await mintToken(app, cookie), token);
  const narrow = await door(cookie, '?audience=shop');
  t.equal(decodeJwt(narrow).aud, 'shop');
  t.equal(await door(cookie, '?audience=shop'), narrow);
});
