import { test } from 'tap';
import { createProxyTrust } from '../../src/http/trusted-proxies.ts';

test('trusts the addresses and blocks that are named, however a socket spells them', async (t) => {
  const isTrusted = createProxyTrust(['10.1.2.3', '192.168.0.0/16', '2001:db8::/32', '::1']);
  for (const address of [
    '10.1.2.3',
    '::ffff:10.1.2.3',
    '192.168.7.7',
    '::ffff:192.168.7.7',
    '2001:db8:1::1',
    '::1',
  ])
    t.ok(isTrusted(address), address);
  for (const address of ['10.1.2.4', '192.169.0.1', '2001:db9::1', '127.0.0.1', '', undefined, 'unix'])
    t.notOk(isTrusted(address), String(address));
});

test('trusts no address where none is named', async (t) => {
  t.notOk(createProxyTrust([])('127.0.0.1'));
});
