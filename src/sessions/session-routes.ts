import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type, { type Static } from 'typebox';
import { AppError } from '../core/errors.ts';
import { clientNetwork } from '../http/client-address.ts';
import { problemResponses, READ_PROBLEMS, WRITE_PROBLEMS } from '../http/problem.ts';
import { Instant, OptionalBody, Query, Uuid } from '../http/schemas.ts';
import { type Authenticate, signedIn } from './authenticate.ts';
import { deviceOf } from './device.ts';
import type { SessionCookie } from './session-cookie.ts';
import { CURSOR_PATTERN } from './session-rules.ts';
import type { SessionService } from './session-service.ts';

const Session = Type.Object({
  id: Uuid(),
  current: Type.Boolean({ description: 'The session of this very request' }),
  created_at: Instant('When the user signed in'),
  last_seen_at: Instant('Written at most once a minute'),
  expires_at: Instant('The absolute end; an unused session ends earlier'),
  ip: Type.Union([Type.String(), Type.Null()]),
  user_agent: Type.Union([Type.String(), Type.Null()]),
});

const MAX_LISTED = 100;

const SessionsQuery = Query({
  limit: Type.Optional(
    Type.String({
      pattern: '^([1-9][0-9]?|100)$',
      description: 'How many at most: 1 to 100. 100 when left out',
    }),
  ),
  after: Type.Optional(Type.String({ pattern: CURSOR_PATTERN, description: '`next` of the part before' })),
});

const SessionsResponse = Type.Object({
  sessions: Type.Array(Session, { description: 'The latest used first' }),
  next: Type.Union([Type.String(), Type.Null()], {
    description: 'For `after`: where the list goes on; null at its end',
  }),
});

/** No body is needed. A body with fields is refused, not ignored. */
const NoFields = OptionalBody({});

const NoContent = Type.Null({ description: 'Done' });

type SessionRoutesOptions = { sessions: SessionService; authenticate: Authenticate; cookie: SessionCookie };

/** Sign-out, and the user's view of their own devices. */
export const sessionRoutes: FastifyPluginAsyncTypebox<SessionRoutesOptions> = async (
  app,
  { sessions, authenticate, cookie },
) => {
  app.post(
    '/logout',
    {
      schema: {
        tags: ['sessions'],
        summary: 'Sign out: end the session of the cookie',
        security: [{ session: [] }],
        body: NoFields,
        response: {
          204: NoContent,
          ...problemResponses(...WRITE_PROBLEMS, 'not_signed_in'),
        },
      },
    },
    async (request, reply) => {
      const generateToken = cookie.read(request, reply);
      if (generateToken === null) throw new AppError('not_signed_in');
      const wasSignedIn = await sessions.signOut(generateToken, clientNetwork(request), deviceOf(request));
      // Also for a session that has ended: no script can remove the cookie. Not when the state of the session is
      // unknown.
      cookie.clear(reply);
      if (!wasSignedIn) throw new AppError('not_signed_in');
      // Not `"cookies"`: that deletes the cookies of the whole registrable domain, including those of other services.
      // Not `"cache"`: no personal answer may be cached, and browsers search their whole cache, which takes seconds.
      return reply.header('clear-site-data', '"storage"').code(204).send(null);
    },
  );

  app.get(
    '/sessions',
    {
      preHandler: authenticate,
      schema: {
        tags: ['sessions'],
        summary: 'Where the user is signed in',
        security: [{ session: [] }],
        querystring: SessionsQuery,
        response: {
          200: SessionsResponse,
          ...problemResponses(...READ_PROBLEMS, 'validation_failed', 'not_signed_in'),
        },
      },
    },
    async (request): Promise<Static<typeof SessionsResponse>> => {
      const current = signedIn(request);
      const { limit = MAX_LISTED, after } = request.query;
      const page = await sessions.list(current.userId, { limit: Number(limit), after });
      return {
        next: page.next,
        sessions: page.sessions.map((session) => ({
          id: session.id,
          current: session.id === current.id,
          created_at: session.createdAt.toISOString(),
          last_seen_at: session.lastSeenAt.toISOString(),
          expires_at: session.expiresAt.toISOString(),
          ip: session.ip,
          user_agent: session.userAgent,
        })),
      };
    },
  );

  app.delete(
    '/sessions/:id',
    {
      preHandler: authenticate,
      schema: {
        tags: ['sessions'],
        summary: 'End one session',
        security: [{ session: [] }],
        params: Type.Object({ id: Uuid() }),
        response: {
          204: NoContent,
          ...problemResponses(
            ...WRITE_PROBLEMS,
            'validation_failed',
            'not_signed_in',
            'not_found',
            'uri_too_long',
          ),
        },
      },
    },
    async (request, reply) => {
      const current = signedIn(request);
      await sessions.endOne(current.userId, request.params.id, deviceOf(request));
      if (request.params.id === current.id) cookie.clear(reply);
      return reply.code(204).send(null);
    },
  );

  app.delete(
    '/sessions',
    {
      preHandler: authenticate,
      schema: {
        tags: ['sessions'],
        summary: 'End all sessions but this one',
        security: [{ session: [] }],
        body: NoFields,
        response: {
          204: NoContent,
          ...problemResponses(...WRITE_PROBLEMS, 'not_signed_in'),
        },
      },
    },
    async (request, reply) => {
      const current = signedIn(request);
      await sessions.endOthers(current.userId, current.id, 'ended_by_user', deviceOf(request));
      return reply.code(204).send(null);
    },
  );
};
