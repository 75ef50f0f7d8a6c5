import { decodeJwt } from 'jose';
import { type Test, test } from 'tap';
import { sql } from '../../src/db/drizzle.ts';
import { roles, users } from '../../src/db/schema.ts';
import { buildEmbedded, codeOf, cookieHeader, cookieOf, signUp, type TestApp } from '../helper.ts';
import { mintToken } from '../support/clients.ts';

const ISSUER = 'http://localhost:3000';
const ADMIN = 'admin:audit admin:clients admin:keys admin:sessions admin:users:read admin:users:write';

async function setUp(t: Test) {
  const built = await buildEmbedded(t, { AUDIENCES: 'shop,pay' });
  const { database } = built.adapters;
  await database.insert(roles).values([
    { name: 'editor', scopes: ['posts:write', 'posts:read', 'Posts'] },
    { name: 'reader', scopes: ['posts:read'] },
    { name: 'friend', scopes: [] },
  ]);
  return built;
}

/** The cookie of a new user who has these roles from the start of the session on. */
async function signInWith({ app, adapters }: TestApp, names: string[]): Promise<string> {
  const { email, password, user } = await signUp(app);
  await adapters.database.update(users).set({ roles: names }).where(sql`id = ${user.id}`);
  const response = await app.inject({ method: 'POST', url: '/login', payload: { email, password } });
  return cookieHeader(cookieOf(response).value);
}

test('roles in tokens', async (t) => {
  const built = await setUp(t);
  const { app } = built;

  t.test('a token says the roles of its user, and each of their scopes once, in order', async (t) => {
    const claimsOf = async (names: string[]) =>
      decodeJwt(await mintToken(app, await signInWith(built, names)));
    t.match(await claimsOf(['editor', 'reader']), {
      roles: ['editor', 'reader'],
      scope: 'Posts posts:read posts:write',
      aud: ['shop', 'pay'],
    });
    t.match(await claimsOf(['friend']), { roles: ['friend'], scope: '' }, 'a role may have no scope');
    t.match(await claimsOf(['gone']), { roles: ['gone'], scope: '' }, 'an unknown role gives no scope');
    t.match(await claimsOf([]), { roles: [], scope: '' }, 'both are always there');
  });

  t.test('single-use tokens and gateways say them too', async (t) => {
    const cookie = await signInWith(built, ['reader']);
    const once = await mintToken(app, cookie, { audience: 'shop', single_use: true });
    t.match(decodeJwt(once), { roles: ['reader'], scope: 'posts:read' });
    const token = await mintToken(app, cookie);
    const asGet = { 'x-original-method': 'GET', 'x-original-uri': '/' };
    for (const headers of [{ cookie }, { authorization: `Bearer ${token}` }])
      for (const url of ['/forward-auth', '/forward-auth?check=session'])
        t.equal(
          (await app.inject({ url, headers: { ...asGet, ...headers } })).headers['x-auth-scope'],
          'posts:read',
        );
  });

  t.test('who has a scope of this server gets it as an audience, if none was asked for', async (t) => {
    const cookie = await signInWith(built, ['admin']);
    t.match(decodeJwt(await mintToken(app, cookie)), {
      aud: ['shop', 'pay', ISSUER],
      roles: ['admin'],
      scope: ADMIN,
    });
    t.equal(decodeJwt(await mintToken(app, cookie, { audience: 'shop' })).aud, 'shop');
  });

  t.test(
    'everyone may ask for a token for this server alone, which gives no scope and passes no door',
    async (t) => {
      const { cookie } = await signUp(app);
      const token = await mintToken(app, cookie, { audience: ISSUER });
      t.match(decodeJwt(token), { aud: ISSUER, scope: '' });
      const asGet = { 'x-original-method': 'GET', 'x-original-uri': '/' };
      const headers = { ...asGet, authorization: `Bearer ${token}` };
      t.equal(codeOf(await app.inject({ url: '/forward-auth', headers })), 'invalid_token');
      const door = `/forward-auth?audience=${encodeURIComponent(ISSUER)}`;
      t.equal(codeOf(await app.inject({ url: door, headers })), 'unknown_audience');
    },
  );
});
