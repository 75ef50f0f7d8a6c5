import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance, RouteOptions } from 'fastify';
import { buildEmbedded } from '../helper.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** `path` has the names of its parameters: `/sessions/:id`. `hidden`: not in the OpenAPI document. */
export type Route = { methods: string[]; path: string; hidden: boolean };

/** Every route of the server, as Fastify itself is told of it. */
export async function listRoutes(t: Teardown): Promise<Route[]> {
  const routes: Route[] = [];
  const watch = (message: unknown) => {
    (message as { fastify: FastifyInstance }).fastify.addHook(
      'onRoute',
      (route) => void routes.push(read(route)),
    );
  };
  subscribe('fastify.initialization', watch);
  try {
    const { app } = await buildEmbedded(t);
    await app.ready();
  } finally {
    unsubscribe('fastify.initialization', watch);
  }
  return routes;
}

/** Routes that a client may find in the documentation. Each must be used as it is meant to be used. */
export function documented(routes: Route[]): Route[] {
  return routes.filter(({ hidden, path }) => !hidden && !path.startsWith('/docs'));
}

/** Such as `POST /token`. */
export function usesOf(routes: Route[]): string[] {
  return documented(routes).flatMap(({ methods, path }) =>
    methods.filter((method) => method !== 'HEAD').map((method) => `${method} ${path}`),
  );
}

function read({ method, url, schema }: RouteOptions): Route {
  const hidden = (schema as { hide?: boolean } | undefined)?.hide === true;
  return { methods: [method].flat(), path: url, hidden };
}
