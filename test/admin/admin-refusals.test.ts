import { test } from 'tap';
import { eq } from '../../src/db/drizzle.ts';
import { users } from '../../src/db/schema.ts';
import { documented, listRoutes } from '../canary/routes.ts';
import { codeOf } from '../helper.ts';
import { mintToken } from '../support/clients.ts';
import { ISSUER, openOperators } from '../support/operators.ts';

const ID = '01890a5d-ac96-774b-bcce-b302099a8057';
const MINUTE_MS = 60_000;

/** What a route needs to get as far as the check of the token. A new route that needs something has it here. */
const BODIES: Record<string, object> = {
  'POST /admin/clients': { client_id: 'shop', audiences: ['shop'] },
  'PATCH /admin/clients/:id': { name: 'Shop' },
  'POST /admin/users': { email: 'ada@example.com' },
  'PATCH /admin/users/:id': { display_name: 'Ada' },
  'PUT /admin/roles/:name': { scopes: [] },
};
const QUERIES: Record<string, string> = { 'GET /admin/sessions': `?user_id=${ID}` };

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

async function requestsOf(t: Parameters<typeof listRoutes>[0]) {
  const routes = documented(await listRoutes(t)).filter(({ path }) => path.startsWith('/admin/'));
  return routes
    .filter(({ path }) => path !== '/admin/doctor')
    .flatMap(({ methods, path }) =>
      methods.filter((method) => method !== 'HEAD').map((method) => ({ method, path })),
    )
    .map(({ method, path }) => {
      const name = `${method} ${path}`;
      const url = path.replace(/:(id|name)/, ID) + (QUERIES[name] ?? '');
      return { name, method: method as Method, url, body: BODIES[name] };
    });
}

test('no route of operators lets in who may not', async (t) => {
  const requests = await requestsOf(t);
  t.ok(requests.length > 15, 'the routes were found');
  const { app, call, addClient, addUser, database, advance } = await openOperators(t);

  // All routes have the same check of the token: what is about the token alone is tried on one for each method.
  const some = requests.filter(({ method }, at) => at === requests.findIndex((one) => one.method === method));
  const refuses = async (name: string, bearer: string, status: number, code: string, routes = some) => {
    for (const { name: route, method, url, body } of routes) {
      const answer = await call(method, url, { bearer, ...(body && { body }) });
      t.same([answer.statusCode, codeOf(answer)], [status, code], `${route}: ${name}`);
      t.equal(answer.headers['www-authenticate'], `Bearer realm="doorward", error="${code}"`);
    }
  };
  const ada = await addUser(['admin']);

  for (const { name, method, url, body } of requests)
    for (const headers of [{}, { cookie: ada.cookie }, { authorization: 'Basic dTpw' }]) {
      const answer = await app.inject({ method, url, headers, ...(body && { payload: body }) });
      t.same([answer.statusCode, codeOf(answer)], [401, 'not_signed_in'], name);
      t.equal(answer.headers['www-authenticate'], 'Bearer realm="doorward"');
    }

  const other = await addClient({ scopes: ['admin:doctor', 'revocations:read'] });
  await refuses('another scope', other.bearer, 403, 'insufficient_scope', requests);
  await refuses('a user without roles', (await addUser()).bearer, 401, 'invalid_token');
  const plain = await mintToken(app, (await addUser()).cookie, { audience: ISSUER });
  await refuses('a user without roles, for this audience', `Bearer ${plain}`, 403, 'insufficient_scope');
  const elsewhere = await addClient({ audiences: ['shop'] });
  await refuses("a client's token for another audience", elsewhere.bearer, 401, 'invalid_token');
  const narrowed = await mintToken(app, ada.cookie, { audience: 'shop' });
  await refuses("a user's token for another audience", `Bearer ${narrowed}`, 401, 'invalid_token');
  const once = await mintToken(app, ada.cookie, { audience: 'shop', single_use: true });
  await refuses('a single-use token', `Bearer ${once}`, 401, 'invalid_token');

  const bert = await addUser(['admin']);
  await app.inject({ method: 'POST', url: '/logout', headers: { cookie: bert.cookie } });
  await refuses('an ended session', bert.bearer, 401, 'invalid_token');
  const carl = await addUser(['admin']);
  await database.update(users).set({ status: 'banned' }).where(eq(users.id, carl.id));
  await refuses('a banned user', carl.bearer, 401, 'invalid_token');
  const dora = await addUser(['admin']);
  await database.update(users).set({ roles: [] }).where(eq(users.id, dora.id));
  await refuses('a user who has lost the role', dora.bearer, 403, 'insufficient_scope', requests);

  await advance(16 * MINUTE_MS);
  const writes = requests.filter(({ method }) => method !== 'GET');
  for (const { name, method, url, body } of writes) {
    const answer = await call(method, url, { bearer: ada.bearer, ...(body && { body }) });
    t.same([answer.statusCode, codeOf(answer)], [401, 'insufficient_user_authentication'], name);
    t.match(answer.headers, { 'www-authenticate': /error="insufficient_user_authentication", max_age=900$/ });
  }
  for (const { name, method, url } of requests.filter((request) => !writes.includes(request)))
    t.ok([200, 404].includes((await call(method, url, { bearer: ada.bearer })).statusCode), name);
});
