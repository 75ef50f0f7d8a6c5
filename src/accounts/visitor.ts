import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Device, deviceOf } from '../sessions/device.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';

/** Who makes a request: the device, and the generate token that the cookie already holds, if any. */
export type Visitor = { device: Device; generateToken: string | null };

/** @throws AppError `duplicate_cookie` */
export function visitorOf(request: FastifyRequest, reply: FastifyReply, cookie: SessionCookie): Visitor {
  return { device: deviceOf(request), generateToken: cookie.read(request, reply) };
}
