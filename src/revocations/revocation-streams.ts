import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { channels, tell } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { beatOf, eventOf, STREAM_START } from './feed-message.ts';
import type { FeedPart, RevocationFeed } from './revocation-feed.ts';
import { createSharedParts } from './shared-parts.ts';
import { createThrottle } from './throttle.ts';

/** A stream gets an event at most this often, with all that is new. */
const EVENT_EVERY_MS = 100;
/**
 * A quarter of a millisecond's work, and then other requests have their turn. Without pauses, a beat to 1,000 streams would
 * hold up one request of a hundred for 10 ms.
 */
const SENT_AT_ONCE = 25;
const PAUSE_MS = 1;
/** A stream ends by itself after this time and up to twice of it, so that streams spread over replicas again. */
const LEAST_LIFE_MS = 300_000;
/** A reader that lets more than this pile up does not keep up. It may come back and continue. */
const MAX_UNSENT_BYTES = 256 * 1024;
/** What is as large as this has to be taken before more is sent. */
const LARGE_BYTES = 64 * 1024;
/** How long that may take. */
const TAKE_WITHIN_MS = 10_000;
/** When to ask again for a stream, in seconds. */
const RETRY = { full: 10, ending: 1 };

/** An answer whose head is written. `socket`: its connection; null while another answer is being sent there. */
type Line = Writable & { readonly socket?: Writable | null };

/** `isReady`: the next event may be sent. */
type Stream = { line: Line; cursor: string | null; isReady: boolean; sentAt: number; endsAt: number };

type Event = { bytes: Buffer; cursor: string; more: boolean };

type StreamsParts = {
  feed: Pick<RevocationFeed, 'answer' | 'state' | 'onAdvance'>;
  /** How many there may be at a time. */
  most: number;
  now: Clock;
  /** From 0 to 1. */
  random?: () => number;
  /** Lets other requests be answered. */
  pause?: () => Promise<unknown>;
};

export type RevocationStreams = ReturnType<typeof createRevocationStreams>;

/**
 * Writes the feed to any number of open streams (Server-Sent Events). An event is made once for all streams that continue
 * after the same cursor.
 *
 * What a slow reader has not taken costs memory, so there are two bounds: small events may pile up to 256 KiB, and a large
 * one, of which streams that start at the same place share one copy, has to be taken within ten seconds.
 */
export function createRevocationStreams(parts: StreamsParts) {
  const { feed, most, now, random = Math.random, pause = () => delay(PAUSE_MS) } = parts;
  const streams = new Set<Stream>();
  const events = createSharedParts(feed, toEvent);
  const sending = createThrottle(() => void sendToAll(), EVENT_EVERY_MS, now);
  let isEnding = false;
  const stopListening = feed.onAdvance(sending.soon);

  return {
    /** @throws AppError `overloaded` when there are as many streams as there may be, or the server ends */
    requirePlace(): void {
      if (isEnding) throw new AppError('overloaded', { retryAfterSeconds: RETRY.ending });
      if (streams.size < most) return;
      tell(channels.limitReached, { limit: 'streams' });
      throw new AppError('overloaded', { retryAfterSeconds: RETRY.full });
    },

    /**
     * Adds a stream. It counts until its line is closed, for whatever reason; a client that has gone already is left out.
     * @param after the cursor of the client; null if it has none
     */
    add(line: Line, after: string | null): void {
      // It went while its request was checked: its `close` has been, and will not come again.
      if (line.destroyed) return;
      const life = LEAST_LIFE_MS * (1 + random());
      const stream = { line, cursor: after, isReady: true, sentAt: now(), endsAt: now() + life };
      streams.add(stream);
      line.once('close', () => streams.delete(stream));
      line.write(STREAM_START);
      push(stream);
    },

    /** To be called every second: tells all streams how far the feed has come, and ends those whose time is over. */
    async beat(): Promise<void> {
      for await (const some of inTurns()) {
        // Made anew in each turn, since it says how old it is.
        const state = feed.state();
        const bytes = state === null ? null : beatOf(state);
        for (const stream of some) {
          if (now() >= stream.endsAt) end(stream);
          else if (!stream.isReady && now() - stream.sentAt > TAKE_WITHIN_MS) stream.line.destroy();
          else if (stream.isReady && bytes !== null) write(stream, bytes);
        }
      }
    },

    count: () => streams.size,

    /** Ends all streams, and lets no other begin. */
    close(): void {
      isEnding = true;
      stopListening();
      sending.stop();
      for (const stream of streams) end(stream);
    },
  };

  /** To all streams that are behind. */
  async function sendToAll(): Promise<void> {
    events.clear();
    for await (const some of inTurns()) {
      const head = feed.state()?.cursor;
      for (const stream of some) if (stream.cursor !== head) push(stream);
    }
  }

  /** All streams, some at a time, with other requests in between. */
  async function* inTurns(): AsyncGenerator<Stream[], void, void> {
    const all = [...streams];
    for (let at = 0; at < all.length; at += SENT_AT_ONCE) {
      if (at > 0) await pause();
      yield all.slice(at, at + SENT_AT_ONCE);
    }
  }

  /** Sends what comes after the cursor of the stream. */
  function push(stream: Stream): void {
    if (!stream.isReady) return;
    stream.isReady = false;
    stream.sentAt = now();
    events.after(stream.cursor).then(
      (event) => send(stream, event),
      // The client comes back, and gets the answer that there is none.
      () => end(stream),
    );
  }

  function send(stream: Stream, { bytes, cursor, more }: Event): void {
    stream.cursor = cursor;
    const goOn = () => {
      stream.isReady = true;
      if (more) push(stream);
      else if (cursor !== feed.state()?.cursor) sending.soon();
    };
    const mustBeTaken = more || bytes.length > LARGE_BYTES;
    write(stream, bytes, mustBeTaken ? goOn : undefined);
    if (!mustBeTaken) goOn();
  }

  function write({ line }: Stream, bytes: Buffer, onTaken?: () => void): void {
    // It may have ended while its event was made.
    if (line.destroyed || line.writableEnded) return;
    if (line.writableLength > MAX_UNSENT_BYTES) line.destroy();
    // Past the answer, which adds nothing to them: with it, idle streams cost twice as much.
    else (line.socket ?? line).write(bytes, onTaken);
  }
}

function toEvent(part: FeedPart): Event {
  return { bytes: eventOf(part), cursor: part.cursor, more: part.more };
}

/** What has not been taken by now may never be, and nobody waits for it. */
function end({ line }: Stream): void {
  if (line.writableLength > 0) line.destroy();
  else line.end();
}
