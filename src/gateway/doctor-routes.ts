import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { clientAddress } from '../http/client-address.ts';
import { problemResponses } from '../http/problem.ts';
import { requireScope } from '../tokens/access-token-check.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import type { TokenClaims } from '../verifier/check-token.ts';
import { DOCTOR_CLIENT_ID, DOCTOR_SCOPE } from './doctor-command.ts';
import { type GatewaySettings, reportOnGateway } from './gateway-report.ts';

const NullableText = Type.Union([Type.String(), Type.Null()]);

const GatewayReport = Type.Object({
  chain: Type.Array(Type.Object({ address: Type.String(), trusted: Type.Boolean() }), {
    description: 'Who passed the request on, from the connection outwards',
  }),
  client_address: Type.String({ description: 'The right-most address that is not trusted' }),
  scheme: Type.String(),
  host: Type.String(),
  path: Type.String({ description: 'As it arrived' }),
  path_prefix: Type.String(),
  public_url: Type.String(),
  headers: Type.Object({
    host: NullableText,
    x_forwarded_for: NullableText,
    x_forwarded_proto: NullableText,
    x_forwarded_host: NullableText,
  }),
  cookie: Type.Object({ name: Type.String(), sticks: Type.Boolean() }),
  problems: Type.Array(Type.String(), { description: 'What to fix' }),
});

type DoctorRoutesOptions = {
  statuses: TokenStatusService;
  settings: GatewaySettings;
};

/** The endpoint that `doorward doctor` calls through the gateway. */
export const doctorRoutes: FastifyPluginAsyncTypebox<DoctorRoutesOptions> = async (
  app,
  { statuses, settings },
) => {
  /** The ticket of the operator's command belongs to no client, and expires after a minute. */
  const findLive = async (claims: TokenClaims) =>
    claims.sub === DOCTOR_CLIENT_ID ? claims : statuses.findLive(claims);

  app.get(
    '/admin/doctor',
    {
      preHandler: requireScope({ scope: DOCTOR_SCOPE, findLive }),
      schema: {
        tags: ['admin'],
        summary: 'What this very request looked like when it arrived, and what was made of it',
        description: `For an access token of a service client with the scope ${DOCTOR_SCOPE} and the issuer as its audience.`,
        security: [{ accessToken: [] }],
        response: {
          200: GatewayReport,
          ...problemResponses(
            'not_signed_in',
            'invalid_token',
            'insufficient_scope',
            'overloaded',
            'unavailable',
          ),
        },
      },
    },
    async (request) =>
      reportOnGateway(
        {
          peer: String(request.socket.remoteAddress),
          forwardedFor: request.headers['x-forwarded-for']?.toString(),
          forwardedProto: request.headers['x-forwarded-proto']?.toString(),
          forwardedHost: request.headers['x-forwarded-host']?.toString(),
          host: request.headers.host,
          path: request.originalUrl,
          clientAddress: clientAddress(request),
          scheme: request.protocol,
          publicHost: request.host,
        },
        settings,
      ),
  );
};
