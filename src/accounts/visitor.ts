import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Device, deviceOf } from '../sessions/device.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';

/** Long enough for every language that somebody reads. */
const MAX_LANGUAGES_LENGTH = 200;

/** Who makes a request: the device, and the generate token that the cookie already holds, if any. */
export type Visitor = {
  device: Device;
  generateToken: string | null;
  /** The `Accept-Language` header, for mails; null if there is none. */
  languages?: string | null;
};

/** @throws AppError `duplicate_cookie` */
export function visitorOf(request: FastifyRequest, reply: FastifyReply, cookie: SessionCookie): Visitor {
  const languages = languagesOf(request);
  return { device: deviceOf(request), generateToken: cookie.read(request, reply), languages };
}

/** The `Accept-Language` header; null if there is none. */
export function languagesOf({ headers }: FastifyRequest): string | null {
  return headers['accept-language']?.slice(0, MAX_LANGUAGES_LENGTH) ?? null;
}
