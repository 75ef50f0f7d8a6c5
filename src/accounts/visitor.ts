import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Device, deviceOf } from '../sessions/device.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';

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
