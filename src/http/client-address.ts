import { isIP, isIPv4 } from 'node:net';
import { normalizeIP } from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';

/**
 * The address of the client: behind trusted proxies, the nearest address that is not one of them.
 *
 * A proxy passes on what it received, and some add a port. Only an address may become a key or a row: the port is
 * removed, and if the rest is not an address, the socket's address is used, which is certain.
 */
export function clientAddress({ ip, socket }: FastifyRequest): string {
  if (isIP(ip) !== 0) return ip;
  const [, bracketed, plain] = /^(?:\[([\da-f:.]+)\]|([\d.]+))(?::\d+)?$/i.exec(ip) ?? [];
  const address = bracketed ?? plain ?? '';
  return isIP(address) === 0 ? (socket.remoteAddress ?? 'unknown') : address;
}

/** The client's network, for the limits: an IPv6 household has 2^64 addresses to choose from, so its /64 counts. */
export function clientNetwork(request: FastifyRequest): string {
  const address = clientAddress(request);
  return isIPv4(address) ? address : normalizeIP(address);
}
