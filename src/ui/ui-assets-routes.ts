import { hash } from 'node:crypto';
import type { FastifyPluginAsync } from 'fastify';
import { ICON } from '../http/brand.ts';

type UiAssetsOptions = { stylesheet: string; script: string };

/**
 * What the pages load. Under names that stay: while a new version is rolled out, the page and its files come from different
 * replicas. Browsers ask again each time, and get the file if it has changed.
 */
export const uiAssetsRoutes: FastifyPluginAsync<UiAssetsOptions> = async (app, { stylesheet, script }) => {
  const files = [
    { name: 'page.css', type: 'text/css; charset=utf-8', text: stylesheet },
    { name: 'page.js', type: 'text/javascript; charset=utf-8', text: script },
    { name: 'icon.svg', type: 'image/svg+xml', text: ICON },
  ];
  for (const { name, type, text } of files) {
    const bytes = Buffer.from(text);
    const etag = `"${hash('sha256', text, 'base64url').slice(0, 22)}"`;
    app.get(`/${name}`, { schema: { hide: true } }, async (request, reply) => {
      reply.headers({ etag, 'cache-control': 'public, no-cache' });
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      return reply.type(type).send(bytes);
    });
  }
};
