import { test } from 'tap';
import {
  type ArrivedRequest,
  type GatewaySettings,
  reportOnGateway,
} from '../../src/gateway/gateway-report.ts';

type Changes = { request?: Partial<ArrivedRequest>; settings?: Partial<GatewaySettings> };

/** A request through a gateway without mistakes, except for the changes. */
function report({ request = {}, settings = {} }: Changes = {}) {
  return reportOnGateway(
    {
      peer: '10.0.0.2',
      forwardedFor: '203.0.113.9, 10.0.0.7',
      forwardedProto: 'https',
      forwardedHost: 'auth.example.com',
      host: 'doorward:3000',
      path: '/admin/doctor',
      clientAddress: '203.0.113.9',
      scheme: 'https',
      publicHost: 'auth.example.com',
      ...request,
    },
    {
      publicUrl: 'https://auth.example.com',
      pathPrefix: '',
      trustedProxies: ['10.0.0.0/8', 'fd00::/8', '192.0.2.1', '2001:db8::1'],
      cookie: { name: '__Host-g_token', secure: true, domain: undefined },
      ...settings,
    },
  );
}

test('tells what arrived, what was trusted, and what it came to', (t) => {
  t.strictSame(report(), {
    chain: [
      { address: '10.0.0.2', trusted: true },
      { address: '10.0.0.7', trusted: true },
      { address: '203.0.113.9', trusted: false },
    ],
    client_address: '203.0.113.9',
    scheme: 'https',
    host: 'auth.example.com',
    path: '/admin/doctor',
    path_prefix: '',
    public_url: 'https://auth.example.com',
    headers: {
      host: 'doorward:3000',
      x_forwarded_for: '203.0.113.9, 10.0.0.7',
      x_forwarded_proto: 'https',
      x_forwarded_host: 'auth.example.com',
    },
    cookie: { name: '__Host-g_token', sticks: true },
    problems: [],
  });
  t.end();
});

test('an address is trusted in every spelling, and shown in one', (t) => {
  const peers = ['::ffff:10.0.0.2', '::ffff:a00:2', '::FFFF:10.0.0.2', '0:0:0:0:0:ffff:a00:2'];
  for (const peer of peers) {
    const { chain } = report({ request: { peer, forwardedFor: 'unknown, 2001:DB8:0::2, fd00:0::7' } });
    t.strictSame(chain, [
      { address: '10.0.0.2', trusted: true },
      { address: 'fd00::7', trusted: true },
      { address: '2001:db8::2', trusted: false },
      { address: 'unknown', trusted: false },
    ]);
  }
  t.end();
});

test('what stands beyond an untrusted address is not trusted either', (t) => {
  const { chain } = report({ request: { forwardedFor: '10.0.0.99, 203.0.113.9' } });
  t.same(chain, [
    { address: '10.0.0.2', trusted: true },
    { address: '203.0.113.9', trusted: false },
    { address: '10.0.0.99', trusted: false },
  ]);
  t.end();
});

test('a direct request has a chain of one, and nothing to mend', (t) => {
  const none = {
    forwardedFor: undefined,
    forwardedProto: undefined,
    forwardedHost: undefined,
    host: undefined,
  };
  const { chain, headers, problems } = report({ request: { ...none, peer: '::ffff:203.0.113.9' } });
  t.same(chain, [{ address: '203.0.113.9', trusted: false }]);
  t.same(headers, { host: null, x_forwarded_for: null, x_forwarded_proto: null, x_forwarded_host: null });
  t.same(problems, []);
  t.end();
});

test('addresses are compared as addresses, IPv4 in IPv6 and IPv6 as well', (t) => {
  const trustedOf = (address: string) => report({ request: { peer: address } }).chain[0]?.trusted;
  for (const address of ['10.255.0.1', '::ffff:10.0.0.1', 'fd12::1', '192.0.2.1', '2001:db8::1'])
    t.equal(trustedOf(address), true, address);
  for (const address of ['11.0.0.1', 'fe80::1', '192.0.2.2', '2001:db8::2', 'unix:', ''])
    t.equal(trustedOf(address), false, address);
  t.end();
});

const problemsOf = (changes: Changes) => report(changes).problems;

test('says what to mend in the chain', (t) => {
  t.match(problemsOf({ settings: { trustedProxies: [] } }), [/10\.0\.0\.2 .*not in TRUSTED_PROXIES/]);
  t.match(problemsOf({ request: { forwardedFor: undefined } }), [
    /10\.0\.0\.2 is trusted.*no X-Forwarded-For/,
  ]);
  t.match(problemsOf({ request: { forwardedFor: '10.1.1.1' } }), [/every address is in TRUSTED_PROXIES/]);
  t.end();
});

test('says when the outside is not what PUBLIC_URL says', (t) => {
  t.match(problemsOf({ request: { publicHost: 'doorward:3000' } }), [
    /for doorward:3000.*auth\.example\.com/,
  ]);
  t.match(problemsOf({ request: { scheme: 'http' } }), [
    /came by http, and PUBLIC_URL says https/,
    /no Secure cookie/,
  ]);
  t.end();
});

test('knows whether a browser would keep the cookie', (t) => {
  const sticks = (changes: Changes) => report(changes).cookie.sticks;
  const insecure = { name: 'g_token', secure: false, domain: undefined };
  t.equal(sticks({ request: { scheme: 'http' } }), false);
  t.equal(sticks({ request: { scheme: 'http' }, settings: { cookie: insecure } }), true);
  for (const publicHost of ['localhost:3000', 'app.localhost', '127.0.0.1:3000', '[::1]:3000'])
    t.equal(sticks({ request: { scheme: 'http', publicHost } }), true, publicHost);
  t.equal(sticks({ request: { scheme: 'http', publicHost: 'not a host' } }), false);
  const of = (domain: string) => ({
    settings: { cookie: { name: '__Secure-g_token', secure: true, domain } },
  });
  t.equal(sticks(of('example.com')), true);
  t.equal(sticks(of('auth.example.com')), true);
  t.equal(sticks(of('ample.com')), false);
  t.match(problemsOf(of('other.com')), [/keeps no cookie for COOKIE_DOMAIN=other\.com/]);
  t.end();
});
