import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig } from 'fastify';
import Type from 'typebox';
import { problemResponses, READ_PROBLEMS } from '../http/problem.ts';
import { Instant } from '../http/schemas.ts';
import { type Authenticate, signedIn } from '../sessions/authenticate.ts';
import { deviceOf } from '../sessions/device.ts';
import type { ExportService } from './export-service.ts';

const Row = Type.Object({}, { additionalProperties: true });

/** For the documentation: the answer is written piece by piece, and not by this schema. */
const ExportDocument = Type.Object({
  schema_version: Type.Literal(1),
  exported_at: Instant(),
  left_out: Type.Array(Type.String(), { description: 'What is stored and not in here, and why' }),
  user: Row,
  sessions: Type.Array(Row),
  codes: Type.Array(Row),
  audit_events: Type.Array(Row),
});

type ExportRoutesOptions = {
  exports: ExportService;
  authenticate: Authenticate;
  /** Rate limit of costly calls. */
  limit: FastifyContextConfig;
};

/** All that is held on the user. */
export const exportRoutes: FastifyPluginAsyncTypebox<ExportRoutesOptions> = async (
  app,
  { exports, authenticate, limit },
) => {
  app.get(
    '/me/export',
    {
      config: limit,
      preHandler: authenticate,
      exposeHeadRoute: false,
      schema: {
        tags: ['accounts'],
        summary: 'All that is held on the user',
        security: [{ session: [] }],
        response: { 200: ExportDocument, ...problemResponses(...READ_PROBLEMS, 'not_signed_in') },
      },
    },
    async (request, reply) => {
      const pieces = await exports.export(signedIn(request), deviceOf(request));
      return reply
        .type('application/json; charset=utf-8')
        .header('content-disposition', 'attachment; filename="account.json"')
        .send(Readable.from(pieces) as never);
    },
  );
};
