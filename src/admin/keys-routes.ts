import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { problemResponses } from '../http/problem.ts';
import { OptionalBody, Query, Text } from '../http/schemas.ts';
import { ADMIN_READ_PROBLEMS, ADMIN_WRITE_PROBLEMS } from './admin-page.ts';
import { NullableText, RotationSchedule, SigningKey } from './admin-schemas.ts';
import type { Operations } from './open-operations.ts';
import { operatorOf, type RequireOperator, routesOf } from './require-operator.ts';

const Keys = Type.Array(SigningKey, { description: 'The oldest first' });

const Rotation = OptionalBody({
  now: Type.Optional(
    Type.Boolean({
      description:
        'Let the new key sign at once: services refuse its tokens until they fetch the keys again. Otherwise it signs when every service can have it',
    }),
  ),
  revoke: Type.Optional(
    Text({
      maxLength: 100,
      description: '`kid` of a leaked key: it leaves the key set at once. Implies `now`',
    }),
  ),
});

type Parts = { keys: Operations['keys']; requireOperator: RequireOperator };

/** The signing keys, as `doorward keys` shows and changes them. */
export const adminKeysRoutes: FastifyPluginAsyncTypebox<Parts> = async (app, { keys, requireOperator }) => {
  const { reads, writes, docs } = routesOf('admin:keys', requireOperator);

  app.get(
    '/admin/keys',
    {
      ...reads,
      schema: {
        ...{ ...docs, summary: 'The signing keys, and when they change' },
        querystring: Query({}),
        response: {
          200: Type.Object({ keys: Keys, schedule: RotationSchedule }),
          ...problemResponses(...ADMIN_READ_PROBLEMS),
        },
      },
    },
    async () => keys.plan(),
  );

  app.post(
    '/admin/keys/rotate',
    {
      ...writes,
      schema: {
        ...{ ...docs, summary: 'Rotate the signing keys before they are due' },
        body: Rotation,
        response: {
          200: Type.Object({
            changed: Type.Boolean(),
            reason: { ...NullableText, description: 'Why nothing was changed; null if something was' },
            keys: Keys,
          }),
          ...problemResponses(...ADMIN_WRITE_PROBLEMS, 'not_found'),
        },
      },
    },
    async (request) => {
      const { now = false, revoke } = request.body ?? {};
      const wish = { now: now || revoke !== undefined, ...(revoke !== undefined && { revoke }) };
      return keys.rotate(wish, operatorOf(request));
    },
  );
};
