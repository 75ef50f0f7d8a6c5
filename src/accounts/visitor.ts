import type { FastifyReply, FastifyRequest } from 'fastify';
import { clientAddress } from '../http/client-address.ts';
import type { Device } from '../sessions/device.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';

const MAX_USER_AGENT_LENGTH = 512;

/** Who makes a request: the device, and the generate token that the cookie already holds, if any. */
export type Visitor = { device: Device; generateToken: string | null };

/** @throws AppError `duplicate_cookie` */
export function visitorOf(request: FastifyRequest, reply: FastifyReply, cookie: SessionCookie): Visitor {
  return { device: deviceOf(request), generateToken: cookie.read(request, reply) };
}

/** What the request says of the device that it comes from. */
export function deviceOf(request: FastifyRequest): Device {
  const userAgent = request.headers['user-agent']?.slice(0, MAX_USER_AGENT_LENGTH) ?? null;
  return { ip: clientAddress(request), userAgent };
}
