import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Test, test } from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { fetchGatewayReport, gatewayReportText } from '../../src/operator/doctor-call.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import { build, codeOf, createPlace, quickSettings, signUp } from '../helper.ts';
import { addClient, grantToken, mintToken, postForm } from '../support/clients.ts';
import { doorward, startServer } from '../support/processes.ts';

const issuer = 'http://localhost:3000';

const ask = (app: Awaited<ReturnType<typeof build>>['app'], token: string, headers = {}) =>
  app.inject({ url: '/admin/doctor', headers: { authorization: `Bearer ${token}`, ...headers } });

test('tells the operator, and a client with the scope, about their own request', async (t) => {
  const place = await createPlace(t);
  const settings = { TRUSTED_PROXIES: '127.0.0.0/8' };
  const { app } = await build(t, settings, place);
  const { access_token } = await runCommand(loadConfig({ ...quickSettings, ...place }), 'doctor.ticket');
  const headers = { host: 'localhost:3000', 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'http' };
  const response = await ask(app, access_token, headers);
  t.equal(response.statusCode, 200);
  t.match(response.json(), {
    chain: [
      { address: '127.0.0.1', trusted: true },
      { address: '203.0.113.9', trusted: false },
    ],
    client_address: '203.0.113.9',
    problems: [],
  });

  const { authorization } = await addClient(place, {}, { scopes: ['admin:doctor'], audiences: [issuer] });
  const token = await grantToken(app, { authorization });
  t.equal((await ask(app, token)).statusCode, 200);
  await postForm(app, '/oauth/revoke', { token }, { authorization });
  t.equal((await ask(app, token)).statusCode, 401, 'a revoked one at once');
});

test('tells nobody else', async (t) => {
  const place = await createPlace(t);
  const { app } = await build(t, {}, place);
  const { cookie } = await signUp(app);
  const without = await addClient(place, {}, { id: 'a', scopes: ['admin:other'], audiences: [issuer] });
  const elsewhere = await addClient(place, {}, { id: 'b', scopes: ['admin:doctor'], audiences: ['api'] });
  const refusals = [
    [await mintToken(app, cookie), 401, 'invalid_token'],
    [await grantToken(app, elsewhere), 401, 'invalid_token'],
    ['nonsense', 401, 'invalid_token'],
    [await grantToken(app, without), 403, 'insufficient_scope'],
  ] as const;
  for (const [token, status, code] of refusals) {
    const response = await ask(app, token);
    t.same([response.statusCode, codeOf(response)], [status, code]);
    t.match(response.headers, { 'www-authenticate': new RegExp(`error="${code}"`) });
  }
  const nothing = await app.inject('/admin/doctor');
  t.same([nothing.statusCode, codeOf(nothing)], [401, 'not_signed_in']);
  t.equal(nothing.headers['www-authenticate'], 'Bearer realm="doorward"');
});

test('`doorward doctor` asks through whatever is at the URL', async (t) => {
  const place = await createPlace(t);
  const settings = { ...place, PUBLIC_URL: 'http://localhost:3000' };
  const { url } = await startServer(t, settings);
  const told = await doorward(settings, 'doctor', '--url', `${url}/`);
  t.equal(told.code, 1, 'the URL is another one than PUBLIC_URL says');
  t.match(told.stdout, /127\.0\.0\.1 +not trusted/);
  t.match(told.stdout, /To mend\n {2}the request was for 127\.0\.0\.1/);
  const json = await doorward(settings, 'doctor', '--url', url, '--json');
  t.match(JSON.parse(json.stdout), { chain: [{ address: '127.0.0.1' }], problems: [String] });
});

async function serve(t: Test, answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('there is no ticket before the server has made its first key', async (t) => {
  const place = await createPlace(t);
  const ticket = runCommand(loadConfig({ ...quickSettings, ...place }), 'doctor.ticket');
  await t.rejects(ticket, { code: 'not_found', message: /no signing key yet: start the server first/ });
});

test('says how far the request got when no report comes back', async (t) => {
  const answers: [number, Record<string, string>, string, RegExp][] = [
    [302, { location: 'https://elsewhere.example.com/' }, '', /302 and sends on to https:\/\/elsewhere/],
    [401, {}, '{"type":"urn:doorward:problem:invalid_token"}', /other keys or another PUBLIC_URL/],
    [404, {}, 'not here', /404, and not as this server would/],
    [200, {}, '<html>', /200, and not as this server would/],
    [200, {}, '{}', /200, and not as this server would/],
    [200, {}, 'null', /200, and not as this server would/],
    [200, {}, '{"chain":[]}', /200, and not as this server would/],
  ];
  for (const [status, headers, body, message] of answers) {
    const url = await serve(t, (_request, response) => response.writeHead(status, headers).end(body));
    await t.rejects(fetchGatewayReport(url, 'token'), { name: 'CommandLineError', message });
  }
  await t.rejects(
    fetchGatewayReport('http://127.0.0.1:1', 'token'),
    /127\.0\.0\.1:1\/admin\/doctor cannot be reached: /,
  );
  const cut = await serve(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('{');
    setImmediate(() => response.destroy());
  });
  await t.rejects(fetchGatewayReport(cut, 'token'), /cannot be reached/);
  const noUrls = [
    'nonsense',
    'localhost:3000',
    'ftp://example.com',
    'http://',
    '',
    'http://u:secret@localhost',
  ];
  for (const url of noUrls)
    await t.rejects(fetchGatewayReport(url, 'token'), {
      name: 'CommandLineError',
      message:
        /^--url is no http or https URL without user and password\. Give one such as https:\S+, or leave it out /,
    });
  const noCause = fetchGatewayReport(cut, 'no\ntoken');
  await t.rejects(noCause, /cannot be reached: Headers\.append/, 'an error without a cause of its own');
  const badPort = fetchGatewayReport('http://127.0.0.1:6000', 'token');
  await t.rejects(badPort, /cannot be reached: bad port\. Look at the URL/, 'one that fetch refuses');
});

test('the report reads well when all is well', (t) => {
  const text = gatewayReportText({
    chain: [{ address: '10.0.0.2', trusted: true }],
    client_address: '203.0.113.9',
    scheme: 'https',
    host: 'auth.example.com',
    path: '/auth/admin/doctor',
    path_prefix: '/auth',
    public_url: 'https://auth.example.com',
    headers: {
      host: 'auth.example.com',
      x_forwarded_for: null,
      x_forwarded_proto: 'https',
      x_forwarded_host: null,
    },
    cookie: { name: '__Host-g_token', sticks: false },
    problems: [],
  });
  t.match(text, /x_forwarded_for +\(none\)/);
  t.match(text, /PATH_PREFIX \/auth/);
  t.match(text, /__Host-g_token does not stick/);
  t.match(text, /All is well\.\n$/);
  t.end();
});
