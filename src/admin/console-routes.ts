import type { FastifyPluginAsync } from 'fastify';
import { AppError } from '../core/errors.ts';
import { sendTextFile } from '../http/text-file.ts';
import { type ConsoleFiles, readConsole } from './open-console.ts';

type ConsoleOptions = {
  /** The page finds the server under its path, whether or not a gateway strips that. The console's tokens are for it. */
  publicUrl: string;
  /** The colours of the pages, and what the operator adds to the style sheet. */
  palette: string;
  theme: string;
};

/** Hidden, since the OpenAPI document describes what programs call. */
const schema = { hide: true };

/**
 * The console: a page that signs in like any other page, and calls the admin API alone. Registered with the prefix `/admin/ui`.
 */
export const consoleRoutes: FastifyPluginAsync<ConsoleOptions> = async (app, options) => {
  // Read when it is first asked for, so that a start does not wait for what few people open.
  let files: ConsoleFiles | undefined;
  for (const path of ['/', '/*'])
    app.get<{ Params: { '*'?: string } }>(path, { schema }, async (request, reply) => {
      files ??= readConsole(options);
      const file = files.get(request.params['*'] || 'index.html');
      if (file === undefined) throw new AppError('not_found');
      return sendTextFile(request, reply.header('content-security-policy', POLICY), file);
    });
};

/** Nothing inline, and nothing from elsewhere. */
const POLICY = [
  ...[`default-src 'none'`, `script-src 'self'`, `style-src 'self'`, `connect-src 'self'`],
  ...[`img-src 'self' data:`, `form-action 'self'`, `base-uri 'none'`, `frame-ancestors 'none'`],
].join('; ');
