import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { AuditService } from '../audit/audit-service.ts';
import { problemResponses } from '../http/problem.ts';
import { Instant, Query, Text, Uuid } from '../http/schemas.ts';
import { ADMIN_READ_PROBLEMS, cursorOf, Next, pageFields, pageOf } from './admin-page.ts';
import { NullableText } from './admin-schemas.ts';
import { type RequireOperator, routesOf } from './require-operator.ts';

const Event = Type.Object({
  id: Uuid(),
  kind: Type.String({ description: 'What happened, such as `password.changed`' }),
  happened_at: Instant(),
  user_id: Type.Union([Uuid(), Type.Null()]),
  actor: Type.Object({
    kind: Type.Union([Type.String(), Type.Null()], {
      description: '`user`, `client`, `operator` or `server`; null if nobody had signed in',
    }),
    id: Type.Union([Type.String(), Type.Null()], { description: 'Of a user or a client' }),
  }),
  session_id: Type.Union([Uuid(), Type.Null()]),
  ip: NullableText,
  user_agent: NullableText,
  request_id: Type.Union([Type.String(), Type.Null()], { description: 'As in the log' }),
  details: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()]),
});

const AuditQueryFields = Query({
  actor: Type.Optional(
    Text({
      maxLength: 256,
      description: 'Who did it: a user or a client by id, or `operator` or `server`',
    }),
  ),
  subject: Type.Optional(Uuid()),
  kind: Type.Optional(Text({ maxLength: 64 })),
  since: Type.Optional(Text({ maxLength: 40, description: 'RFC 3339' })),
  until: Type.Optional(Text({ maxLength: 40, description: 'RFC 3339; before then' })),
  ...pageFields,
});

const PLACE = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

type Parts = { audit: AuditService; requireOperator: RequireOperator };

/** What happened. */
export const adminAuditRoutes: FastifyPluginAsyncTypebox<Parts> = async (app, { audit, requireOperator }) => {
  const { reads, docs } = routesOf('admin:audit', requireOperator);

  app.get(
    '/admin/audit',
    {
      ...reads,
      schema: {
        ...{ ...docs, summary: 'What happened, the newest first' },
        querystring: AuditQueryFields,
        response: {
          200: Type.Object({ events: Type.Array(Event), next: Next }),
          ...problemResponses(...ADMIN_READ_PROBLEMS),
        },
      },
    },
    async ({ query }) => {
      const { events, next } = await audit.list({ ...query, ...pageOf(query, PLACE) });
      return { events, next: next && cursorOf(next) };
    },
  );
};
