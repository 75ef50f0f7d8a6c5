import type { FastifyReply, FastifyRequest } from 'fastify';
import { clientAddress } from '../http/client-address.ts';
import type { Device } from '../sessions/device.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';

const MAX_USER_AGENT_LENGTH = 512;
const MAX_LANGUAGE_LENGTH = 128;

/** Who makes a request. */
export type Visitor = {
  device: Device;
  /** The generate token that the cookie already holds. */
  generateToken: string | null;
  /** What the cookie of the device holds. */
  deviceCookie: string | null;
  /** `Accept-Language`, as it was sent, or its beginning. */
  acceptLanguage: string | null;
};

/** @throws AppError `duplicate_cookie` */
export function visitorOf(request: FastifyRequest, reply: FastifyReply, cookie: SessionCookie): Visitor {
  return {
    device: deviceOf(request),
    generateToken: cookie.read(request, reply),
    deviceCookie: cookie.device.read(request),
    acceptLanguage: request.headers['accept-language']?.slice(0, MAX_LANGUAGE_LENGTH) ?? null,
  };
}

/** What the request says of the device that it comes from. */
export function deviceOf(request: FastifyRequest): Device {
  const userAgent = request.headers['user-agent']?.slice(0, MAX_USER_AGENT_LENGTH) ?? null;
  return { ip: clientAddress(request), userAgent };
}
