import { isIP, isIPv4 } from 'node:net';
import { normalizeIP } from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';

/**
 * The one text of an address; other text is returned unchanged. A socket for both families (HOST=::) shows IPv4 clients
 * as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2), and IPv6 has several spellings (RFC 5952 names one).
 */
export function normalAddress(text: string): string {
  return isIP(text) === 0 ? text : normalizeIP(text, 128);
}

/**
 * The address of the client, in its one form: behind trusted proxies, the nearest address that is not one of them.
 *
 * A proxy passes on what it received, and some add a port. Only an address may become a key or a row: the port is
 * removed, and if the rest is not an address, the socket's address is used, which is certain.
 */
export function clientAddress(request: FastifyRequest): string {
  return normalAddress(addressOf(request));
}

/** The client's network, for the limits: an IPv6 household has 2^64 addresses to choose from, so its /64 counts. */
export function clientNetwork(request: FastifyRequest): string {
  const address = addressOf(request);
  return isIPv4(address) ? address : normalizeIP(address);
}

function addressOf({ ip, socket }: FastifyRequest): string {
  if (isIP(ip) !== 0) return ip;
  const [, bracketed, plain] = /^(?:\[([\da-f:.]+)\]|([\d.]+))(?::\d+)?$/i.exec(ip) ?? [];
  const address = bracketed ?? plain ?? '';
  return isIP(address) === 0 ? (socket.remoteAddress ?? 'unknown') : address;
}
