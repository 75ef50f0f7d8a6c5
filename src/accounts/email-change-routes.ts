import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { problemResponses, WRITE_PROBLEMS } from '../http/problem.ts';
import { Body, Text } from '../http/schemas.ts';
import { type Authenticate, signedIn } from '../sessions/authenticate.ts';
import { deviceOf } from '../sessions/device.ts';
import type { Asker, EmailChangeService } from './email-change-service.ts';
import { UserResponse, userResponse } from './user-response.ts';

const MAX_LANGUAGE_LENGTH = 200;

const Email = (description: string) => Text({ maxLength: 320, description });
const Code = () => Text({ maxLength: 64, description: 'Of the link in the mail, or the one for typing' });

const Asked = Type.Object({
  status: Type.Literal('mail_sent_if_free', {
    description: 'A code is on its way, unless another account has the address',
  }),
});

const Undone = Type.Object({ status: Type.Literal('undone') });

type EmailChangeRoutesOptions = {
  emailChange: EmailChangeService;
  authenticate: Authenticate;
  /** Rate limit of the routes that take a password or a code. */
  limit: FastifyContextConfig;
};

/** The change of an account's address, and its undoing. */
export const emailChangeRoutes: FastifyPluginAsyncTypebox<EmailChangeRoutesOptions> = async (
  app,
  { emailChange, authenticate, limit },
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
          email: Email('The new address'),
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
      await emailChange.ask(signedIn(request), request.body, askerOf(request));
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
        body: Body({ code: Code() }),
        response: {
          200: UserResponse,
          ...problemResponses(...WRITE_PROBLEMS, 'invalid_code', 'not_signed_in', 'not_found'),
        },
      },
    },
    async (request) =>
      userResponse(await emailChange.confirm(signedIn(request), request.body.code, askerOf(request))),
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
        body: Body({
          code: Code(),
          email: Type.Optional(Email('The former address, with a code for typing')),
        }),
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
    async (request) => {
      await emailChange.undo(request.body, askerOf(request));
      return { status: 'undone' as const };
    },
  );
};

function askerOf(request: FastifyRequest): Asker {
  const language = request.headers['accept-language']?.slice(0, MAX_LANGUAGE_LENGTH) ?? null;
  return { device: deviceOf(request), language };
}
