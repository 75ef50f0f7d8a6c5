import { exportJWK, exportPKCS8, jwtVerify } from 'jose';
import { test } from 'tap';
import type { ClientCredentials } from '../../src/verifier/client-credentials.ts';
import type { Fetch } from '../../src/verifier/fetch-document.ts';
import { createIntrospection, type IntrospectionOptions } from '../../src/verifier/introspection.ts';
import type { VerifierSettings } from '../../src/verifier/verifier-settings.ts';
import { claimsAt, codeOf, createSigner, issuer, start } from './support/tokens.ts';

const claims = claimsAt(start / 1000);
const secret: IntrospectionOptions = { clientId: 'shop', clientSecret: 'word' };

type Sent = { url: string; headers: Headers; form: URLSearchParams };

/** An introspection whose auth server gives these answers one after the other, and then repeats the last one. */
function ask(answers: (() => Response)[], options: IntrospectionOptions = secret) {
  const sent: Sent[] = [];
  const warnings: string[] = [];
  const failures: [error: unknown, status: number | null][] = [];
  const fetch: Fetch = async (url, init) => {
    sent.push({ url, headers: new Headers(init.headers), form: new URLSearchParams(String(init.body)) });
    return (answers[sent.length - 1] ?? (answers.at(-1) as () => Response))();
  };
  const settings: VerifierSettings = {
    issuer,
    audiences: ['shop'],
    leewaySeconds: 5,
    allowInsecure: false,
    revocations: false,
    timeoutMs: 60_000,
    now: () => start,
    steadyNow: () => 0,
    fetch,
    warn: ({ message }) => void warnings.push(message),
    on: { introspectionFailed: (error, status) => failures.push([error, status]) },
  };
  return { sent, warnings, failures, ...createIntrospection(options, settings) };
}

const active = () => Response.json({ active: true, ...claims });
const inactive = () => Response.json({ active: false });
const status = (code: number) => () => new Response(null, { status: code });
const lost = () => {
  throw new TypeError('fetch failed');
};

test('asks with form and Basic, each part encoded', async (t) => {
  const { introspect, sent } = ask([active], { clientId: 'my:shop', clientSecret: 'wörd &+' });
  t.match(await introspect('a token'), { active: true, email: 'ada@example.com' });
  const [request] = sent;
  t.equal(request?.url, `${issuer}/oauth/introspect`);
  t.equal(request?.form.get('token'), 'a token');
  t.equal(request?.headers.get('content-type'), 'application/x-www-form-urlencoded');
  t.equal(request?.headers.get('authorization'), `Basic ${btoa('my%3Ashop:w%C3%B6rd+%26%2B')}`);
  t.equal(request?.headers.get('idempotency-key'), null);
});

test('asks with a fresh assertion of its key, in each form that a key has', async (t) => {
  const { privateKey, publicKey } = await createSigner();
  const keys = [privateKey, await exportPKCS8(privateKey), await exportJWK(privateKey)];
  for (const key of keys) {
    const credentials: ClientCredentials = { clientId: 'shop', privateKey: key, kid: 'key-1' };
    const { introspect, sent } = ask([status(503), active], credentials);
    await introspect('a token');
    const assertions = sent.map(({ form }) => form.get('client_assertion') ?? '');
    t.not(assertions[0], assertions[1], 'never the same twice');
    t.equal(
      sent[0]?.form.get('client_assertion_type'),
      'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    );
    const options = { issuer: 'shop', subject: 'shop', audience: issuer, currentDate: new Date(start) };
    const { payload, protectedHeader } = await jwtVerify(assertions[0] ?? '', publicKey, options);
    t.equal(protectedHeader.kid, 'key-1');
    t.equal((payload.exp ?? 0) - (payload.iat ?? 0), 60);
    t.ok(payload.jti);
  }
});

test('a private key that cannot be read is told of by the hook', async (t) => {
  const { introspect, failures, warnings } = ask([active], {
    clientId: 'shop',
    privateKey: 'PEM',
    kid: 'key-1',
  });
  t.equal(await codeOf(introspect('a token')), 'introspection_unavailable');
  t.match(failures, [[{ name: 'SetupError' }, null]]);
  t.strictSame(warnings, [
    'The private key of the client shop cannot be used for ES256: check privateKey and algorithm',
  ]);
});

test('asks once more after a lost answer or a 5xx, with the same idempotency key', async (t) => {
  for (const failure of [lost, status(500), status(503)]) {
    const { introspect, sent, failures } = ask([failure, active]);
    t.match(await introspect('a token', { idempotencyKey: 'key-1' }), { active: true });
    t.strictSame(
      sent.map(({ headers }) => headers.get('idempotency-key')),
      ['key-1', 'key-1'],
    );
    t.strictSame(failures, []);
  }
  for (const failure of [lost, status(500)]) {
    const { introspect, sent } = ask([failure]);
    t.equal(await codeOf(introspect('a token')), 'introspection_unavailable');
    t.equal(sent.length, 2, 'and no third time');
  }
});

test('an answer that says nothing of the token is no answer, and is not asked for again', async (t) => {
  const answers: (() => Response)[] = [
    ...[400, 401, 403, 404, 429, 302, 204].map(status),
    () => new Response('<html>'),
    () => Response.json({}),
    () => Response.json({ active: 'true' }),
    () => Response.json([]),
    () => Response.json(null),
  ];
  for (const answer of answers) {
    const { introspect, sent, failures } = ask([answer]);
    t.equal(await codeOf(introspect('a token')), 'introspection_unavailable');
    t.equal(sent.length, 1);
    t.equal(failures[0]?.[1], answer().status);
  }
});

test('confirms a token that is active and is the one that was checked', async (t) => {
  t.equal(await codeOf(ask([active]).confirm('a token', claims)), 'ok');
  const others = [
    inactive,
    () => Response.json({ active: true }),
    () => Response.json({ active: true, ...claims, jti: 'other' }),
    () => Response.json({ active: true, ...claims, sub: 'other' }),
    () => Response.json({ ...claims, active: false }),
  ];
  for (const other of others)
    t.equal(await codeOf(ask([other]).confirm('a token', claims)), 'token_inactive');
});

test('credentials that are not complete are refused at once', async (t) => {
  const bad = [
    { clientId: '', clientSecret: 'word' },
    { clientId: 'shop', clientSecret: '' },
    { clientId: 'shop', privateKey: '', kid: 'key-1' },
    { clientId: 'shop', privateKey: 'PEM', kid: '' },
    { ...secret, introspectionUri: 'http://auth.example.com/introspect' },
  ];
  for (const options of bad) t.throws(() => ask([active], options), TypeError, JSON.stringify(options));
  const { introspect, sent } = ask([active], { ...secret, introspectionUri: `${issuer}/elsewhere` });
  await introspect('a token');
  t.equal(sent[0]?.url, `${issuer}/elsewhere`);
});
