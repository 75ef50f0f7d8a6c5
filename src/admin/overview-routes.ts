import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { problemResponses } from '../http/problem.ts';
import { Query } from '../http/schemas.ts';
import { ADMIN_READ_PROBLEMS } from './admin-page.ts';
import { Setting, Stats } from './admin-schemas.ts';
import type { Operations } from './open-operations.ts';
import { type RequireOperator, routesOf } from './require-operator.ts';

type Parts = { operations: Pick<Operations, 'settings' | 'stats'>; requireOperator: RequireOperator };

/** What the server runs with, and how it does. */
export const adminOverviewRoutes: FastifyPluginAsyncTypebox<Parts> = async (
  app,
  { operations, requireOperator },
) => {
  const settings = routesOf('admin:keys', requireOperator);
  const stats = routesOf('admin:users:read', requireOperator);
  const querystring = Query({});

  app.get(
    '/admin/settings',
    {
      ...settings.reads,
      schema: {
        ...{ ...settings.docs, querystring },
        summary: 'The settings that the server runs with, without secrets',
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
      ...stats.reads,
      schema: {
        ...{ ...stats.docs, querystring, summary: 'How many users and sessions, and sign-ins by hour' },
        description: `${stats.docs.description} The figures are at most five seconds old, and cost little however many users there are: see \`estimated\`.`,
        response: { 200: Stats, ...problemResponses(...ADMIN_READ_PROBLEMS) },
      },
    },
    async () => operations.stats.show(),
  );
};
