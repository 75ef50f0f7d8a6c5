import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';
import { type Test, test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import { createDoors } from '../../src/verifier/doors.ts';
import type { Fetch } from '../../src/verifier/fetch-document.ts';
import type { IntrospectionOptions } from '../../src/verifier/introspection.ts';
import { SetupError } from '../../src/verifier/setup-error.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import type { VerifierOptions } from '../../src/verifier/verifier-settings.ts';
import { build, createPlace, quickSettings, signUp, type TestApp } from '../helper.ts';
import { addClient, mintToken } from '../support/clients.ts';
import { settle } from './support/fake-issuer.ts';
import { until } from './support/feed.ts';

const issuer = 'http://localhost:3000';
const settings = { PUBLIC_URL: issuer, AUDIENCES: 'shop,payments' };

/** A Doorward in this process, and a service that reaches it. */
async function setUp(t: Test) {
  const place = await createPlace(t);
  const { app } = await build(t, settings, place);
  const client = await addClient(place, settings, { id: 'shop', audiences: ['shop'] });
  const credentials: IntrospectionOptions = { clientId: client.id, clientSecret: client.secret };
  const warnings: string[] = [];
  const paths: string[] = [];
  let steady = 0;
  const options = (changes: Partial<VerifierOptions>): VerifierOptions => ({
    issuer,
    audience: 'shop',
    fetch: reach(app, (path) => paths.push(path)),
    logger: { warn: (text) => warnings.push(text) },
    steadyNow: () => steady,
    revocations: false,
    ...changes,
  });
  return {
    app,
    place,
    client,
    credentials,
    warnings,
    /** How many requests for this path have been answered. */
    answered: (path: string) => paths.filter((one) => one === path).length,
    advance: (ms: number) => {
      steady += ms;
    },
    verifier: (changes: Partial<VerifierOptions> = {}) => createVerifier(options(changes)),
    doors: (introspection: IntrospectionOptions, changes: Partial<VerifierOptions> = {}) =>
      createDoors({ verifier: options(changes), introspection }),
  };
}

/** Any host name leads to the app. @param noteAnswer called with the path of each request that was answered */
function reach(app: TestApp['app'], noteAnswer: (path: string) => void): Fetch {
  return async (url, { method, headers, body }) => {
    const { pathname } = new URL(url);
    const response = await app.inject({
      url: pathname,
      method: method === 'POST' ? 'POST' : 'GET',
      headers: Object.fromEntries(new Headers(headers)),
      ...(body && { payload: String(body) }),
    });
    const sent = Object.entries(response.headers).map(([name, value]): [string, string] => [
      name,
      `${value}`,
    ]);
    noteAnswer(pathname);
    return new Response(response.rawPayload, { status: response.statusCode, headers: sent });
  };
}

/** The problems that a check finds. */
async function problemsOf(check: Promise<void>): Promise<string[]> {
  return check.then(
    () => [],
    (error) => {
      if (!(error instanceof SetupError)) throw error;
      return error.problems;
    },
  );
}

const otherIssuer =
  'The metadata at http://127.0.0.1:3000/.well-known/oauth-authorization-server is of the issuer http://localhost:3000, not http://127.0.0.1:3000: set issuer to PUBLIC_URL of the auth server, letter for letter';
const refused =
  'The auth server refuses the client shop or its credentials (401): check clientId and clientSecret';
const notForPayments =
  'The client shop is not registered with the audience payments, so the auth server calls all tokens for it inactive: check audience, or register a client with: doorward clients add NAME --audience payments';

test('finds nothing where issuer, keys, client and audience are right', async (t) => {
  const { verifier, doors, credentials, warnings, place } = await setUp(t);
  t.strictSame(await problemsOf(verifier().check()), []);
  t.strictSame(await problemsOf(doors(credentials).checkSetup()), []);
  t.strictSame(await problemsOf(createDoors({ verifier: verifier() }).checkSetup()), []);
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const public_keys = { ...(await exportJWK(publicKey)), kid: 'key-1', alg: 'ES256' };
  const config = loadConfig({ ...quickSettings, ...place, ...settings });
  await runCommand(config, 'clients.add', { id: 'signer', audiences: ['shop'], public_keys });
  const signing = { clientId: 'signer', privateKey: await exportPKCS8(privateKey), kid: 'key-1' };
  t.strictSame(await problemsOf(doors(signing).checkSetup()), []);
  t.match(await problemsOf(doors({ ...signing, kid: 'key-2' }).checkSetup()), [
    'The auth server refuses the client signer or its credentials (401): check clientId, privateKey, kid and algorithm',
  ]);
  t.strictSame(warnings, []);
});

test('tells of an issuer that is not PUBLIC_URL, letter for letter', async (t) => {
  const { verifier, warnings, app } = await setUp(t);
  const other = { issuer: 'http://127.0.0.1:3000' };
  t.strictSame(await problemsOf(verifier(other).check()), [otherIssuer]);
  t.strictSame(warnings, [otherIssuer], 'and the log has it, too');
  const jwksUri = 'http://127.0.0.1:3000/.well-known/jwks.json';
  t.strictSame(await problemsOf(verifier({ jwksUri }).check()), []);
  t.strictSame(await problemsOf(verifier({ ...other, jwksUri }).check()), [otherIssuer]);
  warnings.length = 0;
  const { cookie } = await signUp(app);
  await t.rejects(verifier({ ...other, jwksUri }).verify(await mintToken(app, cookie)), {
    code: 'issuer_mismatch',
  });
  t.strictSame(warnings, [
    'A token with a good signature is of the issuer http://localhost:3000, not http://127.0.0.1:3000: set issuer to PUBLIC_URL of the auth server, letter for letter',
  ]);
});

test('tells of wrong credentials, and of an audience that the client does not have', async (t) => {
  const { doors, client, credentials } = await setUp(t);
  const wrong = { clientId: 'shop', clientSecret: `${client.secret}x` };
  t.strictSame(await problemsOf(doors(wrong).checkSetup()), [refused]);
  t.strictSame(await problemsOf(doors(wrong, { issuer: 'http://127.0.0.1:3000' }).checkSetup()), [
    otherIssuer,
    refused,
  ]);
  t.strictSame(await problemsOf(doors(credentials, { audience: ['shop', 'payments'] }).checkSetup()), [
    notForPayments,
  ]);
});

test('tells of clocks that differ', async (t) => {
  const { verifier } = await setUp(t);
  const off = (seconds: number) => ({ now: () => Date.now() + seconds * 1000 });
  t.match(await problemsOf(verifier(off(3600)).check()), [
    /^The clock of this host is 3\d\d\d s ahead of that of the auth server: set both by NTP$/,
  ]);
  t.match(await problemsOf(verifier(off(-3600)).check()), [/ is 3\d\d\d s behind that of /]);
  t.strictSame(await problemsOf(verifier({ ...off(30), leewaySeconds: 60 }).check()), []);
});

test('at a door, warns of wrong credentials and of a missing audience, once a minute for each', async (t) => {
  const { app, doors, client, credentials, warnings, advance, answered } = await setUp(t);
  const { cookie } = await signUp(app);
  const authorization = `Bearer ${await mintToken(app, cookie, { audience: 'payments' })}`;
  const wrong = doors({ clientId: 'shop', clientSecret: `${client.secret}x` }, { audience: 'payments' });
  const other = doors(credentials, { audience: 'payments' });
  const ask = async (at: typeof wrong, status: number, warned: string[]) => {
    t.match(await at.check('checked', { authorization }), { status });
    await until(() => warnings.length >= warned.length);
    t.strictSame(warnings, warned);
  };
  for (let count = 0; count < 3; count += 1) await ask(wrong, 503, [refused]);
  for (let count = 0; count < 3; count += 1) await ask(other, 401, [refused, notForPayments]);
  t.equal(answered('/oauth/token'), 1, 'the door asks why once a minute');
  advance(60_000);
  await ask(wrong, 503, [refused, notForPayments, refused]);
  await ask(other, 401, [refused, notForPayments, refused, notForPayments]);
  t.equal(answered('/oauth/token'), 2);
  for (const text of warnings) t.notMatch(text, client.secret);
});

test('a token that was revoked is no reason to warn', async (t) => {
  const { app, doors, credentials, warnings, answered } = await setUp(t);
  const { cookie } = await signUp(app);
  const authorization = `Bearer ${await mintToken(app, cookie, { audience: 'shop' })}`;
  await app.inject({ method: 'POST', url: '/logout', headers: { cookie } });
  t.match(await doors(credentials).check('checked', { authorization }), { status: 401 });
  await until(() => answered('/oauth/token') === 1);
  // The answer is in memory: a warning would come in the next turns.
  await settle();
  t.strictSame(warnings, []);
});
