import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export type Balancer = { url: string; close(): Promise<void> };

const CHECK_EVERY_MS = 250;
/** A server that does not answer by then is down: a frozen one still takes connections. */
const ANSWERS_WITHIN_MS = 1_000;

/**
 * A load balancer: new connections go to the servers in turn that were ready when last asked. Connections that exist stay,
 * even if their server freezes, as most balancers have it.
 * @param listServers their URLs at this moment
 */
export async function createBalancer(listServers: () => string[]): Promise<Balancer> {
  const down = new Set<string>();
  const sockets = new Set<Socket>();
  const closing = new AbortController();
  let turn = 0;

  const server = createServer((client) => {
    keep(client);
    pass(client, candidates());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP address');
  const checking = checkAll();

  return {
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      closing.abort();
      for (const socket of sockets) socket.destroy();
      server.close();
      await checking;
    },
  };

  /** The next one first; those that are down last, since all may be. */
  function candidates(): string[] {
    turn += 1;
    const servers = listServers();
    const inTurn = servers.map((_, at) => servers[(at + turn) % servers.length] ?? '');
    return inTurn.toSorted((a, b) => Number(down.has(a)) - Number(down.has(b)));
  }

  /** Tries one after the other until one takes the connection. */
  function pass(client: Socket, [url, ...others]: string[]): void {
    if (url === undefined || client.destroyed) return void client.destroy();
    const { hostname, port } = new URL(url);
    const upstream = keep(connect(Number(port), hostname));
    const onRefused = () => pass(client, others);
    upstream.once('error', onRefused);
    upstream.once('connect', () => {
      upstream.off('error', onRefused);
      client.pipe(upstream).pipe(client);
      client.once('close', () => upstream.destroy());
      upstream.once('close', () => client.destroy());
    });
  }

  function keep(socket: Socket): Socket {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    return socket;
  }

  async function checkAll(): Promise<void> {
    while (!closing.signal.aborted) {
      await Promise.all(listServers().map(check));
      await delay(CHECK_EVERY_MS, undefined, { signal: closing.signal }).catch(() => {});
    }
  }

  async function check(url: string): Promise<void> {
    const isUp = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) })
      .then(async (response) => (await response.text()) !== '' && response.ok)
      .catch(() => false);
    if (isUp) down.delete(url);
    else down.add(url);
  }
}
