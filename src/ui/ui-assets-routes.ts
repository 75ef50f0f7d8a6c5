import type { FastifyPluginAsync } from 'fastify';
import { ICON } from '../http/brand.ts';
import { sendTextFile, toTextFile } from '../http/text-file.ts';

type UiAssetsOptions = { stylesheet: string; script: string };

/** What the pages load. */
export const uiAssetsRoutes: FastifyPluginAsync<UiAssetsOptions> = async (app, { stylesheet, script }) => {
  const files = [
    { name: 'page.css', type: 'text/css; charset=utf-8', text: stylesheet },
    { name: 'page.js', type: 'text/javascript; charset=utf-8', text: script },
    { name: 'icon.svg', type: 'image/svg+xml', text: ICON },
  ];
  for (const { name, type, text } of files) {
    const file = toTextFile(type, text);
    app.get(`/${name}`, { schema: { hide: true } }, async (request, reply) =>
      sendTextFile(request, reply, file),
    );
  }
};
