import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { problemResponses } from '../http/problem.ts';
import { Body, OptionalBody, Query, Text } from '../http/schemas.ts';
import {
  ADMIN_READ_PROBLEMS,
  ADMIN_WRITE_PROBLEMS,
  Next,
  pageFields,
  pageFrom,
  pageOf,
} from './admin-page.ts';
import { Client, Names, NewClientCredentials } from './admin-schemas.ts';
import type { Operations } from './open-operations.ts';
import { operatorOf, type RequireOperator, routesOf } from './require-operator.ts';

const CLIENT_ID = /^[a-z0-9._-]{1,64}$/;
const DAY_SECONDS = 86_400;

const Name = Text({ maxLength: 100, description: 'For people' });
const Scopes = Names('That it may have. One that begins with `admin:` is given on the machine alone');
const Audiences = Names('Services whose tokens it may get, see and redeem');
const PublicKeys = Type.Unknown({
  description: 'JWK or JWK Set of the client, for `private_key_jwt` instead of a secret',
});

const NewClient = Body({
  client_id: Text({ maxLength: 64 }),
  name: Type.Optional(Name),
  scopes: Type.Optional(Scopes),
  audiences: Type.Optional(Audiences),
  public_keys: Type.Optional(PublicKeys),
});

const Changes = Body({
  name: Type.Optional(Name),
  scopes: Type.Optional(Scopes),
  audiences: Type.Optional(Audiences),
});

const Rotation = OptionalBody({
  overlap_seconds: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 30 * DAY_SECONDS,
      description: 'How long earlier secrets stay valid; a day when left out',
    }),
  ),
  public_keys: Type.Optional(PublicKeys),
});

const ById = Type.Object({ id: Text({ description: '`client_id`' }) });
const OF_ONE = ['not_found', 'uri_too_long'] as const;

type Parts = { clients: Operations['clients']; requireOperator: RequireOperator };

/** The service clients, as `doorward clients` shows and changes them. */
export const adminClientsRoutes: FastifyPluginAsyncTypebox<Parts> = async (
  app,
  { clients, requireOperator },
) => {
  const { reads, writes, docs } = routesOf('admin:clients', requireOperator);

  app.get(
    '/admin/clients',
    {
      ...reads,
      schema: {
        ...{ ...docs, summary: 'The service clients' },
        querystring: Query(pageFields),
        response: {
          200: Type.Object({ clients: Type.Array(Client, { description: 'By id' }), next: Next }),
          ...problemResponses(...ADMIN_READ_PROBLEMS),
        },
      },
    },
    async ({ query }) => {
      const { limit, after } = pageOf(query, CLIENT_ID);
      const found = await clients.list({ limit: limit + 1, after });
      const { rows, next } = pageFrom(found, limit, ({ client_id }) => client_id);
      return { clients: rows, next };
    },
  );

  app.get(
    '/admin/clients/:id',
    {
      ...reads,
      schema: {
        ...{ ...docs, summary: 'One service client' },
        params: ById,
        response: { 200: Client, ...problemResponses(...ADMIN_READ_PROBLEMS, ...OF_ONE) },
      },
    },
    async ({ params }) => clients.get(params.id),
  );

  app.post(
    '/admin/clients',
    {
      ...writes,
      schema: {
        ...{ ...docs, summary: 'Register a service client, and get its secret once' },
        body: NewClient,
        response: {
          201: NewClientCredentials,
          ...problemResponses(...ADMIN_WRITE_PROBLEMS, 'only_on_the_machine'),
        },
      },
    },
    async (request, reply) => {
      const { client_id: id, ...wish } = request.body;
      return reply.code(201).send(await clients.add({ id, ...wish }, operatorOf(request)));
    },
  );

  app.patch(
    '/admin/clients/:id',
    {
      ...writes,
      schema: {
        ...{ ...docs, summary: 'Replace what is given of a client' },
        description: `${docs.description} Tokens of the client that say more than it has then become inactive.`,
        params: ById,
        body: Changes,
        response: {
          200: Client,
          ...problemResponses(...ADMIN_WRITE_PROBLEMS, ...OF_ONE, 'only_on_the_machine'),
        },
      },
    },
    async (request) => clients.update({ id: request.params.id, ...request.body }, operatorOf(request)),
  );

  app.post(
    '/admin/clients/:id/rotate-secret',
    {
      ...writes,
      schema: {
        ...{ ...docs, summary: 'Make a new secret, and get it once' },
        description: `${docs.description} For a client with a scope that begins with \`admin:\`, only on the machine.`,
        params: ById,
        body: Rotation,
        response: {
          200: NewClientCredentials,
          ...problemResponses(...ADMIN_WRITE_PROBLEMS, ...OF_ONE, 'only_on_the_machine'),
        },
      },
    },
    async (request) => {
      const { overlap_seconds = DAY_SECONDS, public_keys } = request.body ?? {};
      const wish = { id: request.params.id, overlap_ms: overlap_seconds * 1000, public_keys };
      return clients.rotateSecret(wish, operatorOf(request));
    },
  );

  const TURNS = [
    ['disable', 'Disable a client, and make its own tokens inactive', []],
    ['enable', 'Take back `disable`: the client counts again, and gets new tokens', ['only_on_the_machine']],
  ] as const;
  for (const [turn, summary, own] of TURNS)
    app.post(
      `/admin/clients/:id/${turn}`,
      {
        ...writes,
        schema: {
          ...{ ...docs, description: `${docs.description} Repeating it is harmless.`, summary },
          params: ById,
          body: OptionalBody({}),
          response: {
            200: Client,
            ...problemResponses(...ADMIN_WRITE_PROBLEMS, ...OF_ONE, ...own),
          },
        },
      },
      async (request) => clients[turn]({ id: request.params.id }, operatorOf(request)),
    );
};
