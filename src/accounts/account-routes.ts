import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig } from 'fastify';
import { problemResponses, WRITE_PROBLEMS } from '../http/problem.ts';
import { Body, Text } from '../http/schemas.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import type { AccountService } from './account-service.ts';
import { signInto } from './sign-into.ts';
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
  cookie: SessionCookie;
  signUpCookie: SignUpCookie;
  /** Rate limit of the routes that take a password. */
  limit: FastifyContextConfig;
};

/** Sign-up and sign-in. */
export const accountRoutes: FastifyPluginAsyncTypebox<AccountRoutesOptions> = async (
  app,
  { accounts, signUps, cookie, signUpCookie, limit },
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
      const signedIn = await accounts.signUp(request.body, visitor);
      signInto(reply, cookie, signedIn);
      return reply.code(201).send(userResponse(signedIn.user));
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
      const signedIn = await accounts.signIn(request.body, visitorOf(request, reply, cookie));
      signInto(reply, cookie, signedIn);
      return userResponse(signedIn.user);
    },
  );
};
