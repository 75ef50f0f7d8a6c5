import type { FastifyRequest } from 'fastify';
import { clientAddress } from '../http/client-address.ts';

const MAX_USER_AGENT_LENGTH = 512;

/** Where a session was started from, as far as the request shows. */
export type Device = {
  ip: string;
  userAgent: string | null;
  /** Of the request, as in the log. */
  requestId?: string;
};

/** What the request says of the device that it comes from. */
export function deviceOf(request: FastifyRequest): Device {
  const userAgent = request.headers['user-agent']?.slice(0, MAX_USER_AGENT_LENGTH) ?? null;
  return { ip: clientAddress(request), userAgent, requestId: request.id };
}
