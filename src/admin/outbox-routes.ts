import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { problemResponses } from '../http/problem.ts';
import { OptionalBody, Query, Text } from '../http/schemas.ts';
import { DEAD_PLACE } from '../outbox/outbox-rules.ts';
import {
  ADMIN_READ_PROBLEMS,
  ADMIN_WRITE_PROBLEMS,
  Next,
  pageFields,
  pageFrom,
  pageOf,
} from './admin-page.ts';
import { DeadMessage, IdInPath } from './admin-schemas.ts';
import type { Operations } from './open-operations.ts';
import { operatorOf, type RequireOperator, routesOf } from './require-operator.ts';

const OutboxQuery = Query({
  lane: Type.Optional(Text({ maxLength: 100, description: 'Only messages of this kind' })),
  ...pageFields,
});

type Parts = { outbox: Operations['outbox']; requireOperator: RequireOperator };

/** Messages that were given up after their last attempt, as `doorward outbox` shows and changes them. */
export const adminOutboxRoutes: FastifyPluginAsyncTypebox<Parts> = async (
  app,
  { outbox, requireOperator },
) => {
  const { reads, writes, docs } = routesOf('admin:keys', requireOperator);
  const done = {
    204: Type.Null({ description: 'Done' }),
    ...problemResponses(...ADMIN_WRITE_PROBLEMS, 'not_found', 'uri_too_long'),
  };

  app.get(
    '/admin/outbox',
    {
      ...reads,
      schema: {
        ...{ ...docs, summary: 'Messages that could not be delivered' },
        querystring: OutboxQuery,
        response: {
          200: Type.Object({
            messages: Type.Array(DeadMessage, {
              description: 'The latest dead first; without their contents',
            }),
            next: Next,
          }),
          ...problemResponses(...ADMIN_READ_PROBLEMS),
        },
      },
    },
    async ({ query }) => {
      const { limit, after } = pageOf(query, DEAD_PLACE);
      const found = await outbox.listDead({ kind: query.lane, limit: limit + 1, after });
      const { rows, next } = pageFrom(found, limit, ({ place }) => place);
      return { messages: rows.map(toMessage), next };
    },
  );

  app.post(
    '/admin/outbox/:id/retry',
    {
      ...writes,
      schema: {
        ...{
          ...docs,
          summary: 'Let a message be tried again, with all its attempts before it',
        },
        ...{ params: IdInPath, body: OptionalBody({}), response: done },
      },
    },
    async (request, reply) => {
      await outbox.retry({ id: request.params.id }, operatorOf(request));
      return reply.code(204).send(null);
    },
  );

  app.delete(
    '/admin/outbox/:id',
    {
      ...writes,
      schema: {
        ...{ ...docs, summary: 'Delete a message: it is never delivered' },
        ...{ params: IdInPath, body: OptionalBody({}), response: done },
      },
    },
    async (request, reply) => {
      await outbox.drop({ id: request.params.id }, operatorOf(request));
      return reply.code(204).send(null);
    },
  );
};

type Dead = Awaited<ReturnType<Operations['outbox']['listDead']>>[number];

function toMessage({ id, kind, attempts, createdAt, deadAt, lastError }: Dead) {
  const times = { created_at: createdAt.toISOString(), dead_at: deadAt.toISOString() };
  return { id, lane: kind, attempts, ...times, last_error: lastError };
}
