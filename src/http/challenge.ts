import type { FastifyReply } from 'fastify';

const REALM = 'doorward';

/**
 * Says what a client could authenticate with: every 401 for which an Authorization header would do needs this header
 * (RFC 9110 §11.6.1, RFC 6750 §3, RFC 7617 §2).
 * @param params beside the realm; values without quotes or backslashes
 */
export function addChallenge(
  reply: FastifyReply,
  scheme: 'Bearer' | 'Basic',
  params: Record<string, string> = {},
): void {
  const pairs = Object.entries({ realm: REALM, ...params }).map(([name, value]) => `${name}="${value}"`);
  reply.header('www-authenticate', `${scheme} ${pairs.join(', ')}`);
}
