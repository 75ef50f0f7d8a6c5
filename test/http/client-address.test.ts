import fc from 'fast-check';
import type { FastifyRequest } from 'fastify';
import { test } from 'tap';
import { clientAddress } from '../../src/http/client-address.ts';
import { build, createPlace, newCredentials, runSql, signUp } from '../helper.ts';
import { listen } from '../support/listen.ts';

const socketAddress = '192.0.2.9';

/** The client address when the proxies send `ip`. */
const told = (ip: string, remoteAddress: string | undefined = socketAddress) =>
  clientAddress({ ip, socket: { remoteAddress } } as FastifyRequest);

test('an address is what it is, without the port and the brackets that some proxies add', (t) => {
  for (const [ip, address] of [
    ['1.1.1.1', '1.1.1.1'],
    ['1.1.1.1:50', '1.1.1.1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
  ] as const) {
    t.equal(told(ip), address);
  }
  t.end();
});

test('an address has one form, however it came', (t) => {
  for (const [address, ...forms] of [
    [
      '1.2.3.4',
      '::ffff:1.2.3.4',
      '::FFFF:1.2.3.4',
      '::ffff:102:304',
      '0:0:0:0:0:ffff:0102:0304',
      '[::ffff:1.2.3.4]:80',
    ],
    ['127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '[::ffff:7f00:1]:443'],
    ['2001:db8::1', '2001:DB8::1', '2001:0db8:0:0:0:0:0:1', '2001:db8:0::0:1', '[2001:DB8::1]'],
    ['::1', '0:0:0:0:0:0:0:1', '[::1]:1'],
    ['fe80::1', 'fe80:0::1'],
  ] as const) {
    for (const form of [address, ...forms]) {
      t.equal(told(form), address, form);
      t.equal(told('unknown', form.replace(/^\[|\].*$/g, '')), address, `${form} of the socket`);
    }
  }
  t.end();
});

test('any IPv4 address mapped into IPv6 is itself', (t) => {
  const isItself = (ip: string) => {
    const [a = 0, b = 0, c = 0, d = 0] = ip.split('.').map(Number);
    const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
    return told(`::ffff:${ip}`) === ip && told(`::ffff:${hex}`) === ip;
  };
  t.doesNotThrow(() => fc.assert(fc.property(fc.ipV4(), isItself)));
  const isStable = (ip: string) => told(told(ip)) === told(ip);
  t.doesNotThrow(() => fc.assert(fc.property(fc.ipV6(), isStable)));
  t.end();
});

test('on a socket for both families an IPv4 client has its plain address everywhere', async (t) => {
  for (const [proxies, forwardedFor, ip] of [
    ['', '', '127.0.0.1'],
    ['127.0.0.1', '::ffff:c000:201', '192.0.2.1'],
    ['::ffff:127.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['::ffff:7f00:0/104', '::ffff:192.0.2.1', '192.0.2.1'],
    ['127.0.0.1,192.0.2.0/24', '198.51.100.7, ::ffff:192.0.2.1', '198.51.100.7'],
  ] as const) {
    const { app, log } = await build(t, { HOST: '::', TRUSTED_PROXIES: proxies });
    const port = await listen(t, app, '::');
    const [payload, headers] = [newCredentials(), { 'content-type': 'application/json' }];
    const signedUp = await fetch(`http://127.0.0.1:${port}/signup`, {
      method: 'POST',
      headers: { ...headers, ...(forwardedFor && { 'x-forwarded-for': forwardedFor }) },
      body: JSON.stringify(payload),
    });
    const [cookie = ''] = signedUp.headers.getSetCookie().map((line) => line.split(';')[0]);
    const listed = await fetch(`http://127.0.0.1:${port}/sessions`, { headers: { cookie } });
    const { sessions } = (await listed.json()) as { sessions: { ip: string }[] };
    t.equal(sessions[0]?.ip, ip, `${proxies} / ${forwardedFor}`);
    t.notOk(log().includes('::ffff'), 'the log');
  }
});

test('whatever is no address is left for that of the socket', (t) => {
  const garbage = [
    ...['', 'unknown', '_hidden', 'example.com', 'x'.repeat(3_000), '1'.repeat(3_000), ':'.repeat(3_000)],
    ...['1.1.1.1:', '1.1.1.1:x', '1.1.1', '1.1.1.256', '[1.1.1.1', '[2001:db8::1', '[]:1', '[example]:1'],
    ...['1.1.1.1:50:50', '2001:db8::1]:443', '1.1.1.1\n', "1.1.1.1'--"],
  ];
  for (const ip of garbage) t.equal(told(ip), socketAddress, ip.slice(0, 20));
  t.equal(clientAddress({ ip: 'x', socket: {} } as FastifyRequest), 'unknown', 'a socket closed meanwhile');
  t.end();
});

test('an address survives any port', (t) => {
  const port = fc.integer({ min: 0, max: 65_535 });
  const keepsV4 = (ip: string, at: number) => told(`${ip}:${at}`) === ip;
  const keepsV6 = (ip: string, at: number) => told(`[${ip}]:${at}`) === told(ip);
  t.doesNotThrow(() => fc.assert(fc.property(fc.ipV4(), port, keepsV4)));
  t.doesNotThrow(() => fc.assert(fc.property(fc.ipV6(), port, keepsV6)));
  t.end();
});

test('sessions and the log have the address alone', async (t) => {
  const place = await createPlace(t);
  const { app, log } = await build(t, { TRUSTED_PROXIES: '127.0.0.0/8' }, place);
  const { email, password } = await signUp(app);
  const spoofed = `<${'x'.repeat(3_000)}>`;
  for (const [forwardedFor, ip] of [
    ['1.1.1.1:50', '1.1.1.1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    [spoofed, '127.0.0.1'],
  ] as const) {
    const headers = { 'x-forwarded-for': forwardedFor };
    const response = await app.inject({
      method: 'POST',
      url: '/login',
      headers,
      payload: { email, password },
    });
    t.equal(response.statusCode, 200);
    const rows = await runSql(place.DATABASE_URL, 'select ip from sessions order by created_at desc limit 1');
    t.strictSame(rows, [{ ip }]);
    t.ok(log().includes(`"ip":"${ip}"`));
  }
  t.notOk(log().includes('1.1.1.1:50'));
  t.notOk(log().includes(spoofed));
});
