import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig, FastifyReply } from 'fastify';
import Type, { type Static } from 'typebox';
import { problemResponses, WRITE_PROBLEMS } from '../http/problem.ts';
import { Body, Text } from '../http/schemas.ts';
import { type Authenticate, signedIn } from '../sessions/authenticate.ts';
import { deviceOf } from '../sessions/device.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { PasswordService, SignedInAnew } from './password-service.ts';
import { PRESENTED_CODE_FIELDS, readPresentedCode } from './presented-code.ts';
import { signInto } from './sign-into.ts';
import { UserResponse, userResponse } from './user-response.ts';
import { visitorOf } from './visitor.ts';

const NewPassword = () => Text({ description: 'The new one. Counted in code points, never cut' });

const MailSent = Type.Object({
  status: Type.Literal('mail_sent_if_known', {
    description: 'A code is on its way, if there is an account with this address',
  }),
});

type PasswordRoutesOptions = {
  passwords: PasswordService;
  rules: CredentialRules;
  authenticate: Authenticate;
  cookie: SessionCookie;
  /** Rate limit of the routes that take a password or a code. */
  limit: FastifyContextConfig;
};

/** Forgotten passwords, new passwords, and the answer to a sign-in that was somebody else's. */
export const passwordRoutes: FastifyPluginAsyncTypebox<PasswordRoutesOptions> = async (
  app,
  { passwords, rules, authenticate, cookie, limit },
) => {
  app.post(
    '/password/forgot',
    {
      config: limit,
      schema: {
        tags: ['accounts'],
        summary: 'Ask for a code to set a new password',
        description: 'The answer is the same, and takes as long, whether or not there is such an account.',
        body: Body({ email: Text({ maxLength: 320, description: 'E-mail address' }) }),
        response: {
          202: MailSent,
          ...problemResponses(...WRITE_PROBLEMS, 'validation_failed', 'not_found'),
        },
      },
    },
    async (request, reply) => {
      const { acceptLanguage } = visitorOf(request, reply, cookie);
      await passwords.forgot(request.body.email, acceptLanguage);
      return reply.code(202).send({ status: 'mail_sent_if_known' });
    },
  );

  app.post(
    '/password/reset',
    {
      config: limit,
      schema: {
        tags: ['accounts'],
        summary: 'Set a new password with the code of a mail, and sign in',
        description:
          'Every session ends, a fresh one starts, and the owner is told by mail. The address is verified by that.',
        body: Body({ ...PRESENTED_CODE_FIELDS, password: NewPassword() }),
        response: {
          200: UserResponse,
          ...problemResponses(...WRITE_PROBLEMS, 'validation_failed', 'invalid_code'),
        },
      },
    },
    async (request, reply) => {
      const { password, ...code } = request.body;
      const wish = { presented: readPresentedCode(code, rules), password };
      return answer(reply, await passwords.reset(wish, visitorOf(request, reply, cookie)));
    },
  );

  app.post(
    '/password/change',
    {
      config: limit,
      preHandler: authenticate,
      schema: {
        tags: ['accounts'],
        summary: 'Set another password',
        description:
          'Needs the current password, or a session that signed in within the last ten minutes. Every other session ends, this one is replaced by a fresh one, and the owner is told by mail.',
        security: [{ session: [] }],
        body: Body({
          current_password: Type.Optional(Text({ description: 'The one until now' })),
          new_password: NewPassword(),
        }),
        response: {
          200: UserResponse,
          ...problemResponses(
            ...WRITE_PROBLEMS,
            ...(['validation_failed', 'not_signed_in', 'invalid_credentials'] as const),
            'reauthentication_required',
          ),
        },
      },
    },
    async (request, reply) => {
      const { current_password: currentPassword, new_password: newPassword } = request.body;
      const change = { currentPassword, newPassword };
      const visitor = visitorOf(request, reply, cookie);
      return answer(reply, await passwords.change(signedIn(request), change, visitor));
    },
  );

  app.post(
    '/sessions/disown',
    {
      config: limit,
      schema: {
        tags: ['sessions'],
        summary: 'End the session that a mail told of: it was not you',
        description: 'The code stays good, so that a new password can be set with it next.',
        body: Body(PRESENTED_CODE_FIELDS),
        response: {
          204: Type.Null({ description: 'Done' }),
          ...problemResponses(...WRITE_PROBLEMS, 'validation_failed', 'invalid_code'),
        },
      },
    },
    async (request, reply) => {
      await passwords.disown(readPresentedCode(request.body, rules), deviceOf(request));
      return reply.code(204).send(null);
    },
  );

  function answer(reply: FastifyReply, signedIn: SignedInAnew): Static<typeof UserResponse> {
    signInto(reply, cookie, signedIn);
    return userResponse(signedIn.user);
  }
};
