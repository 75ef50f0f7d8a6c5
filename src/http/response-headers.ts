import { ifError } from 'node:assert';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import helmet from 'helmet';

/**
 * Adds helmet's headers, the request's id and `Cache-Control: no-store` to every answer, errors included. A route may
 * override each of them.
 *
 * Helmet's headers never change, so it runs once. (@fastify/helmet runs it for each request and sets each header on
 * Node's response, and Node merges them with Fastify's one by one: together a tenth of `/token`.)
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
    // One service cannot promise that the other hosts of its domain use https.
    strictTransportSecurity: { includeSubDomains: false },
    xFrameOptions: { action: 'deny' },
  });
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  addHeaders(request, response, ifError);
  return response.getHeaders() as Record<string, string>;
}
