import { once } from 'node:events';
import type { Server } from 'node:http';
import { Server as TcpServer } from 'node:net';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import type { Config } from '../config/config.ts';

/** Nothing has arrived for this long: then the proxy in front has gone over to the other replicas. */
const QUIET_MS = 500;
/** How long to wait for that. A proxy that does not ask for the health of its servers never stops by itself. */
const ACCEPT_AT_MOST_MS = 5_000;
/** How long existing connections may go on, once there are no new ones. */
const LINGER_AT_MOST_MS = 2_000;
/** How long the last answers may take after that, and the closing of everything behind the server. */
const FINISH_AT_MOST_MS = 8_000;

/** All of it together. */
const DRAIN_AT_MOST_MS = ACCEPT_AT_MOST_MS + LINGER_AT_MOST_MS + FINISH_AT_MOST_MS;

/** How long the end of a process may take after a signal, in milliseconds. */
export function graceMsOf({ DRAIN_DELAY }: Pick<Config, 'DRAIN_DELAY'>): number {
  return DRAIN_DELAY + DRAIN_AT_MOST_MS;
}

/** A turn of the event loop that took longer had something to do; on a busy machine one may be as long as this all the same. */
const EMPTY_TURN_MS = { least: 0.05, most: 10 };
const FIND_EMPTY_TURN_IN_MS = 1_000;
const CLOSE_IDLE_EVERY_MS = 50;

/** When the last connection and the last request came, by `performance.now()`. */
export type Traffic = { connectedAt: number; requestedAt: number };

/**
 * Closes servers while a proxy still uses them, and fails none of its requests. What fails is a request that the proxy
 * has sent and the server has not read when it closes: the proxy sees a reset, and must not send a POST again. A connection
 * that is refused does no harm: no request was sent, so the proxy asks another server.
 *
 * So new connections are accepted until there are none any more; then the listening socket is closed alone, which shows
 * proxies without health checks that this server is gone; and idle connections are closed when they are no longer used.
 */
export async function drainServers(servers: Server[], traffic: Traffic): Promise<void> {
  await untilQuiet(() => traffic.connectedAt, ACCEPT_AT_MOST_MS);
  const { closed } = await stopAccepting(servers, traffic);
  const stoppedAt = performance.now();
  const isQuiet = untilQuiet(() => Math.max(traffic.requestedAt, stoppedAt), LINGER_AT_MOST_MS);
  await Promise.race([closed, isQuiet]);
  await endConnections(servers, traffic, closed);
}

/** Closes servers without waiting for a proxy. Requests that are being answered, and those that have arrived, are answered. */
export async function closeServers(servers: Server[], traffic: Traffic): Promise<void> {
  const { closed } = await stopAccepting(servers, traffic);
  await endConnections(servers, traffic, closed);
}

async function untilQuiet(lastAt: () => number, atMostMs: number): Promise<void> {
  const giveUpAt = performance.now() + atMostMs;
  const waitMs = () => Math.min(lastAt() + QUIET_MS, giveUpAt) - performance.now();
  for (let ms = waitMs(); ms > 0; ms = waitMs()) await delay(ms);
}

/** @returns what resolves when all connections are closed; in an object, or this would wait for it */
async function stopAccepting(servers: Server[], traffic: Traffic): Promise<{ closed: Promise<unknown> }> {
  const closed = Promise.all(servers.map((server) => once(server, 'close')));
  await rehearseClose();
  for (const server of servers) {
    await emptyTurn(traffic);
    // Not the method of an HTTP server, which closes idle connections as well.
    TcpServer.prototype.close.call(server);
  }
  return { closed };
}

/**
 * Closes a socket that nobody knows. Node compiles a function at its first call, and in the time that this takes, a connection
 * could arrive between the empty turn and the end of the socket that counts.
 */
async function rehearseClose(): Promise<void> {
  const server = new TcpServer().listen({ port: 0, host: '127.0.0.1', exclusive: true });
  await once(server, 'listening');
  const closed = once(server, 'close');
  TcpServer.prototype.close.call(server);
  await closed;
}

/**
 * Waits for a turn of the event loop in which nothing arrived. The kernel completes connections by itself, and resets those
 * that nobody has accepted when the listening socket is closed; Node accepts one of them in each turn. After an empty turn
 * there is none, and the time until the next could arrive is too short to matter.
 */
async function emptyTurn(traffic: Traffic): Promise<void> {
  const { least, most } = EMPTY_TURN_MS;
  const beganAt = performance.now();
  // From here on each turn is a whole one: from its end to the end of the next, it asks the kernel for what has arrived.
  await nextTurn();
  for (;;) {
    const before = lastArrival(traffic);
    const startedAt = performance.now();
    await nextTurn();
    const share = (startedAt - beganAt) / FIND_EMPTY_TURN_IN_MS;
    const isShort = performance.now() - startedAt < least + share * most;
    if ((isShort && lastArrival(traffic) === before) || share > 1) return;
  }
}

function lastArrival({ connectedAt, requestedAt }: Traffic): number {
  return Math.max(connectedAt, requestedAt);
}

/** Closes each connection as soon as it has no request. */
async function endConnections(servers: Server[], traffic: Traffic, closed: Promise<unknown>): Promise<void> {
  const closeIdle = () => {
    for (const server of servers) server.closeIdleConnections();
  };
  await emptyTurn(traffic);
  closeIdle();
  const timer = setInterval(closeIdle, CLOSE_IDLE_EVERY_MS);
  await closed.finally(() => clearInterval(timer));
}
