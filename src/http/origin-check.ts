import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../core/errors.ts';

/** In a route's `config`: it looks at the origin of another request than the one at hand. */
export const MINDS_ORIGIN_ITSELF = 'mindsOriginItself';

declare module 'fastify' {
  interface FastifyContextConfig {
    [MINDS_ORIGIN_ITSELF]?: boolean;
  }
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Refuses requests that another site's page makes a browser send: the cookie goes along with those by itself.
 *
 * A request that can change something needs an allowed Origin; or the browser's word that the page is the same
 * origin's; or, where there is no Origin, the same site's; or neither header, which no browser sends.
 */
export function addOriginCheck(app: FastifyInstance, allowedOrigins: string[]): void {
  const allowed = new Set(allowedOrigins);
  app.addHook('onRequest', (request, _reply, done) => {
    done(mayPass(request, allowed) ? undefined : new AppError('origin_not_allowed'));
  });
}

function mayPass(request: FastifyRequest, allowed: ReadonlySet<string>): boolean {
  if (SAFE_METHODS.has(request.method) || isOwnPage(request, allowed)) return true;
  // Last, for Fastify makes `routeOptions` anew each time it is asked for them.
  return request.routeOptions.config[MINDS_ORIGIN_ITSELF] === true;
}

/** Whether a request that carries the cookie may have been meant by the user. */
export function isOwnPage({ headers }: FastifyRequest, allowed: ReadonlySet<string>): boolean {
  const { origin } = headers;
  const site = headers['sec-fetch-site'];
  if (origin !== undefined) return allowed.has(origin) || site === 'same-origin';
  return site === undefined || site === 'same-origin' || site === 'same-site';
}
