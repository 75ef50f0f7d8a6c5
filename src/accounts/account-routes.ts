import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig } from 'fastify';
import { problemResponses, READ_PROBLEMS, WRITE_PROBLEMS } from '../http/problem.ts';
import { Body, Text } from '../http/schemas.ts';
import { type Authenticate, signedIn } from '../sessions/authenticate.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import type { AccountService } from './account-service.ts';
import { hashBrowserSecret, type SignUpCookie } from './sign-up-cookie.ts';
import type { SignUpService } from './sign-up-service.ts';
import { UserResponse, userResponse } from './user-response.ts';
import { VerificationSent } from './verification-sent.ts';
import { visitorOf } from './visitor.ts';

const Credentials = Body({
  email: Text({ maxLength: 320, description: 'E-mail address' }),
  password: Text({ description: 'Counted in code points, never cut' }),
});

type AccountRoutesOptions = {
  accounts: AccountService;
  signUps: SignUpService;
  authenticate: Authenticate;
  cookie: SessionCookie;
  signUpCookie: SignUpCookie;
  /** Rate limit of the routes that take a password. */
  limit: FastifyContextConfig;
};

/** Sign-up, sign-in and the user's own profile. */
export const accountRoutes: FastifyPluginAsyncTypebox<AccountRoutesOptions> = async (
  app,
  { accounts, signUps, authenticate, cookie, signUpCookie, limit },
) => {
  app.post(
    '/signup',
    {
      config: limit,
      schema: {
        tags: ['accounts'],
        summary: 'Make an account and sign in',
        description:
          'With `EMAIL_VERIFICATION=required` the answer is 202, for every address alike: who may read its mail goes on with ' +
          '`POST /email/verify`.',
        body: Credentials,
        response: {
          201: UserResponse,
          202: VerificationSent,
          ...problemResponses(...WRITE_PROBLEMS, 'validation_failed', 'email_taken'),
        },
      },
    },
    async (request, reply) => {
      const visitor = visitorOf(request, reply, cookie);
      if (signUps.isVerificationRequired) {
        const secret = signUpCookie.secretFor(request);
        await signUps.ask(request.body, visitor, hashBrowserSecret(secret));
        signUpCookie.set(reply, secret);
        return reply.code(202).send({ status: 'verification_sent' as const });
      }
      const { user, session, deviceCookie } = await accounts.signUp(request.body, visitor);
      cookie.set(reply, session.generateToken, session.maxAgeSeconds);
      cookie.device.set(reply, deviceCookie);
      return reply.code(201).send(userResponse(user));
    },
  );

  app.post(
    '/login',
    {
      config: limit,
      schema: {
        tags: ['accounts'],
        summary: 'Sign in',
        body: Credentials,
        response: {
          200: UserResponse,
          ...problemResponses(...WRITE_PROBLEMS, 'validation_failed', 'invalid_credentials'),
        },
      },
    },
    async (request, reply) => {
      const { user, session, deviceCookie } = await accounts.signIn(
        request.body,
        visitorOf(request, reply, cookie),
      );
      cookie.set(reply, session.generateToken, session.maxAgeSeconds);
      cookie.device.set(reply, deviceCookie);
      return userResponse(user);
    },
  );

  app.get(
    '/me',
    {
      preHandler: authenticate,
      schema: {
        tags: ['accounts'],
        summary: 'The signed-in user',
        security: [{ session: [] }],
        response: {
          200: UserResponse,
          ...problemResponses(...READ_PROBLEMS, 'not_signed_in'),
        },
      },
    },
    async (request) => userResponse(await accounts.getUser(signedIn(request).userId)),
  );
};
