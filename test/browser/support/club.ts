import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { createGateway } from '../../../examples/demo/gateway.js';
import { freePort } from '../../support/free-port.ts';
import { openWorld } from '../../support/gateway-world.ts';
import { type ServerProcess, startServer } from '../../support/processes.ts';
import { takeChildrenAlong } from '../../support/servers.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** The whole club: Doorward, the shop, payments, and the gateway of `npm run demo` in front of them. */
export type Club = {
  /** The URL for the browser, without a slash at its end. */
  origin: string;
  server(): ServerProcess;
  /** Starts Doorward again, on the same port and the same data. */
  restart(): Promise<void>;
};

/** Starts everything; it is stopped when the test ends. @param wishes more settings of Doorward */
export async function openClub(t: Teardown, wishes: Record<string, string> = {}): Promise<Club> {
  takeChildrenAlong();
  // Chosen before the start, because the services and the gateway get Doorward's URL only once.
  const world = await openWorld(t, { ...wishes, PORT: String(await freePort()) });
  const { doorward, shop, payments } = world.addresses;
  const gateway = createGateway(
    { doorward: `http://${doorward}`, shop: `http://${shop}`, payments: `http://${payments}` },
    { page: 'examples/club', browser: 'packages/browser/dist' },
  );
  t.teardown(() => gateway.close());
  await gateway.listen({ port: world.gatewayPort, host: 'localhost' });
  let server = world.doorward;
  return {
    origin: world.origin,
    server: () => server,
    restart: async () => {
      server = await startServer(t, world.settings);
    },
  };
}

export function portOf(app: FastifyInstance): number {
  const [address] = app.addresses() as AddressInfo[];
  if (address === undefined) throw new Error('not listening');
  return address.port;
}
