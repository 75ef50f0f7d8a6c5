import { type Test, test } from 'tap';
import { build, codeOf, createPlace, runSql, signUp } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { addClient, basic, grantToken, mintToken } from '../support/clients.ts';

const issuer = 'http://localhost:3000';
const READER = { id: 'shop', scopes: ['revocations:read'], audiences: [issuer] };

async function setUp(t: Test) {
  const place = await createPlace(t);
  const { app } = await build(t, { REVOCATIONS: 'clients', AUDIENCES: `api,${issuer}` }, place);
  const ask = (authorization?: string) =>
    app.inject({ url: '/revocations', headers: authorization === undefined ? {} : { authorization } });
  return { app, place, ask };
}

test('a service client reads with its id and secret, whatever its scopes', async (t) => {
  const { place, ask } = await setUp(t);
  const { authorization } = await addClient(place, {}, { id: 'shop', audiences: ['api'] });
  const answer = await ask(authorization);
  t.equal(answer.statusCode, 200);
  t.match(answer.json(), { from: null });
  t.equal(answer.headers['cache-control'], 'private, no-store');
});

test('or with an access token that has the scope', async (t) => {
  const { app, place, ask } = await setUp(t);
  const client = await addClient(place, {}, READER);
  const token = await grantToken(app, client);
  for (const scheme of ['Bearer', 'bearer'])
    t.equal((await ask(`${scheme} ${token}`)).statusCode, 200, scheme);
});

test('nobody reads without credentials, or with wrong ones', async (t) => {
  const { place, ask } = await setUp(t);
  const { id, secret } = await addClient(place, {}, READER);
  const wrong = `${secret.slice(0, -1)}${secret.endsWith('A') ? 'B' : 'A'}`;
  for (const authorization of [
    undefined,
    basic(id, wrong),
    basic('stranger', secret),
    'Basic x',
    'Digest x',
  ]) {
    const refused = await ask(authorization);
    t.equal(refused.statusCode, 401, String(authorization));
    t.equal(codeOf(refused), 'invalid_client');
    t.match(refused.headers['www-authenticate'], /^Basic realm=/);
  }
});

test('no token without the scope reads, not even that of a user who may use this server', async (t) => {
  const { app, place, ask } = await setUp(t);
  const { cookie } = await signUp(app);
  const other = await addClient(place, {}, { id: 'a', scopes: ['admin:doctor'], audiences: [issuer] });
  for (const token of [await mintToken(app, cookie, { audience: issuer }), await grantToken(app, other)]) {
    const refused = await ask(`Bearer ${token}`);
    t.equal(refused.statusCode, 403);
    t.equal(codeOf(refused), 'insufficient_scope');
  }
  const elsewhere = await addClient(place, {}, { ...READER, id: 'b', audiences: ['api'] });
  const refused = await ask(`Bearer ${await grantToken(app, elsewhere)}`);
  t.equal(codeOf(refused), 'invalid_token');
});

test('a token that was revoked does not read the feed that says so', async (t) => {
  const { app, place, ask } = await setUp(t);
  const client = await addClient(place, {}, READER);
  const [token, other] = [await grantToken(app, client), await grantToken(app, client)];
  const { jti } = JSON.parse(Buffer.from(String(token.split('.')[1]), 'base64url').toString());
  await runSql(
    place.DATABASE_URL,
    `insert into revocations (kind, subject) values ('token', substring(sha256('${jti}') for 8))`,
  );
  await eventually(async () => {
    if ((await ask(`Bearer ${other}`)).json().tokens === '') throw new Error('not read yet');
  });
  t.equal(codeOf(await ask(`Bearer ${token}`)), 'invalid_token');
});

test('what is wrong besides the credentials is said as everywhere', async (t) => {
  const { place, ask } = await setUp(t);
  const { secret } = await addClient(place, {}, READER);
  for (let tries = 0; tries < 300; tries += 1) await ask(basic('stranger', secret));
  const refused = await ask(basic('stranger', secret));
  t.equal(refused.statusCode, 429);
  t.equal(codeOf(refused), 'rate_limited');
});
