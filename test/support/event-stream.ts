import { once } from 'node:events';
import { connect } from 'node:net';

/** A stream of revocations on a socket of its own, read as text. @param before a request that is sent first */
export function openStream(port: number, lines: string[] = [], path = '/revocations', before = '') {
  const socket = connect(port, '127.0.0.1');
  const head = [`GET ${path} HTTP/1.1`, 'Host: localhost', 'Accept: text/event-stream', ...lines];
  socket.write(`${before}${head.join('\r\n')}\r\n\r\n`);
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  socket.on('error', () => {});
  // Resolves also when it is gone already.
  const closed = once(socket, 'close').then(() => performance.now());
  return {
    socket,
    text: () => text,
    /** When it was closed, by the server or by the test. */
    closed,
    /** Waits for it. @throws Error if the stream ends without it */
    async says(sign: RegExp): Promise<void> {
      while (!sign.test(text)) {
        const isOver = await Promise.race([once(socket, 'data').then(() => false), closed.then(() => true)]);
        if (isOver && !sign.test(text)) throw new Error(`it ended without ${sign}:\n${text}`);
      }
    },
  };
}
