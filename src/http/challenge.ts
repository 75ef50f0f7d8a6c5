import type { FastifyReply } from 'fastify';

const REALM = 'doorward';

/**
 * Tells a client how to authenticate: every 401 needs this header if an Authorization header would be accepted
 * (RFC 9110 §11.6.1, RFC 6750 §3, RFC 7617 §2).
 * @param params in addition to the realm; texts without quotes or backslashes, numbers are not put into quotes
 */
export function addChallenge(
  reply: FastifyReply,
  scheme: 'Bearer' | 'Basic',
  params: Record<string, string | number> = {},
): void {
  const pairs = Object.entries({ realm: REALM, ...params }).map(([name, value]) =>
    typeof value === 'number' ? `${name}=${value}` : `${name}="${value}"`,
  );
  reply.header('www-authenticate', `${scheme} ${pairs.join(', ')}`);
}
