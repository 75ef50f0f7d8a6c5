import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { problemResponses } from '../http/problem.ts';
import { Body, OptionalBody, Query, Text } from '../http/schemas.ts';
import { ADMIN_READ_PROBLEMS, ADMIN_WRITE_PROBLEMS } from './admin-page.ts';
import { operatorOf, type RequireOperator, routesOf } from './require-operator.ts';
import { MAX_DESCRIPTION_LENGTH, MOST_SCOPES_OF_A_ROLE } from './role-rules.ts';
import type { RolesService } from './roles-service.ts';

const MAX_TEXT_LENGTH = 100;

const RoleSchema = Type.Object({
  name: Type.String(),
  scopes: Type.Array(Type.String(), { description: 'In the access tokens of users with the role' }),
  description: Type.String({ description: 'For people' }),
});

const RoleBody = Body({
  scopes: Type.Array(Text({ maxLength: MAX_TEXT_LENGTH }), {
    maxItems: MOST_SCOPES_OF_A_ROLE,
    description: 'RFC 6749 §3.3. One that begins with `admin:` is given on the machine alone',
  }),
  description: Type.Optional(
    Text({ maxLength: MAX_DESCRIPTION_LENGTH, description: 'Stays as it is when left out' }),
  ),
});

const ByName = Type.Object({ name: Text({ maxLength: MAX_TEXT_LENGTH }) });

const PROBLEMS = [...ADMIN_WRITE_PROBLEMS, 'uri_too_long', 'last_admin'] as const;

type RolesRoutesOptions = { roles: RolesService; requireOperator: RequireOperator };

/** The roles that users can have, and the scopes that a role gives. */
export const rolesRoutes: FastifyPluginAsyncTypebox<RolesRoutesOptions> = async (
  app,
  { roles, requireOperator },
) => {
  const { reads, docs } = routesOf('admin:users:read', requireOperator);
  const { writes, docs: writing } = routesOf('admin:users:write', requireOperator);
  const write = { ...writing, params: ByName };

  app.get(
    '/admin/roles',
    {
      ...reads,
      schema: {
        ...{ ...docs, summary: 'The roles' },
        querystring: Query({}),
        response: {
          200: Type.Object({ roles: Type.Array(RoleSchema, { description: 'By name; at most 200' }) }),
          ...problemResponses(...ADMIN_READ_PROBLEMS),
        },
      },
    },
    async () => ({ roles: await roles.list() }),
  );

  app.put(
    '/admin/roles/:name',
    {
      ...writes,
      schema: {
        ...{ ...write, summary: 'Make a role, or replace its scopes', body: RoleBody },
        description: `${writing.description} Earlier tokens of the users with the role become void, 100 users at a time.`,
        response: { 200: RoleSchema, ...problemResponses(...PROBLEMS, 'only_on_the_machine') },
      },
    },
    async (request) => roles.put({ ...request.params, ...request.body }, operatorOf(request)),
  );

  app.delete(
    '/admin/roles/:name',
    {
      ...writes,
      schema: {
        ...{ ...write, summary: 'Remove a role, and take it from all users', body: OptionalBody({}) },
        description: `${writing.description} The role gives nobody a scope from now on, and is taken from 100 users at a time.`,
        response: {
          204: Type.Null({ description: 'Done' }),
          ...problemResponses(...PROBLEMS, 'not_found'),
        },
      },
    },
    async (request, reply) => {
      await roles.remove(request.params.name, operatorOf(request));
      return reply.code(204).send(null);
    },
  );
};
