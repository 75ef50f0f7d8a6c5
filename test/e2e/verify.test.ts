import { spawnSync } from 'node:child_process';
import { test } from 'tap';
import { build, createPlace, newCredentials } from '../helper.ts';
import { cookiesOf, postJson, startServer } from './server-process.ts';

/** All that another service needs: jose, the issuer and its own name. Prints the result for each token it gets. */
const resourceService = `
  import { createRemoteJWKSet, jwtVerify } from 'jose';
  const [url, issuer, ...tokens] = process.argv.slice(1);
  const jwks = createRemoteJWKSet(new URL(url + '/.well-known/jwks.json'));
  const results = await Promise.all(tokens.map((token) =>
    jwtVerify(token, jwks, { issuer, audience: 'shop', typ: 'at+jwt' }).then(
      ({ payload }) => ({ email: payload.email }),
      ({ code }) => ({ code }),
    ),
  ));
  console.log(JSON.stringify(results));
`;

function verifyElsewhere(url: string, issuer: string, tokens: string[]): object[] {
  const args = ['--input-type=module', '-e', resourceService, url, issuer, ...tokens];
  return JSON.parse(spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout);
}

/** The same token with another claim or signature. */
function forge(token: string, change: (parts: string[]) => string[]): string {
  return change(token.split('.')).join('.');
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

test('another process verifies access tokens with jose and the JWKS alone, and refuses all others', async (t) => {
  const issuer = 'https://auth.example.com';
  const server = startServer(t, {
    ...(await createPlace(t)),
    AUDIENCES: 'shop,payments',
    PUBLIC_URL: issuer,
  });
  const url = await server.url();
  const { email, password } = newCredentials();
  const cookie = cookiesOf(await postJson(`${url}/signup`, { email, password }));
  const mint = async (body?: object): Promise<string> => {
    const response = await postJson(`${url}/token`, body, cookie);
    return ((await response.json()) as { access_token: string }).access_token;
  };
  const token = await mint();
  const [header = '', claims = ''] = token.split('.');
  const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString());
  const stranger = await build(t, { AUDIENCES: 'shop', PUBLIC_URL: issuer });
  const foreign = await stranger.app.inject({ method: 'POST', url: '/signup', payload: newCredentials() });
  const foreignToken = await stranger.app.inject({
    method: 'POST',
    url: '/token',
    cookies: { '__Host-g_token': foreign.cookies[0]?.value ?? '' },
  });

  t.strictSame(
    verifyElsewhere(url, issuer, [
      token,
      await mint({ audience: 'shop' }),
      await mint({ audience: 'payments' }),
      forge(token, ([head = '', body = '', signature = '']) => [head, body, `${signature.slice(0, -4)}AAAA`]),
      forge(token, ([head = '', , signature = '']) => [
        head,
        encode({ aud: 'shop', iss: issuer }),
        signature,
      ]),
      forge(token, () => [encode({ alg: 'none', typ: 'at+jwt', kid }), claims, '']),
      foreignToken.json().access_token,
    ]),
    [
      { email },
      { email },
      { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' },
      { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' },
      { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' },
      { code: 'ERR_JOSE_NOT_SUPPORTED' },
      { code: 'ERR_JWKS_NO_MATCHING_KEY' },
    ],
  );
  t.strictSame(verifyElsewhere(url, 'https://other.example.com', [token]), [
    { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' },
  ]);
  t.equal(await server.end('SIGINT'), 0);
});
