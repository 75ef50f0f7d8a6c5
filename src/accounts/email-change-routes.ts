import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig } from 'fastify';
import Type from 'typebox';
import { problemResponses, WRITE_PROBLEMS } from '../http/problem.ts';
import { Body, Text } from '../http/schemas.ts';
import { type Authenticate, signedIn } from '../sessions/authenticate.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { EmailChangeService } from './email-change-service.ts';
import { PRESENTED_CODE_FIELDS, readPresentedCode } from './presented-code.ts';
import { UserResponse, userResponse } from './user-response.ts';
import { visitorOf } from './visitor.ts';

const Asked = Type.Object({
  status: Type.Literal('mail_sent_if_free', {
    description: 'A code is on its way, unless another account has the address',
  }),
});

const Undone = Type.Object({ status: Type.Literal('undone') });

type EmailChangeRoutesOptions = {
  emailChange: EmailChangeService;
  rules: CredentialRules;
  authenticate: Authenticate;
  cookie: SessionCookie;
  /** Rate limit of the routes that take a password or a code. */
  limit: FastifyContextConfig;
};

/** The change of an account's address, and its undoing. */
export const emailChangeRoutes: FastifyPluginAsyncTypebox<EmailChangeRoutesOptions> = async (
  app,
  { emailChange, rules, authenticate, cookie, limit },
) => {
  app.post(
    '/email/change',
    {
      config: limit,
      preHandler: authenticate,
      schema: {
        tags: ['accounts'],
        summary: 'Ask for another e-mail address: a code is sent to it',
        description: 'Needs the password, or a session that signed in within the last ten minutes.',
        security: [{ session: [] }],
        body: Body({
          email: Text({ maxLength: 320, description: 'The new address' }),
          password: Type.Optional(Text({ description: 'The current one' })),
        }),
        response: {
          202: Asked,
          ...problemResponses(
            ...WRITE_PROBLEMS,
            ...(['validation_failed', 'not_signed_in', 'invalid_credentials', 'not_found'] as const),
            'reauthentication_required',
          ),
        },
      },
    },
    async (request, reply) => {
      await emailChange.ask(signedIn(request), request.body, visitorOf(request, reply, cookie));
      return reply.code(202).send({ status: 'mail_sent_if_free' });
    },
  );

  app.post(
    '/email/change/confirm',
    {
      config: limit,
      preHandler: authenticate,
      schema: {
        tags: ['accounts'],
        summary: 'Show that the new address is yours, with the code that was sent to it',
        description:
          'All other sessions end. The former address gets a mail that can undo this for seven days.',
        security: [{ session: [] }],
        body: Body({
          code: Text({ maxLength: 64, description: 'Of the link in the mail, or the one for typing' }),
        }),
        response: {
          200: UserResponse,
          ...problemResponses(...WRITE_PROBLEMS, 'invalid_code', 'not_signed_in', 'not_found'),
        },
      },
    },
    async (request, reply) =>
      userResponse(
        await emailChange.confirm(signedIn(request), request.body.code, visitorOf(request, reply, cookie)),
      ),
  );

  app.post(
    '/email/change/undo',
    {
      config: limit,
      schema: {
        tags: ['accounts'],
        summary: 'Bring the former e-mail address back, with the code that was sent to it',
        description:
          'All sessions end, the password is dropped, and a code to set a new one goes to the former address.',
        body: Body(PRESENTED_CODE_FIELDS),
        response: {
          200: Undone,
          ...problemResponses(
            ...WRITE_PROBLEMS,
            'validation_failed',
            'invalid_code',
            'not_found',
            'email_taken',
          ),
        },
      },
    },
    async (request, reply) => {
      await emailChange.undo(readPresentedCode(request.body, rules), visitorOf(request, reply, cookie));
      return { status: 'undone' as const };
    },
  );
};
