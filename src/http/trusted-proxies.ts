import { BlockList, isIP } from 'node:net';
import { normalAddress } from './client-address.ts';

/**
 * Whether an address is one of the trusted proxies'. Only what comes from there may say more than a client may.
 * @param proxies IP addresses and CIDR blocks
 * @returns also false for a peer without an address, such as one on a Unix socket
 */
export function createProxyTrust(proxies: readonly string[]): (address: string | undefined) => boolean {
  const trusted = new BlockList();
  for (const block of proxies) {
    const [address = '', prefix] = block.split('/');
    if (prefix === undefined) trusted.addAddress(address, familyOf(address));
    else trusted.addSubnet(address, Number(prefix), familyOf(address));
  }
  return (peer = '') => {
    const address = normalAddress(peer);
    return isIP(address) !== 0 && trusted.check(address, familyOf(address));
  };
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}
