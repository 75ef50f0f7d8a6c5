import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import type { KeyService } from './key-service.ts';

const JwksResponse = Type.Object({
  keys: Type.Array(
    Type.Object(
      { kty: Type.String(), use: Type.String(), alg: Type.String(), kid: Type.String() },
      { additionalProperties: true },
    ),
  ),
});

const MetadataResponse = Type.Object({
  issuer: Type.String(),
  jwks_uri: Type.String(),
  token_endpoint: Type.String(),
  token_endpoint_auth_methods_supported: Type.Array(Type.String()),
  token_endpoint_auth_signing_alg_values_supported: Type.Array(Type.String()),
  introspection_endpoint: Type.String(),
  introspection_endpoint_auth_methods_supported: Type.Array(Type.String()),
  introspection_endpoint_auth_signing_alg_values_supported: Type.Array(Type.String()),
  revocation_endpoint: Type.String(),
  revocation_endpoint_auth_methods_supported: Type.Array(Type.String()),
  revocation_endpoint_auth_signing_alg_values_supported: Type.Array(Type.String()),
  revocations_uri: Type.Optional(
    Type.String({ description: 'Of this server alone: the feed for services that check tokens offline' }),
  ),
  response_types_supported: Type.Array(Type.String()),
  grant_types_supported: Type.Array(Type.String()),
  service_documentation: Type.String(),
});

type WellKnownRoutesOptions = {
  keys: KeyService;
  /** `PUBLIC_URL`: the issuer, and where clients find the other documents. Never taken from a request. */
  issuer: string;
  /** Algorithms with which service clients may sign their assertions. */
  assertionAlgorithms: string[];
  /** Whether there is a feed of revocations. */
  hasRevocations: boolean;
};

/** What verifiers need to know: the key set (RFC 7517) and the server metadata (RFC 8414). */
export const wellKnownRoutes: FastifyPluginAsyncTypebox<WellKnownRoutesOptions> = async (
  app,
  { keys, issuer, assertionAlgorithms, hasRevocations },
) => {
  app.get(
    '/.well-known/jwks.json',
    {
      // Every service asks every few minutes: too often for the log.
      logLevel: 'warn',
      schema: {
        tags: ['well-known'],
        summary: 'The public signing keys',
        response: { 200: JwksResponse, 304: Type.Null({ description: 'Unchanged' }) },
      },
    },
    async (request, reply) => {
      const { body, etag, maxAgeSeconds } = keys.jwks();
      reply.header('cache-control', `public, max-age=${maxAgeSeconds}`).header('etag', etag);
      if (isKnown(etag, request.headers['if-none-match'])) return reply.code(304).send(null);
      // Serialized once for all requests. The schema is only for the documentation.
      return reply
        .type('application/json; charset=utf-8')
        .serializer(asIs)
        .send(body as never);
    },
  );

  const metadata = {
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    ...endpointMetadata('token', `${issuer}/oauth/token`, assertionAlgorithms),
    ...endpointMetadata('introspection', `${issuer}/oauth/introspect`, assertionAlgorithms),
    ...endpointMetadata('revocation', `${issuer}/oauth/revoke`, assertionAlgorithms),
    ...(hasRevocations && { revocations_uri: `${issuer}/revocations` }),
    // RFC 8414 requires this member. Empty: there is no authorization endpoint.
    response_types_supported: [],
    grant_types_supported: ['client_credentials'],
    service_documentation: `${issuer}/docs`,
  };
  for (const [name, summary] of [
    ['oauth-authorization-server', 'Server metadata (RFC 8414)'],
    ['openid-configuration', 'The same, for tools that look only here'],
  ] as const) {
    app.get(
      `/.well-known/${name}`,
      { schema: { tags: ['well-known'], summary, response: { 200: MetadataResponse } } },
      async (_request, reply) => {
        reply.header('cache-control', 'public, max-age=600');
        return metadata;
      },
    );
  }
};

/** RFC 8414 §2 has the same three members for each endpoint that clients authenticate at. */
function endpointMetadata<const Name extends string>(name: Name, url: string, algorithms: string[]) {
  return {
    [`${name}_endpoint`]: url,
    [`${name}_endpoint_auth_methods_supported`]: CLIENT_AUTHENTICATION,
    [`${name}_endpoint_auth_signing_alg_values_supported`]: algorithms,
  } as Record<`${Name}_endpoint`, string> &
    Record<`${Name}_endpoint_auth_${'methods' | 'signing_alg_values'}_supported`, string[]>;
}

const CLIENT_AUTHENTICATION = ['client_secret_basic', 'client_secret_post', 'private_key_jwt'];

/** Whether `If-None-Match` names the tag: weak comparison (RFC 9110 §13.1.2). Our tags have no comma in them. */
function isKnown(etag: string, ifNoneMatch = ''): boolean {
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes(etag) || ifNoneMatch.trim() === '*';
}

function asIs(body: string): string {
  return body;
}
