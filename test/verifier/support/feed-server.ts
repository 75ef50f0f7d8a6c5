import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

const BEAT_MS = 1000;

/** A server's feed of revoked tokens: a stream that tells them at once, or the whole list in JSON. */
export function createFeedServer() {
  const streams = new Set<ServerResponse>();
  const hashes: Buffer[] = [];

  return {
    answer(request: IncomingMessage, response: ServerResponse): void {
      if (!request.headers.accept?.includes('text/event-stream'))
        return void response.setHeader('content-type', 'application/json').end(partFrom(null));
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      response.write(`retry: 1000\n\n${revocations(partFrom(null))}`);
      streams.add(response);
      const beats = setInterval(() => response.write(beat()), BEAT_MS);
      response.once('close', () => {
        clearInterval(beats);
        streams.delete(response);
      });
    },
    revoke(jti: string): void {
      const before = hashes.length;
      hashes.push(createHash('sha256').update(jti).digest().subarray(0, 8));
      for (const stream of streams) stream.write(revocations(partFrom(before)));
    },
    /** How many streams are open. */
    countStreams: () => streams.size,
  };

  function partFrom(from: number | null): string {
    return JSON.stringify({
      cursor: cursorAt(hashes.length),
      from: from === null ? null : cursorAt(from),
      as_of: Date.now(),
      age: 0,
      window: 1920,
      sessions: '',
      tokens: Buffer.concat(hashes.slice(from ?? 0)).toString('base64url'),
      users: [],
      clients: [],
      keys: [],
    });
  }

  function revocations(part: string): string {
    return `event: revocations\nid: ${cursorAt(hashes.length)}\ndata: ${part}\n\n`;
  }
}

function cursorAt(sequence: number): string {
  return `test.${sequence}`;
}

function beat(): string {
  return `event: beat\ndata: ${JSON.stringify({ as_of: Date.now(), age: 0 })}\n\n`;
}
