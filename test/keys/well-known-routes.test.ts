import { test } from 'tap';
import { build, buildEmbedded, createPlace, type TestApp } from '../helper.ts';

const documents = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'];

const jwksOf = (app: TestApp['app'], ifNoneMatch?: string) =>
  app.inject({
    url: '/.well-known/jwks.json',
    headers: ifNoneMatch === undefined ? {} : { 'if-none-match': ifNoneMatch },
  });

for (const [name, start] of [
  ['PostgreSQL and Redis', build],
  ['PGlite and memory', buildEmbedded],
] as const) {
  test(`the key set holds one public key and nothing private, on ${name}`, async (t) => {
    const { app } = await start(t);
    const { keys } = (await jwksOf(app)).json();
    t.equal(keys.length, 1);
    t.strictSame(Object.keys(keys[0]).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
    t.match(keys[0], { alg: 'ES256', crv: 'P-256', kty: 'EC', use: 'sig', kid: /^[\w-]{43}$/ });
  });
}

test('the key set may be kept for JWKS_MAX_AGE, by anyone', async (t) => {
  const { app } = await build(t, { JWKS_MAX_AGE: '90s' });
  const response = await jwksOf(app);
  t.equal(response.headers['cache-control'], 'public, max-age=90');
  t.equal(response.headers['content-type'], 'application/json; charset=utf-8');
});

test('all replicas serve the same key set under the same ETag', async (t) => {
  const place = await createPlace(t);
  const apps = await Promise.all([build(t, {}, place), build(t, {}, place), build(t, {}, place)]);
  const responses = await Promise.all(apps.map(({ app }) => jwksOf(app)));
  t.equal(new Set(responses.map((response) => response.body)).size, 1);
  t.equal(new Set(responses.map((response) => response.headers.etag)).size, 1);
});

test('a key set that the client has already is not sent again', async (t) => {
  const { app } = await build(t);
  const { etag = '', 'cache-control': cacheControl } = (await jwksOf(app)).headers;
  t.match(etag, /^"[\w-]{43}"$/);
  for (const known of [etag, `W/${etag}`, `"a", ${etag}`, `W/"a",W/${etag} , "b"`, `${etag},`, '*', ' * ']) {
    const response = await jwksOf(app, known);
    t.equal(response.statusCode, 304, known);
    t.equal(response.body, '');
    t.match(response.headers, { etag, 'cache-control': cacheControl });
  }
});

test('a key set that the client does not have is sent', async (t) => {
  const { app } = await build(t);
  const etag = String((await jwksOf(app)).headers.etag);
  const bare = etag.replaceAll('"', '');
  for (const other of ['"a"', '', bare, `w/${etag}`, `"${bare}x"`, '"*"', '"a, * ,b"', etag.toUpperCase()]) {
    t.equal((await jwksOf(app, other)).statusCode, 200, other);
  }
});

/** What RFC 8414 §2 has said of each endpoint that clients authenticate at. */
const endpoint = (name: string, path: string) => ({
  [`${name}_endpoint`]: `http://localhost:3000${path}`,
  [`${name}_endpoint_auth_methods_supported`]: [
    'client_secret_basic',
    'client_secret_post',
    'private_key_jwt',
  ],
  [`${name}_endpoint_auth_signing_alg_values_supported`]: [
    ...['ES256', 'ES384', 'EdDSA', 'Ed25519', 'RS256', 'PS256'],
  ],
});

test('both metadata documents name the issuer and where things are', async (t) => {
  const { app } = await build(t);
  for (const url of documents) {
    const response = await app.inject(url);
    t.equal(response.statusCode, 200);
    t.equal(response.headers['cache-control'], 'public, max-age=600');
    t.strictSame(response.json(), {
      issuer: 'http://localhost:3000',
      jwks_uri: 'http://localhost:3000/.well-known/jwks.json',
      ...endpoint('token', '/oauth/token'),
      ...endpoint('introspection', '/oauth/introspect'),
      ...endpoint('revocation', '/oauth/revoke'),
      revocations_uri: 'http://localhost:3000/revocations',
      response_types_supported: [],
      grant_types_supported: ['client_credentials'],
      service_documentation: 'http://localhost:3000/docs',
    });
  }
});

test('the metadata names no feed that is off', async (t) => {
  const { app } = await build(t, { REVOCATIONS: 'off' });
  for (const url of documents) t.notOk('revocations_uri' in (await app.inject(url)).json());
});

test('no header moves the issuer, not even one of a trusted proxy', async (t) => {
  const { app } = await build(t, {
    PUBLIC_URL: 'https://auth.example.com',
    TRUSTED_PROXIES: '127.0.0.1',
  });
  const headers = {
    host: 'evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'http',
    'x-forwarded-port': '666',
    'x-forwarded-prefix': '/evil',
    forwarded: 'host=evil.example;proto=http',
    origin: 'https://evil.example',
  };
  for (const url of [...documents, '/openapi.json', '/.well-known/jwks.json']) {
    const response = await app.inject({ url, headers });
    t.equal(response.statusCode, 200);
    t.notMatch(response.body, /evil/);
    t.notMatch(JSON.stringify(response.headers), /evil/);
  }
  const { issuer, jwks_uri: jwksUri } = (await app.inject({ url: documents[0] ?? '', headers })).json();
  t.strictSame(
    [issuer, jwksUri],
    ['https://auth.example.com', 'https://auth.example.com/.well-known/jwks.json'],
  );
});

test('PATH_PREFIX puts everything under it and nothing beside it', async (t) => {
  const { app } = await build(t, { PATH_PREFIX: '/auth' });
  const metadata = (await app.inject('/auth/.well-known/oauth-authorization-server')).json();
  t.equal(metadata.issuer, 'http://localhost:3000/auth');
  for (const name of ['jwks_uri', 'service_documentation']) {
    const { pathname } = new URL(metadata[name]);
    t.equal((await app.inject(pathname)).statusCode, 200, pathname);
    t.equal((await app.inject(pathname.replace('/auth', ''))).statusCode, 404, pathname);
  }
  t.equal((await app.inject('/auth/health/live')).statusCode, 200);
  t.equal((await app.inject('/health/live')).statusCode, 404);
  t.equal((await app.inject({ method: 'POST', url: '/auth/token' })).json().code, 'session_not_found');
  t.equal((await app.inject({ method: 'POST', url: '/token' })).json().code, 'not_found');
});
