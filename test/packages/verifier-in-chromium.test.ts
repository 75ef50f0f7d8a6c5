import { readFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { launchChromium } from '../browser/support/chromium.ts';
import { createSigner } from '../verifier/support/tokens.ts';
import { emptyProject, install, pack } from './packed.ts';

/** A browser has WebCrypto and `fetch`, and nothing of Node. */
const page = `<!doctype html>
<script type="importmap">
  {
    "imports": {
      "@doorward/verifier": "/node_modules/@doorward/verifier/dist/index.js",
      "jose": "/node_modules/jose/dist/webapi/index.js"
    }
  }
</script>
<script type="module">
  import { createDoors, createVerifier } from '@doorward/verifier';
  const verifier = createVerifier({ issuer: location.origin, audience: 'shop', timeoutMs: 60_000, logger: false });
  const doors = createDoors({ verifier });
  window.verify = (token) => verifier.verify(token).then(({ sub }) => sub, ({ name, code }) => name + ' ' + code);
  window.enter = async (token) => {
    const answer = await doors.check('verified', { authorization: 'Bearer ' + token });
    return 'user' in answer ? answer.user.sub : answer.status;
  };
</script>`;

/** The packages as npm installs them, the page, and an auth server: all of one origin. */
async function serve(t: Test, keys: object[]): Promise<string> {
  const folder = emptyProject(t, {});
  await install(folder, (await pack(t, '@doorward/verifier')).file, (await pack(t, 'jose')).file);
  const documents: Record<string, () => object> = {
    '/.well-known/oauth-authorization-server': () => ({ issuer: url, jwks_uri: `${url}/jwks` }),
    '/jwks': () => ({ keys }),
  };
  const server = createServer(async ({ url: path = '/' }, response) => {
    const document = documents[path];
    if (path === '/') return answer(response, 'text/html', page);
    if (document) return answer(response, 'application/json', JSON.stringify(document()));
    const file = await readFile(join(folder, path)).catch(() => null);
    if (file) return answer(response, 'text/javascript', file);
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return url;
}

function answer(response: ServerResponse, type: string, body: string | Buffer): void {
  response.writeHead(200, { 'content-type': type }).end(body);
}

test('needs WebCrypto and fetch alone: it takes good tokens and refuses bad ones in a browser', async (t) => {
  const algorithms = ['ES256', 'EdDSA', 'RS256'];
  const signers = await Promise.all(algorithms.map((algorithm) => createSigner(algorithm)));
  const url = await serve(
    t,
    signers.map(({ jwk }) => jwk),
  );
  const tab = await (await launchChromium(t)).newPage();
  const errors: string[] = [];
  tab.on('pageerror', (error) => errors.push(String(error)));
  await tab.goto(url);
  const call = (name: 'verify' | 'enter', token: string) => tab.evaluate(`${name}('${token}')`);
  const seconds = Math.floor(Date.now() / 1000);
  const claims = { iss: url, iat: seconds, exp: seconds + 3600 };
  for (const { jwk, kid, sign } of signers) {
    const stranger = await createSigner(jwk.alg);
    const [good, forged] = [await sign(claims), await stranger.sign(claims, { kid })];
    t.equal(await call('verify', good), 'user-1', jwk.alg);
    t.equal(await call('verify', forged), 'VerifierError signature_invalid');
    t.equal(
      await call('verify', await sign({ ...claims, aud: 'payments' })),
      'VerifierError audience_mismatch',
    );
    t.equal(await call('enter', good), 'user-1');
    t.equal(await call('enter', forged), 401);
  }
  t.strictSame(errors, []);
});
