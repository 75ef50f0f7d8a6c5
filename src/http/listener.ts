import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { closeServers, drainServers, type Traffic } from './drain.ts';
import { refuseConnection } from './problem.ts';

/** A connection that takes no byte of an answer, and sends none of a request, is closed after this time. */
const STALLED_CONNECTION_MS = 30_000;
/** Time for a whole request, and for its headers, to arrive. */
const REQUEST_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 5_000;
/** Longer than proxies keep an idle connection, which is a minute mostly: who closes it first fails no request. */
const KEEP_ALIVE_MS = 72_000;

/** The sockets of the server. Who answers on them may change, and no connection is refused or reset by that. */
export type Listener = {
  /** Where it listens. */
  url: string;
  /** From now on requests go to `handler`, also those on connections that exist already. */
  answerWith(handler: RequestListener): void;
  /** Closes it without failing a request of a proxy. Resolves when the last connection is closed. */
  drain(): Promise<void>;
  /** The same without waiting for a proxy to go away. */
  close(): Promise<void>;
};

/**
 * Listens. `localhost` means all addresses of that name, on one port.
 * @param handler answers until `answerWith` names another one
 * @throws Error of the system call `listen` or `getaddrinfo`, such as EADDRINUSE
 */
export async function openListener(host: string, port: number, handler: RequestListener): Promise<Listener> {
  let answer = handler;
  const traffic: Traffic = { connectedAt: 0, requestedAt: 0 };
  const servers: Server[] = [];

  const [first = host, ...others] = host === 'localhost' ? await addressesOf(host) : [host];
  const bound = await listenAt(first, port);
  // A name may stand for an address that this machine does not have.
  await Promise.allSettled(others.map((other) => listenAt(other, bound.port)));

  return {
    url: `http://${isIPv6(bound.address) ? `[${bound.address}]` : bound.address}:${bound.port}`,
    answerWith: (next) => {
      answer = next;
    },
    drain: () => drainServers(servers, traffic),
    close: () => closeServers(servers, traffic),
  };

  async function listenAt(address: string, atPort: number): Promise<AddressInfo> {
    const server = createLimitedServer((request, response) => {
      traffic.requestedAt = performance.now();
      answer(request, response);
    });
    server.on('connection', () => {
      traffic.connectedAt = performance.now();
    });
    server.listen(atPort, address);
    await once(server, 'listening');
    servers.push(server);
    return server.address() as AddressInfo;
  }
}

async function addressesOf(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

function createLimitedServer(handler: RequestListener): Server {
  const server = createServer(
    {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: HEADERS_TIMEOUT_MS / 2,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    handler,
  );
  server.setTimeout(STALLED_CONNECTION_MS);
  return server.on('clientError', refuseConnection);
}
