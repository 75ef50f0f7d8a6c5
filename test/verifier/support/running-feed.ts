import type { ServerResponse } from 'node:http';
import { beginStream, sendEvent } from './feed.ts';
import { messageOf } from './revocations.ts';

const BEAT_MS = 1000;

/** The streams of a server whose clock goes on by itself. They tell of a revoked token at once. */
export function createRunningFeed() {
  const streams = new Set<ServerResponse>();
  const tokens: string[] = [];

  return {
    answer(response: ServerResponse): void {
      beginStream(response, messageFrom(null));
      streams.add(response);
      const beats = setInterval(() => sendEvent(response, 'beat', { as_of: Date.now(), age: 0 }), BEAT_MS);
      response.once('close', () => {
        clearInterval(beats);
        streams.delete(response);
      });
    },
    revoke(jti: string): void {
      const held = tokens.push(jti) - 1;
      for (const stream of streams) sendEvent(stream, 'revocations', messageFrom(held));
    },
    /** How many streams are open. */
    countStreams: () => streams.size,
  };

  /** @param held how many tokens the reader has already; null: it forgets them */
  function messageFrom(held: number | null): object {
    const from = held === null ? null : cursorAt(held);
    return messageOf(
      { tokens: tokens.slice(held ?? 0) },
      { cursor: cursorAt(tokens.length), from, as_of: Date.now() },
    );
  }
}

function cursorAt(sequence: number): string {
  return `test.${sequence}`;
}
