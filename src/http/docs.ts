import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifyReply } from 'fastify';

type DocsOptions = {
  publicUrl: string;
  /** Path prefix of the routes; clients see `publicUrl` instead. */
  prefix: string;
  cookieName: string;
  version: string;
};

/** Describes the routes registered after it; call it before them. */
export async function addOpenApi(
  app: FastifyInstance,
  { publicUrl, prefix, cookieName, version }: DocsOptions,
): Promise<void> {
  await app.register(swagger, {
    // This option would cut off the path of `publicUrl`, even in the middle of a word.
    stripBasePath: false,
    transform: ({ schema, url }) => ({ schema, url: url.slice(prefix.length) }),
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Doorward', version, description: 'A standalone, self-hosted auth server.' },
      servers: [{ url: publicUrl }],
      components: {
        securitySchemes: {
          session: { type: 'apiKey', in: 'cookie', name: cookieName },
          accessToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
          client: { type: 'http', scheme: 'basic', description: 'A service client; RFC 6749 §2.3.1' },
        },
      },
    },
  });
}

/**
 * `/openapi.json` and a page to read it on.
 * @param publicUrl clients find the page's files below its path, whether or not a gateway strips that
 */
export async function docsRoutes(app: FastifyInstance, { publicUrl }: { publicUrl: string }): Promise<void> {
  let document: Buffer | undefined;
  const sendDocument = (reply: FastifyReply): FastifyReply => {
    // Written once for all answers: as texts of their own, the unread ones would fill the memory.
    document ??= Buffer.from(JSON.stringify(app.swagger()));
    return reply.type('application/json; charset=utf-8').send(document);
  };

  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => sendDocument(reply));
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    indexPrefix: new URL(publicUrl).pathname.replace(/\/$/, ''),
    staticCSP: true,
    uiHooks: {
      preHandler: async ({ routeOptions }, reply) => {
        if (routeOptions.url?.endsWith('/docs/json')) await sendDocument(reply);
      },
    },
    // On a LAN the page comes over http, and so must its files.
    transformStaticCSP: (policy) => policy.replace('upgrade-insecure-requests;', ''),
  });
}
