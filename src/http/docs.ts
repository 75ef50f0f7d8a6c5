import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { ICON, NAME } from './brand.ts';

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
      info: { title: NAME, version, description: 'A standalone, self-hosted auth server.' },
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

  // The folder of the page's files redirects with the whole query, in which a secret may have gone astray.
  app.addHook('onSend', (_request, reply, payload, done) => {
    const location = reply.getHeader('location');
    if (location !== undefined) reply.header('location', String(location).replace(/\?.*/, ''));
    done(null, payload);
  });
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => sendDocument(reply));
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    indexPrefix: new URL(publicUrl).pathname.replace(/\/$/, ''),
    staticCSP: POLICY,
    uiHooks: {
      preHandler: async ({ routeOptions }, reply) => {
        if (routeOptions.url?.endsWith('/docs/json')) await sendDocument(reply);
      },
    },
    // The other layout has a bar with Swagger's logo, whose inline style the policy forbids.
    uiConfig: { layout: 'BaseLayout' },
    theme: {
      title: `${NAME} API`,
      favicon: [{ ...PICTURE, filename: 'icon.svg', rel: 'icon', sizes: 'any' }],
    },
    logo: PICTURE,
  });
}

const PICTURE = { type: 'image/svg+xml', content: ICON };

/** Scripts and styles from this server only, none inline; the style sheet has pictures in it. Http is allowed, for a LAN. */
const POLICY = [
  ...[`default-src 'none'`, `script-src 'self'`, `style-src 'self'`, `connect-src 'self'`],
  ...[`img-src 'self' data:`, `base-uri 'none'`, `form-action 'none'`, `frame-ancestors 'none'`],
].join('; ');
