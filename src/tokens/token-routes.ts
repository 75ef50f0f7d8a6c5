import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import Type from 'typebox';
import { validationFailed } from '../core/errors.ts';
import { clientNetwork } from '../http/client-address.ts';
import { problemResponses, WRITE_PROBLEMS } from '../http/problem.ts';
import { OptionalBody, Text } from '../http/schemas.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import type { TokenService } from './token-service.ts';

const TokenRequest = OptionalBody({
  audience: Type.Optional(
    Text({
      description:
        'One of the configured audiences, or the issuer, for calls under `/admin`. When left out: `DEFAULT_AUDIENCE`, or all of them, and for a user with a scope `admin:…` the issuer too',
    }),
  ),
  single_use: Type.Optional(
    Type.Boolean({
      description:
        'Whether the token is to pass one door once, within 60 seconds; needs an audience, and has `urn:doorward:once:` and that name as its `aud`',
    }),
  ),
});

const TokenResponse = Type.Object({
  access_token: Type.String({ description: 'JWT of RFC 9068: keep it in memory only' }),
  token_type: Type.Literal('Bearer'),
  expires_in: Type.Integer({ description: 'Seconds' }),
});

type TokenRoutesOptions = { tokens: TokenService; cookie: SessionCookie };

/** The hot path: the cookie in, an access token out. */
export const tokenRoutes: FastifyPluginAsyncTypebox<TokenRoutesOptions> = async (app, { tokens, cookie }) => {
  app.post(
    '/token',
    {
      // Success is the usual case and not logged: a log line costs a tenth of the request and more.
      logLevel: 'warn',
      schema: {
        tags: ['tokens'],
        summary: 'Exchange the generate token in the cookie for an access token',
        security: [{ session: [] }],
        body: TokenRequest,
        response: {
          200: TokenResponse,
          ...problemResponses(
            ...WRITE_PROBLEMS,
            'unknown_audience',
            'validation_failed',
            'session_not_found',
          ),
        },
      },
    },
    async (request, reply) => {
      const { audience, single_use: singleUse } = request.body ?? {};
      if (singleUse === true && audience === undefined)
        throw validationFailed([{ path: '/audience', message: 'is required for a single-use token' }]);
      return tokens.mint(cookie.read(request, reply), clientNetwork(request), { audience, singleUse });
    },
  );
};
