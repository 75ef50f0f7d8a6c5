import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { problemResponses } from '../http/problem.ts';
import { addJsonParser } from '../http/request-checks.ts';
import { OptionalBody, Uuid } from '../http/schemas.ts';
import { ADMIN_READ_PROBLEMS, ADMIN_WRITE_PROBLEMS, Next } from './admin-page.ts';
import type { Admin } from './open-admin.ts';
import { operatorOf, type RequireOperator, routesOf } from './require-operator.ts';
import { AdminUserSchema, BanBody, NewUser, UserPatchSchema, UsersQuery } from './user-schemas.ts';

const MERGE_PATCH = 'application/merge-patch+json';

const OfUser = Type.Object({ id: Uuid() });

/** No body is needed. A body with fields is refused, not ignored. */
const NoFields = OptionalBody({});

const USER_PROBLEMS = [...ADMIN_WRITE_PROBLEMS, 'not_found', 'uri_too_long'] as const;

type UsersRoutesOptions = { users: Admin['users']; requireOperator: RequireOperator };

/** What operators see of users, and do to them. */
export const usersRoutes: FastifyPluginAsyncTypebox<UsersRoutesOptions> = async (
  app,
  { users, requireOperator },
) => {
  addJsonParser(app, MERGE_PATCH);
  const { reads, docs: read } = routesOf('admin:users:read', requireOperator);
  const { writes, docs: write } = routesOf('admin:users:write', requireOperator);

  app.get(
    '/admin/users',
    {
      ...reads,
      schema: {
        ...read,
        summary: 'The users, the newest first',
        description: `${read.description} A part may have fewer users than \`limit\`, even none, although the list goes on: only \`next\` tells.`,
        querystring: UsersQuery,
        response: {
          200: Type.Object({ users: Type.Array(AdminUserSchema), next: Next }),
          ...problemResponses(...ADMIN_READ_PROBLEMS),
        },
      },
    },
    async ({ query: { limit = '50', after, verified, status, ...rest } }) =>
      users.list({
        ...{ limit: Number(limit), after, search: rest.search, role: rest.role },
        status: status as 'active' | 'banned' | undefined,
        verified: verified === undefined ? undefined : verified === 'true',
        createdAfter: rest.created_after,
        createdBefore: rest.created_before,
      }),
  );

  app.post(
    '/admin/users',
    {
      ...writes,
      schema: {
        ...write,
        summary: 'Make an account',
        body: NewUser,
        response: {
          201: AdminUserSchema,
          ...problemResponses(...USER_PROBLEMS, 'email_taken', 'only_on_the_machine'),
        },
      },
    },
    async (request, reply) => reply.code(201).send(await users.create(request.body, operatorOf(request))),
  );

  app.get(
    '/admin/users/:id',
    {
      ...reads,
      schema: {
        ...{ ...read, summary: 'One user', params: OfUser },
        response: {
          200: AdminUserSchema,
          ...problemResponses(...ADMIN_READ_PROBLEMS, 'not_found', 'uri_too_long'),
        },
      },
    },
    async ({ params }) => users.get(params.id),
  );

  app.patch(
    '/admin/users/:id',
    {
      ...writes,
      schema: {
        ...{ ...write, summary: 'Change a user, by a JSON Merge Patch (RFC 7396)', params: OfUser },
        consumes: [MERGE_PATCH, 'application/json'],
        body: UserPatchSchema,
        response: {
          200: AdminUserSchema,
          ...problemResponses(...USER_PROBLEMS, 'email_taken', 'last_admin', 'only_on_the_machine'),
        },
      },
    },
    async (request) => users.change(request.params.id, request.body, operatorOf(request)),
  );

  app.delete(
    '/admin/users/:id',
    {
      ...writes,
      schema: {
        ...{ ...write, summary: 'Delete an account at once, for good', params: OfUser, body: NoFields },
        response: {
          204: Type.Null({ description: 'Done' }),
          ...problemResponses(...USER_PROBLEMS, 'last_admin'),
        },
      },
    },
    async (request, reply) => {
      await users.delete(request.params.id, operatorOf(request));
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/admin/users/:id/ban',
    {
      ...writes,
      schema: {
        ...{ ...write, summary: 'Ban a user: all their sessions end', params: OfUser, body: BanBody },
        response: { 200: AdminUserSchema, ...problemResponses(...USER_PROBLEMS, 'last_admin') },
      },
    },
    async (request) => users.ban(request.params.id, request.body ?? {}, operatorOf(request)),
  );

  app.post(
    '/admin/users/:id/unban',
    {
      ...writes,
      schema: {
        ...{ ...write, summary: 'End a ban', params: OfUser, body: NoFields },
        response: { 200: AdminUserSchema, ...problemResponses(...USER_PROBLEMS) },
      },
    },
    async (request) => users.unban(request.params.id, operatorOf(request)),
  );

  app.post(
    '/admin/users/:id/force-reset',
    {
      ...writes,
      schema: {
        ...write,
        summary: 'Take the password away, and send a code to set another one; all sessions end',
        ...{ params: OfUser, body: NoFields },
        response: { 200: AdminUserSchema, ...problemResponses(...USER_PROBLEMS) },
      },
    },
    async (request) => users.forceReset(request.params.id, operatorOf(request)),
  );
};
