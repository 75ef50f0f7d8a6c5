import formBody from '@fastify/formbody';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { clientNetwork } from '../http/client-address.ts';
import { readAuthorization } from '../http/request-checks.ts';
import { Text } from '../http/schemas.ts';
import {
  type Form,
  readClientCredentials,
  readParameter,
  readParameters,
  requireParameter,
} from './client-authentication.ts';
import type { ClientService, ServiceClient } from './client-service.ts';
import type { IntrospectionService } from './introspection-service.ts';
import { OAuthError } from './oauth-error.ts';
import { OAUTH_PROBLEMS, sendOAuthProblem } from './oauth-problem.ts';

const Parameter = (description?: string) => Type.Optional(Text({ ...(description && { description }) }));

/** Other parameters are ignored (RFC 6749 §3.2). */
const form = { additionalProperties: true } as const;

const credentials = {
  client_id: Parameter('Not needed with HTTP Basic'),
  client_secret: Parameter('Where HTTP Basic cannot be used'),
  client_assertion_type: Parameter('urn:ietf:params:oauth:client-assertion-type:jwt-bearer'),
  client_assertion: Parameter('A JWT signed by the client (RFC 7523 §2.2)'),
};

const TokenForm = Type.Object(
  {
    grant_type: Text({ description: 'client_credentials' }),
    scope: Parameter('Some of the scopes of the client; all when left out'),
    resource: Type.Optional(
      Type.Union([Text(), Type.Array(Text())], {
        description: 'Some of the audiences of the client (RFC 8707); all when left out',
      }),
    ),
    ...credentials,
  },
  form,
);

const AboutTokenForm = Type.Object({ token: Text(), token_type_hint: Parameter(), ...credentials }, form);

const TokenResponse = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('Bearer'),
  expires_in: Type.Integer({ description: 'Seconds' }),
  scope: Type.String(),
});

const IntrospectionResponse = Type.Object(
  {
    active: Type.Boolean(),
    token_type: Type.Optional(Type.Literal('Bearer')),
    iss: Type.Optional(Type.String()),
    sub: Type.Optional(Type.String()),
    aud: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.String())], {
        description: 'Of a single-use token: `urn:doorward:once:` and the name of the service',
      }),
    ),
    client_id: Type.Optional(Type.String()),
    iat: Type.Optional(Type.Integer()),
    exp: Type.Optional(Type.Integer()),
    jti: Type.Optional(Type.String()),
    scope: Type.Optional(Type.String()),
    sid: Type.Optional(Type.String()),
    email: Type.Optional(Type.String()),
    email_verified: Type.Optional(Type.Boolean()),
    cv: Type.Optional(Type.Integer({ description: "The user's claims version" })),
    roles: Type.Optional(Type.Array(Type.String())),
    auth_time: Type.Optional(Type.Integer()),
    amr: Type.Optional(Type.Array(Type.String())),
    acr: Type.Optional(Type.String()),
  },
  { description: 'The claims of a token that holds; nothing but `active: false` of any other' },
);

/** draft-ietf-httpapi-idempotency-key-header */
const IdempotencyKey = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^[!-~]{1,255}$',
      description: 'Lets the client that redeemed the token ask again if the answer was lost',
    }),
  ),
});

type OAuthRoutesOptions = {
  clients: ClientService;
  introspection: IntrospectionService;
  /** `PUBLIC_URL`. */
  issuer: string;
};

/** The endpoints for service clients: RFC 6749 §4.4, RFC 7662, RFC 7009. As these require: forms in, JSON out. */
export const oauthRoutes: FastifyPluginAsyncTypebox<OAuthRoutesOptions> = async (
  app,
  { clients, introspection, issuer },
) => {
  app.removeAllContentTypeParsers();
  await app.register(formBody);
  app.setErrorHandler(sendOAuthProblem);

  app.post(
    '/oauth/token',
    {
      schema: {
        ...about('A token for the service client itself: grant_type=client_credentials'),
        body: TokenForm,
        response: { 200: TokenResponse, ...OAUTH_PROBLEMS },
      },
    },
    async (request) => {
      const client = await authenticate(request);
      const params = request.body as Form;
      if (requireParameter(params, 'grant_type') !== 'client_credentials')
        throw new OAuthError('unsupported_grant_type', 'grant_type must be client_credentials');
      return clients.grant(client, readParameter(params, 'scope'), readParameters(params, 'resource'));
    },
  );

  app.post(
    '/oauth/introspect',
    {
      // Called for every request at a `checked` or `once` door: too often for the log.
      logLevel: 'warn',
      schema: {
        ...about('Does this token hold? A single-use token is redeemed by it'),
        headers: IdempotencyKey,
        body: AboutTokenForm,
        response: { 200: IntrospectionResponse, ...OAUTH_PROBLEMS },
      },
    },
    async (request) => {
      const client = await authenticate(request);
      const { 'idempotency-key': idempotencyKey = null } = request.headers;
      return introspection.introspect(
        client,
        requireParameter(request.body as Form, 'token'),
        idempotencyKey,
      );
    },
  );

  app.post(
    '/oauth/revoke',
    {
      schema: {
        ...about("End one of the client's own tokens"),
        body: AboutTokenForm,
        response: { 200: Type.Null({ description: 'The token holds no more' }), ...OAUTH_PROBLEMS },
      },
    },
    async (request, reply) => {
      const client = await authenticate(request);
      await introspection.revoke(client, requireParameter(request.body as Form, 'token'));
      // The body is empty (RFC 7009 §2.2): a null would be serialized.
      await (reply as FastifyReply).code(200).send();
    },
  );

  async function authenticate(request: FastifyRequest): Promise<ServiceClient> {
    const credentials = readClientCredentials(readAuthorization(request), request.body as Form);
    const endpoint = `${issuer}${request.routeOptions.url?.slice(app.prefix.length)}`;
    return clients.authenticate(credentials, { endpoint, network: clientNetwork(request) });
  }
};

function about(summary: string) {
  return {
    tags: ['clients'],
    summary,
    security: [{ client: [] }],
    consumes: ['application/x-www-form-urlencoded'],
  };
}
