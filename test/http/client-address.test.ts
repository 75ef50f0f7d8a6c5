import fc from 'fast-check';
import type { FastifyRequest } from 'fastify';
import { test } from 'tap';
import { clientAddress } from '../../src/http/client-address.ts';
import { build, createPlace, runSql, signUp } from '../helper.ts';

const socketAddress = '192.0.2.9';

/** The client address when the proxies send `ip`. */
const told = (ip: string, remoteAddress: string | undefined = socketAddress) =>
  clientAddress({ ip, socket: { remoteAddress } } as FastifyRequest);

test('an address is what it is, without the port and the brackets that some proxies add', (t) => {
  for (const [ip, address] of [
    ['1.1.1.1', '1.1.1.1'],
    ['1.1.1.1:50', '1.1.1.1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['[2001:DB8::1]', '2001:DB8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['[::ffff:1.2.3.4]:80', '::ffff:1.2.3.4'],
  ] as const) {
    t.equal(told(ip), address);
  }
  t.end();
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
  const keepsV6 = (ip: string, at: number) => told(`[${ip}]:${at}`) === ip;
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
