import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig } from 'fastify';
import Type from 'typebox';
import { problemResponses, WRITE_PROBLEMS } from '../http/problem.ts';
import { Body, OptionalBody, Text } from '../http/schemas.ts';
import { findSession, requireSession } from '../sessions/authenticate.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { PRESENTED_CODE_FIELDS } from './presented-code.ts';
import type { SignUpCookie } from './sign-up-cookie.ts';
import { UserResponse, userResponse } from './user-response.ts';
import { VerificationSent } from './verification-sent.ts';
import type { VerificationService } from './verification-service.ts';
import { visitorOf } from './visitor.ts';

type VerificationRoutesOptions = {
  verification: VerificationService;
  sessions: SessionService;
  cookie: SessionCookie;
  signUpCookie: SignUpCookie;
  /** Rate limit of the routes that take a password or a code. */
  limit: FastifyContextConfig;
};

/** Shows whose an e-mail address is. There is no GET: programs that follow the links of mails change nothing. */
export const verificationRoutes: FastifyPluginAsyncTypebox<VerificationRoutesOptions> = async (
  app,
  { verification, sessions, cookie, signUpCookie, limit },
) => {
  app.post(
    '/email/verify',
    {
      config: limit,
      schema: {
        tags: ['accounts'],
        summary: 'Verify an e-mail address with the code of a mail',
        description:
          'Needs one of these as well: the browser that signed up, the password, or a session of the account. Without, the ' +
          'answer is 403 `password_required`, and the code stays good: ask for the password; or offer "This was not me", ' +
          'which is `POST /password/reset` with the same code.',
        body: Body({
          ...PRESENTED_CODE_FIELDS,
          password: Type.Optional(Text({ description: 'Of the account' })),
        }),
        response: {
          200: UserResponse,
          ...problemResponses(
            ...WRITE_PROBLEMS,
            'validation_failed',
            'invalid_code',
            'password_required',
            'not_found',
          ),
        },
      },
    },
    async (request, reply) => {
      const { password, ...presented } = request.body;
      const proof = {
        session: await findSession(request, reply, { sessions, cookie }),
        browserHash: signUpCookie.read(request),
        password,
      };
      const visitor = visitorOf(request, reply, cookie);
      const { user, session, deviceCookie } = await verification.verify(presented, proof, visitor);
      if (session !== null) cookie.set(reply, session.generateToken, session.maxAgeSeconds);
      cookie.device.set(reply, deviceCookie);
      signUpCookie.clear(reply);
      return userResponse(user);
    },
  );

  app.post(
    '/email/verify/send',
    {
      config: limit,
      schema: {
        tags: ['accounts'],
        summary: 'Send the mail that verifies an address once more',
        description:
          'To the address of the body, if it has an account that is not verified; the answer does not tell. Without a body, ' +
          'to the own address of somebody who is signed in.',
        body: OptionalBody({
          email: Type.Optional(Text({ maxLength: 320, description: 'E-mail address' })),
        }),
        response: {
          202: VerificationSent,
          ...problemResponses(...WRITE_PROBLEMS, 'validation_failed', 'not_signed_in', 'not_found'),
        },
      },
    },
    async (request, reply) => {
      const { acceptLanguage } = visitorOf(request, reply, cookie);
      const email = request.body?.email;
      if (email !== undefined) await verification.ask(email, acceptLanguage);
      else {
        const session = await requireSession(request, reply, { sessions, cookie });
        await verification.sendOwn(session, acceptLanguage);
      }
      return reply.code(202).send({ status: 'verification_sent' as const });
    },
  );
};
