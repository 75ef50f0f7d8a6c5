import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { problemResponses } from '../http/problem.ts';
import { adminLimit } from '../http/rate-limits.ts';
import { ADMIN_READ_PROBLEMS } from './admin-page.ts';
import { Setting, Stats } from './admin-schemas.ts';
import type { Operations } from './open-operations.ts';
import type { RequireOperator } from './require-operator.ts';

type Parts = { operations: Pick<Operations, 'settings' | 'stats'>; requireOperator: RequireOperator };

/** What the server runs with, and how it does. */
export const adminOverviewRoutes: FastifyPluginAsyncTypebox<Parts> = async (
  app,
  { operations, requireOperator },
) => {
  const shared = { tags: ['admin'], security: [{ accessToken: [] }] };
  const querystring = Type.Object({}, { additionalProperties: false });

  app.get(
    '/admin/settings',
    {
      ...{ config: adminLimit, preHandler: requireOperator({ scope: 'admin:keys', writes: false }) },
      schema: {
        ...{ ...shared, querystring, summary: 'The settings that the server runs with, without secrets' },
        description: 'Needs the scope `admin:keys`.',
        response: {
          200: Type.Object({ settings: Type.Array(Setting) }),
          ...problemResponses(...ADMIN_READ_PROBLEMS),
        },
      },
    },
    async () => ({ settings: operations.settings() }),
  );

  app.get(
    '/admin/stats',
    {
      ...{ config: adminLimit, preHandler: requireOperator({ scope: 'admin:users:read', writes: false }) },
      schema: {
        ...{ ...shared, querystring, summary: 'How many users and sessions, and sign-ins by hour' },
        description:
          'Needs the scope `admin:users:read`. The figures are at most five seconds old, and cost little however many users there are: see `estimated`.',
        response: { 200: Stats, ...problemResponses(...ADMIN_READ_PROBLEMS) },
      },
    },
    async () => operations.stats.show(),
  );
};
