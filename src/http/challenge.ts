import type { FastifyReply } from 'fastify';

const REALM = 'doorward';

/**
 * Tells a client how to authenticate: every 401 needs this header if an Authorization header would be accepted
 * (RFC 9110 §11.6.1, RFC 6750 §3, RFC 7617 §2).
 * @param params in addition to the realm; values without quotes or backslashes
 */
export function addChallenge(
  reply: FastifyReply,
  scheme: 'Bearer' | 'Basic',
  params: Record<string, string> = {},
): void {
  const pairs = Object.entries({ realm: REALM, ...params }).map(([name, value]) => `${name}="${value}"`);
  reply.header('www-authenticate', `${scheme} ${pairs.join(', ')}`);
}
