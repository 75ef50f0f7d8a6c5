import type { FastifyInstance, FastifyReply, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify';
import { AppError } from '../core/errors.ts';
import { clientNetwork } from '../http/client-address.ts';
import type { SessionCookie } from './session-cookie.ts';
import type { SessionRecord } from './session-rules.ts';
import type { SessionService } from './session-service.ts';

const sessionOf = Symbol('session');

/** Refuses a request without the cookie of a live session, and keeps that session for the handler. */
export type Authenticate = preHandlerAsyncHookHandler;

export function createAuthenticate(
  app: FastifyInstance,
  sessions: SessionService,
  cookie: SessionCookie,
): Authenticate {
  app.decorateRequest(sessionOf, null);
  return async (request: FastifyRequest, reply: FastifyReply) => {
    request.setDecorator(sessionOf, await requireSession(request, reply, { sessions, cookie }));
  };
}

type SessionParts = { sessions: SessionService; cookie: SessionCookie };

/**
 * The live session of the request's cookie; null without one.
 * @throws AppError `duplicate_cookie`; `unavailable`; `rate_limited` after many unknown cookies
 */
export async function findSession(
  request: FastifyRequest,
  reply: FastifyReply,
  { sessions, cookie }: SessionParts,
): Promise<SessionRecord | null> {
  const generateToken = cookie.read(request, reply);
  return generateToken === null ? null : sessions.find(generateToken, clientNetwork(request));
}

/**
 * The live session of the request's cookie.
 * @throws AppError `not_signed_in` without one; those of `findSession`
 */
export async function requireSession(
  request: FastifyRequest,
  reply: FastifyReply,
  parts: SessionParts,
): Promise<SessionRecord> {
  const session = await findSession(request, reply, parts);
  if (session === null) throw new AppError('not_signed_in');
  return session;
}

/** The session that `authenticate` has found. */
export function signedIn(request: FastifyRequest): SessionRecord {
  return request.getDecorator<SessionRecord>(sessionOf);
}
