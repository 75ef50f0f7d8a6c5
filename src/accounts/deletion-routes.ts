import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig, FastifyReply } from 'fastify';
import Type from 'typebox';
import { validationFailed } from '../core/errors.ts';
import { problemResponses, WRITE_PROBLEMS } from '../http/problem.ts';
import { Instant, OptionalBody, Text } from '../http/schemas.ts';
import { type Authenticate, signedIn } from '../sessions/authenticate.ts';
import { deviceOf } from '../sessions/device.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { DeletionService } from './deletion-service.ts';
import { PRESENTED_CODE_FIELDS, readPresentedCode } from './presented-code.ts';

const { code, email } = PRESENTED_CODE_FIELDS;
const UndoBody = OptionalBody({ code: Type.Optional(code), email });
const DeleteBody = OptionalBody({
  password: Type.Optional(Text({ description: 'Needed when the sign-in was more than ten minutes ago' })),
});

type DeletionRoutesOptions = {
  deletions: DeletionService;
  rules: CredentialRules;
  authenticate: Authenticate;
  cookie: SessionCookie;
  /** Rate limit of the routes that take a password or a code. */
  limit: FastifyContextConfig;
};

/** The end of an account, and the way back. */
export const deletionRoutes: FastifyPluginAsyncTypebox<DeletionRoutesOptions> = async (
  app,
  { deletions, rules, authenticate, cookie, limit },
) => {
  app.delete(
    '/me',
    {
      config: limit,
      preHandler: authenticate,
      schema: {
        tags: ['accounts'],
        summary: 'Delete the account',
        security: [{ session: [] }],
        body: DeleteBody,
        response: {
          202: Type.Object({ deletion_due_at: Instant('Until then it can be undone') }),
          204: Type.Null({ description: 'Deleted' }),
          ...problemResponses(
            ...WRITE_PROBLEMS,
            'validation_failed',
            'not_signed_in',
            'invalid_credentials',
            'reauthentication_required',
          ),
        },
      },
    },
    async (request, reply) => {
      const { password } = request.body ?? {};
      const dueAt = await deletions.delete(signedIn(request), password, deviceOf(request));
      signOut(reply);
      if (dueAt === null) return reply.code(204).send(null);
      return reply.code(202).send({ deletion_due_at: dueAt.toISOString() });
    },
  );

  app.post(
    '/me/undo-deletion',
    {
      config: limit,
      // A code is enough; without one, it must be the user.
      preHandler: async (request, reply) => {
        const { code, email } = request.body ?? {};
        if (code !== undefined) return;
        if (email !== undefined) throw validationFailed([{ path: '/code', message: 'is required' }]);
        await authenticate.call(app, request, reply);
      },
      schema: {
        tags: ['accounts'],
        summary: 'Keep an account that was to be deleted, by the code of the mail or after signing in',
        security: [{}, { session: [] }],
        body: UndoBody,
        response: {
          200: Type.Object({ status: Type.Literal('undone') }),
          ...problemResponses(...WRITE_PROBLEMS, 'validation_failed', 'invalid_code', 'not_signed_in'),
        },
      },
    },
    async (request) => {
      const { code, email } = request.body ?? {};
      const device = deviceOf(request);
      if (code === undefined) await deletions.undoOwn(signedIn(request), device);
      else
        await deletions.undoByCode(
          readPresentedCode({ code, ...(email !== undefined && { email }) }, rules),
          device,
        );
      return { status: 'undone' as const };
    },
  );

  /** As at sign-out: the reasons are there. */
  function signOut(reply: FastifyReply): void {
    cookie.clear(reply);
    reply.header('clear-site-data', '"storage"');
  }
};
