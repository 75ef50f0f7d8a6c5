import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { createProxyTrust } from './trusted-proxies.ts';

/** Every form that proxies make; nothing that could end a line or a field of a log. */
const WELL_FORMED = /^[\w.~+/=:-]{1,128}$/;

/**
 * Gives each request an id: that of the proxy before us, so that its log and ours can be read together, or a new one.
 * From anyone else an id is not taken: a client could give its requests the id of another one's.
 * @param trustedProxies addresses and CIDR blocks
 */
export function createRequestIds(trustedProxies: string[]): (request: IncomingMessage) => string {
  const isTrusted = createProxyTrust(trustedProxies);
  return ({ headers, socket }) => {
    const given = headers['x-request-id'];
    // Two headers arrive as one text with a comma, which is not well-formed.
    const isUsable = typeof given === 'string' && WELL_FORMED.test(given);
    return isUsable && isTrusted(socket.remoteAddress) ? given : randomUUID();
  };
}
