import { ifError } from 'node:assert';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import helmet from 'helmet';

/**
 * Adds helmet's headers to every answer, errors included, with the request's id and word that nothing is to be kept. A
 * route may set one of its own in place of any.
 *
 * They are the same for all, so helmet is asked once. (@fastify/helmet asks it for each request anew, and sets each
 * header on Node's response, which makes Node merge them with Fastify's one by one: together a tenth of `/token`.)
 */
export function addResponseHeaders(app: FastifyInstance): void {
  const headers = { 'cache-control': 'no-store', ...helmetHeaders() };
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers).header('x-request-id', request.id);
    done();
  });
}

function helmetHeaders(): Record<string, string> {
  const addHeaders = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    // Whether the domain's other hosts speak https is not for one service to promise.
    strictTransportSecurity: { includeSubDomains: false },
    xFrameOptions: { action: 'deny' },
  });
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  addHeaders(request, response, ifError);
  return response.getHeaders() as Record<string, string>;
}
