import type { FastifyInstance } from 'fastify';
import { channels } from '../core/channels.ts';

/** Publishes each answered request. The route is its pattern, never the URL, which a client may fill with anything. */
export function addRequestFacts(app: FastifyInstance): void {
  app.addHook('onResponse', (request, reply, done) => {
    if (channels.request.hasSubscribers) {
      const { method, routeOptions, traceId } = request;
      const { statusCode: status, elapsedTime: durationMs } = reply;
      channels.request.publish({ method, route: routeOptions.url, status, durationMs, traceId });
    }
    done();
  });
}
