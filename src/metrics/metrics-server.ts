import { once } from 'node:events';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Exposition, expose } from './exposition.ts';
import type { Snapshot } from './open-metrics.ts';

export type MetricsServer = {
  url: string;
  /** Lets scrapes under way end, for a second at most. */
  close(): Promise<void>;
};

type Place = { host: string; port: number };

const PATH = '/metrics';
/** A few scrapers; each keeps a connection. */
const MAX_CONNECTIONS = 50;
const MAX_HEADER_BYTES = 8 * 1024;
const REQUEST_TIMEOUT_MS = 5_000;
/** A connection on which nothing moves. Longer than most scrapers wait from one scrape to the next. */
const IDLE_TIMEOUT_MS = 65_000;
const CLOSE_WITHIN_MS = 1_000;

/**
 * Serves the metrics on a port of their own: this path alone, and only to read.
 * @param read the metrics of each process
 * @throws the error of `listen`, such as EADDRINUSE
 */
export async function serveMetrics(
  { host, port }: Place,
  read: () => Promise<Snapshot[]>,
): Promise<MetricsServer> {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: IDLE_TIMEOUT_MS,
    },
    answerWith(shared(read)),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(IDLE_TIMEOUT_MS);
  server.listen(port, host);
  await once(server, 'listening');
  const { address, family, port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}${PATH}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      const timer = setTimeout(() => server.closeAllConnections(), CLOSE_WITHIN_MS);
      await closed;
      clearTimeout(timer);
    },
  };
}

function answerWith(read: () => Promise<Snapshot[]>): RequestListener {
  return (request, response) => {
    if (request.url?.split('?')[0] !== PATH) return refuse(response, 404);
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return refuse(response.setHeader('allow', 'GET, HEAD'), 405);
    void read()
      .then((snapshots) => expose(snapshots, request.headers.accept))
      .then(
        (exposition) => send(response, exposition),
        () => refuse(response, 500),
      );
  };
}

function send(response: ServerResponse, { contentType, text }: Exposition): void {
  response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store' }).end(text);
}

/** Without a word: what was asked for is not repeated, and a cause may hold what is private. */
function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { connection: 'close' }).end();
}

/** Scrapes that come while one is being answered get the same: many cost no more than one. */
function shared<T>(read: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | undefined;
  return () => {
    underWay ??= read().finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}
