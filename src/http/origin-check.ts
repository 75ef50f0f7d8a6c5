import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../core/errors.ts';

/** In a route's `config`: the route checks the origin itself, because it decides about another request. */
export const CHECKS_ORIGIN_ITSELF = 'checksOriginItself';

declare module 'fastify' {
  interface FastifyContextConfig {
    [CHECKS_ORIGIN_ITSELF]?: boolean;
  }
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Refuses requests that a page of another site makes a browser send: the browser adds the cookie by itself.
 *
 * A request that can change something needs an allowed `Origin`, or `Sec-Fetch-Site: same-origin`. Without an `Origin`,
 * `same-site` is enough, and so is having neither header: then the client is no browser.
 */
export function addOriginCheck(app: FastifyInstance, allowedOrigins: string[]): void {
  const allowed = new Set(allowedOrigins);
  app.addHook('onRequest', (request, _reply, done) => {
    done(mayPass(request, allowed) ? undefined : new AppError('origin_not_allowed'));
  });
}

function mayPass(request: FastifyRequest, allowed: ReadonlySet<string>): boolean {
  if (SAFE_METHODS.has(request.method) || isOwnPage(request, allowed)) return true;
  // Last, because Fastify creates `routeOptions` anew at each access.
  return request.routeOptions.config[CHECKS_ORIGIN_ITSELF] === true;
}

/** Whether a request with the cookie may come from a page that the user trusts with it. */
export function isOwnPage({ headers }: FastifyRequest, allowed: ReadonlySet<string>): boolean {
  const { origin } = headers;
  const site = headers['sec-fetch-site'];
  if (origin !== undefined) return allowed.has(origin) || site === 'same-origin';
  return site === undefined || site === 'same-origin' || site === 'same-site';
}
