/**
 * A process of its own with many open streams of the feed. It prints "open" when all are; at SIGTERM it prints what came,
 * and ends.
 *
 * Each socket is read once a second, from the system's buffer: a thousand services are not on the server's machine, and
 * would not take its time.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export type StreamOrder = { url: string; after: string; count: number };
/** What came to all streams together. Beats are bytes, but no events. */
export type Streamed = { bytes: number; events: number; ended: number };

const OPENED_AT_ONCE = 50;
/** Each time a hundredth of the sockets is read. */
const READ_EVERY_MS = 10;
const LARGEST_READ = 64 * 1024;

if (process.env.ORDER !== undefined) await openAll(JSON.parse(process.env.ORDER));

async function openAll({ url, after, count }: StreamOrder): Promise<void> {
  const streamed: Streamed = { bytes: 0, events: 0, ended: 0 };
  const sockets: Socket[] = [];
  const path = `/revocations?after=${after}`;
  while (sockets.length < count) {
    const wanted = Math.min(OPENED_AT_ONCE, count - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: wanted }, () => open(url, path, streamed)))));
  }
  Object.assign(streamed, { bytes: 0, events: 0, ended: 0 });
  process.once('SIGTERM', () => {
    process.stdout.write(`${JSON.stringify(streamed)}\n`, () => process.exit());
  });
  process.stdout.write('open\n');
  const share = Math.ceil(count / 100);
  for (let at = 0; ; at = (at + share) % count) {
    for (const socket of sockets.slice(at, at + share)) socket.resume();
    await delay(READ_EVERY_MS);
  }
}

/** @throws Error if the answer is no stream */
function open(url: string, path: string, streamed: Streamed): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host: hostname, port: Number(port) },
      onread: {
        buffer: Buffer.allocUnsafe(LARGEST_READ),
        callback(length, buffer) {
          const text = Buffer.from(buffer.buffer, buffer.byteOffset, length).toString('latin1');
          if (text.startsWith('HTTP/1.1 200 ')) resolve(socket);
          else if (text.startsWith('HTTP')) reject(new Error(`the feed answers ${text.split('\r\n', 1)[0]}`));
          streamed.bytes += length;
          streamed.events += text.split('event: revocations').length - 1;
          // Reads no more until it is resumed.
          return false;
        },
      },
    });
    socket.on('error', reject);
    socket.on('close', () => {
      streamed.ended += 1;
    });
    socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n`);
  });
}
