import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { openListener } from '../../src/http/listener.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** Puts an app on sockets, as the server does. @returns the port */
export async function listen(t: Teardown, app: FastifyInstance, host = '127.0.0.1'): Promise<number> {
  await app.ready();
  const listener = await openListener(host, 0, app.routing);
  // It ends with its last connection, which may be one that the test still has.
  t.teardown(() => void listener.close());
  return Number(new URL(listener.url).port);
}

/** The server behind a port of this process. */
export async function serverAt(port: number): Promise<Server> {
  const { promise, resolve } = Promise.withResolvers<Server>();
  const note = (message: unknown) => {
    const { server, socket } = message as { server: Server; socket: { localPort?: number } };
    if (socket.localPort === port) resolve(server);
  };
  subscribe('http.server.request.start', note);
  try {
    await fetch(`http://127.0.0.1:${port}/health/live`);
    return await promise;
  } finally {
    unsubscribe('http.server.request.start', note);
  }
}
