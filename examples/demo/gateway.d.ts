import type { FastifyInstance } from 'fastify';

export function createGateway(
  upstreams: { doorward: string; shop: string; payments: string },
  folders: { page: string; browser: string },
): FastifyInstance;
