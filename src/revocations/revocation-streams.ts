import type { Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { channels, tell } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { beatOf, eventOf, STREAM_START } from './feed-message.ts';
import type { RevocationFeed } from './revocation-feed.ts';

/** A stream gets an event at most this often, with all that is new. */
const EVENT_EVERY_MS = 100;
/** A millisecond's work. After that, other requests are answered before it goes on. */
const SENT_AT_ONCE = 100;
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
};

export type RevocationStreams = ReturnType<typeof createRevocationStreams>;

/**
 * Writes the feed to any number of open streams (Server-Sent Events). An event is made once for all streams that continue
 * after the same cursor.
 *
 * What a slow reader has not taken costs memory, so there are two bounds: small events may pile up to 256 KiB, and a large
 * one, of which streams that start at the same place share one copy, has to be taken within ten seconds.
 */
export function createRevocationStreams({ feed, most, now, random = Math.random }: StreamsParts) {
  const streams = new Set<Stream>();
  const events = new Map<string | null, Promise<Event>>();
  let sending: NodeJS.Timeout | undefined;
  let sentAt = Number.NEGATIVE_INFINITY;
  let isEnding = false;
  const stopListening = feed.onAdvance(sendSoon);

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
    beat(): void {
      const state = feed.state();
      const bytes = state === null ? null : beatOf(state);
      for (const stream of streams) {
        if (now() >= stream.endsAt) end(stream);
        else if (!stream.isReady && now() - stream.sentAt > TAKE_WITHIN_MS) stream.line.destroy();
        else if (stream.isReady && bytes !== null) write(stream, bytes);
      }
    },

    count: () => streams.size,

    /** Ends all streams, and lets no other begin. */
    close(): void {
      isEnding = true;
      stopListening();
      clearTimeout(sending);
      for (const stream of streams) end(stream);
    },
  };

  /** To all streams that are behind: at once, unless the last time was a moment ago. */
  function sendSoon(): void {
    sending ??= setTimeout(
      () => {
        sending = undefined;
        sentAt = now();
        events.clear();
        void sendToAll();
      },
      Math.max(0, sentAt + EVENT_EVERY_MS - now()),
    ).unref();
  }

  async function sendToAll(): Promise<void> {
    const head = feed.state()?.cursor;
    let count = 0;
    for (const stream of streams) {
      if (stream.cursor === head) continue;
      push(stream);
      count += 1;
      if (count % SENT_AT_ONCE === 0) await nextTurn();
    }
  }

  /** Sends what comes after the cursor of the stream. */
  function push(stream: Stream): void {
    if (!stream.isReady) return;
    stream.isReady = false;
    stream.sentAt = now();
    eventAfter(stream.cursor).then(
      (event) => send(stream, event),
      // The client comes back, and gets the answer that there is none.
      () => end(stream),
    );
  }

  /** Kept for a moment for other streams that continue there; not longer, since it says how old it is. */
  function eventAfter(cursor: string | null): Promise<Event> {
    const known = events.get(cursor);
    if (known !== undefined) return known;
    const made = makeEvent(cursor);
    events.set(cursor, made);
    setTimeout(() => events.delete(cursor), EVENT_EVERY_MS).unref();
    return made;
  }

  async function makeEvent(after: string | null): Promise<Event> {
    const part = await feed.answer(after);
    return { bytes: eventOf(part), cursor: part.cursor, more: part.more };
  }

  function send(stream: Stream, { bytes, cursor, more }: Event): void {
    stream.cursor = cursor;
    const goOn = () => {
      stream.isReady = true;
      if (more) push(stream);
      else if (cursor !== feed.state()?.cursor) sendSoon();
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

/** What has not been taken by now may never be, and nobody waits for it. */
function end({ line }: Stream): void {
  if (line.writableLength > 0) line.destroy();
  else line.end();
}
