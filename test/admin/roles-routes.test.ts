import { decodeJwt } from 'jose';
import { type Test, test } from 'tap';
import { sql } from '../../src/db/drizzle.ts';
import { users } from '../../src/db/schema.ts';
import { buildEmbedded, codeOf, cookieHeader, cookieOf, signUp } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { mintToken } from '../support/clients.ts';

const ISSUER = 'http://localhost:3000';

async function setUp(t: Test) {
  const built = await buildEmbedded(t);
  const { app, adapters } = built;
  /** Somebody with these roles, who has just signed in. */
  const enter = async (roles: string[]) => {
    const { email, password, user } = await signUp(app);
    await adapters.database.update(users).set({ roles }).where(sql`id = ${user.id}`);
    const response = await app.inject({ method: 'POST', url: '/login', payload: { email, password } });
    return { id: String(user.id), cookie: cookieHeader(cookieOf(response).value) };
  };
  const admin = await enter(['admin']);
  const token = await mintToken(app, admin.cookie, { audience: ISSUER });
  const ask = (method: 'GET' | 'PUT' | 'DELETE', name = '', payload?: object, bearer = token) =>
    app.inject({
      ...{ method, url: `/admin/roles${name && `/${name}`}` },
      headers: { authorization: `Bearer ${bearer}` },
      ...(payload !== undefined && { payload }),
    });
  return { ...built, enter, admin, ask };
}

test('roles over HTTP', async (t) => {
  const { app, advance, adapters, enter, admin, ask } = await setUp(t);

  t.test('a role is made, listed, replaced and removed', async (t) => {
    const editor = { name: 'editor', scopes: ['posts:read', 'posts:write'], description: 'Writes' };
    const made = await ask('PUT', 'editor', { scopes: ['posts:write', 'posts:read'], description: 'Writes' });
    t.match(made, { statusCode: 200 });
    t.strictSame(made.json(), editor);
    const { roles } = (await ask('GET')).json();
    t.match(roles, [{ name: 'admin', description: String }, editor]);
    t.strictSame((await ask('PUT', 'editor', { scopes: [] })).json(), { ...editor, scopes: [] });
    t.match(await ask('DELETE', 'editor'), { statusCode: 204, body: '' });
    t.equal(codeOf(await ask('DELETE', 'editor')), 'not_found');
  });

  t.test('what is no role is refused, and so is what the machine alone may do', async (t) => {
    for (const [name, body] of [
      ['Editor', { scopes: [] }],
      ['editor', { scopes: ['a b'] }],
      ['editor', {}],
      ['editor', { scopes: [], name: 'other' }],
      ['editor', { scopes: [], description: 'a\nb' }],
    ] as const)
      t.equal(codeOf(await ask('PUT', name, body)), 'validation_failed', JSON.stringify([name, body]));
    const power = await ask('PUT', 'helper', { scopes: ['admin:users:read'] });
    t.equal(codeOf(power), 'only_on_the_machine');
    t.match(power.json().detail, /doorward roles set helper/);
    t.equal(codeOf(await ask('PUT', 'admin', { scopes: [] })), 'last_admin');
    t.equal(codeOf(await ask('DELETE', 'admin')), 'last_admin');
  });

  t.test('a change reaches those who have the role, and their tokens say it', async (t) => {
    await ask('PUT', 'reader', { scopes: ['posts:read'] });
    const { cookie } = await enter(['reader']);
    const scopeOf = async () => decodeJwt(await mintToken(app, cookie)).scope;
    t.equal(await scopeOf(), 'posts:read');
    await ask('PUT', 'reader', { scopes: ['posts:read', 'posts:list'] });
    await eventually(async () => {
      if ((await scopeOf()) !== 'posts:list posts:read') throw new Error('not yet');
    });
  });

  t.test('who has lost a scope is refused at once, though the token still names it', async (t) => {
    const other = await enter(['admin']);
    const bearer = await mintToken(app, other.cookie, { audience: ISSUER });
    t.match(await ask('GET', '', undefined, bearer), { statusCode: 200 });
    await adapters.database.update(users).set({ roles: [] }).where(sql`id = ${other.id}`);
    t.equal(codeOf(await ask('GET', '', undefined, bearer)), 'insufficient_scope');
  });

  t.test('others are refused', async (t) => {
    const visitor = await enter([]);
    const bearer = await mintToken(app, visitor.cookie, { audience: ISSUER });
    for (const [method, body] of [['GET'], ['PUT', { scopes: [] }], ['DELETE']] as const)
      t.equal(
        codeOf(await ask(method, method === 'GET' ? '' : 'reader', body, bearer)),
        'insufficient_scope',
      );
    const forServices = await mintToken(app, admin.cookie, { audience: 'api' });
    t.equal(codeOf(await ask('GET', '', undefined, forServices)), 'invalid_token');
  });

  t.test('a change needs a sign-in of a moment ago, a look does not', async (t) => {
    await advance(20 * 60_000);
    t.match(await ask('GET'), { statusCode: 200 });
    t.equal(codeOf(await ask('PUT', 'late', { scopes: [] })), 'insufficient_user_authentication');
    t.equal(codeOf(await ask('DELETE', 'late')), 'insufficient_user_authentication');
  });
});
