/**
 * A process of its own with many open streams of the feed, that reads and forgets what comes. It prints "open" when all
 * are; at SIGTERM it prints how many events came, and ends.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export type StreamOrder = { url: string; after: string; count: number };
/** Bytes and pieces that came to all streams together, after they were open. */
export type Streamed = { bytes: number; pieces: number; ended: number };

const OPENED_AT_ONCE = 50;

if (process.env.ORDER !== undefined) await openAll(JSON.parse(process.env.ORDER));

async function openAll({ url, after, count }: StreamOrder): Promise<void> {
  const streamed: Streamed = { bytes: 0, pieces: 0, ended: 0 };
  const sockets: Socket[] = [];
  const path = `/revocations?after=${after}`;
  while (sockets.length < count) {
    const wanted = Math.min(OPENED_AT_ONCE, count - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: wanted }, () => open(url, path)))));
  }
  for (const socket of sockets) {
    socket.on('data', (bytes) => {
      streamed.bytes += bytes.length;
      streamed.pieces += 1;
    });
    socket.on('close', () => {
      streamed.ended += 1;
    });
  }
  process.once('SIGTERM', () => {
    process.stdout.write(`${JSON.stringify(streamed)}\n`, () => process.exit());
  });
  process.stdout.write('open\n');
}

/** @throws Error if the answer is no stream */
async function open(url: string, path: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n`);
  const [first] = await once(socket, 'data');
  const answer = first.toString('latin1').split('\r\n', 1)[0];
  if (answer !== 'HTTP/1.1 200 OK') throw new Error(`the feed answers ${answer}`);
  return socket;
}
