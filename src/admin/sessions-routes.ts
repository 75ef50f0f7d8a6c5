import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type, { type Static } from 'typebox';
import { problemResponses } from '../http/problem.ts';
import { OptionalBody, Query, Uuid } from '../http/schemas.ts';
import { CURSOR_PATTERN } from '../sessions/session-rules.ts';
import type { SessionService } from '../sessions/session-service.ts';
import {
  ADMIN_READ_PROBLEMS,
  ADMIN_WRITE_PROBLEMS,
  cursorOf,
  Next,
  pageFields,
  pageOf,
} from './admin-page.ts';
import { IdInPath, Session } from './admin-schemas.ts';
import type { Admin } from './open-admin.ts';
import { operatorOf, type RequireOperator, routesOf } from './require-operator.ts';

const Sessions = Type.Object({
  sessions: Type.Array(Session, { description: 'The latest used first' }),
  next: Next,
});

const PLACE = new RegExp(CURSOR_PATTERN);

type Parts = {
  sessions: SessionService;
  users: Pick<Admin['users'], 'get' | 'endSessions'>;
  requireOperator: RequireOperator;
};

/** The signed-in devices of all users. */
export const adminSessionsRoutes: FastifyPluginAsyncTypebox<Parts> = async (
  app,
  { sessions, users, requireOperator },
) => {
  const { reads, writes, docs } = routesOf('admin:sessions', requireOperator);

  app.get(
    '/admin/sessions',
    {
      ...reads,
      schema: {
        ...{ ...docs, summary: 'Where a user is signed in' },
        querystring: Query({ user_id: Uuid(), ...pageFields }),
        response: { 200: Sessions, ...problemResponses(...ADMIN_READ_PROBLEMS) },
      },
    },
    async ({ query }) => list(query.user_id, query),
  );

  app.get(
    '/admin/users/:id/sessions',
    {
      ...reads,
      schema: {
        ...{ ...docs, summary: 'Where this user is signed in' },
        params: IdInPath,
        querystring: Query(pageFields),
        response: {
          200: Sessions,
          ...problemResponses(...ADMIN_READ_PROBLEMS, 'not_found', 'uri_too_long'),
        },
      },
    },
    async ({ params, query }) => {
      await users.get(params.id);
      return list(params.id, query);
    },
  );

  app.delete(
    '/admin/sessions/:id',
    {
      ...writes,
      schema: {
        ...{ ...docs, summary: 'End one session' },
        params: IdInPath,
        body: OptionalBody({}),
        response: {
          204: Type.Null({ description: 'Done' }),
          ...problemResponses(...ADMIN_WRITE_PROBLEMS, 'not_found', 'uri_too_long'),
        },
      },
    },
    async (request, reply) => {
      await sessions.endAnyOne(request.params.id, operatorOf(request));
      return reply.code(204).send(null);
    },
  );

  app.delete(
    '/admin/users/:id/sessions',
    {
      ...writes,
      schema: {
        ...{ ...docs, summary: 'End all sessions of a user' },
        params: IdInPath,
        body: OptionalBody({}),
        response: {
          200: Type.Object({ ended: Type.Integer({ description: 'How many' }) }),
          ...problemResponses(...ADMIN_WRITE_PROBLEMS, 'not_found', 'uri_too_long'),
        },
      },
    },
    async (request) => users.endSessions(request.params.id, operatorOf(request)),
  );

  async function list(userId: string, query: { limit?: string; after?: string }) {
    const page = await sessions.list(userId, pageOf(query, PLACE));
    return { sessions: page.sessions.map(toSession), next: page.next && cursorOf(page.next) };
  }
};

type Listed = Awaited<ReturnType<SessionService['list']>>['sessions'][number];

function toSession(session: Listed): Static<typeof Session> {
  return {
    id: session.id,
    user_id: session.userId,
    created_at: session.createdAt.toISOString(),
    last_seen_at: session.lastSeenAt.toISOString(),
    authenticated_at: session.authenticatedAt.toISOString(),
    expires_at: session.expiresAt.toISOString(),
    ip: session.ip,
    user_agent: session.userAgent,
    amr: session.amr,
  };
}
