import type { FastifyReply } from 'fastify';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import type { StartedSession } from '../sessions/session-service.ts';

/** Gives the browser the session that was started, and the mark by which its device is known from now on. */
export function signInto(
  reply: FastifyReply,
  cookie: SessionCookie,
  { session, deviceCookie }: { session: StartedSession; deviceCookie: string },
): void {
  cookie.set(reply, session.generateToken, session.maxAgeSeconds);
  cookie.device.set(reply, deviceCookie);
}
