import { createPatience, type Later } from './answer-patience.ts';
import { readEvents } from './event-stream.ts';
import { type Fetch, UnusableAnswer } from './fetch-document.ts';
import { tell } from './hooks.ts';
import type { Opening } from './revocation-lag.ts';
import {
  MAX_BEAT_LENGTH,
  MAX_MESSAGE_LENGTH,
  type RevocationAnswer,
  requestRevocations,
  TryLater,
  textOf,
} from './revocation-request.ts';
import type { SetupFault } from './setup-error.ts';
import { about } from './source.ts';
import type { RevocationMode, VerifierSettings } from './verifier-settings.ts';

/** What to do with what the feed says. Throws for what is not valid, and the feed is then asked again. */
type RevocationListener = {
  /** What the next answer has to continue. */
  cursor: () => string | null;
  /** @returns whether there is more after it */
  message: (text: string, opening: Opening) => boolean;
  /** @returns whether the stream must be opened again, because its times are no longer of use */
  beat: (text: string, opening: Opening) => boolean;
};

type ReaderParts = {
  settings: VerifierSettings;
  mode: RevocationMode;
  /** Finds the URL of the feed; null if there is none. Rejects with SetupFault alone. */
  findUrl: (fetch: Fetch) => Promise<string | null>;
  /** What to do if that URL is not the right one. */
  cure: string;
  listener: RevocationListener;
  later: Later;
  /** From 0 to 1: otherwise all services would come back at the same moment. */
  random: () => number;
};

const POLL_MS = 2000;
/** A page has 50,000 entries, or fewer. */
const MAX_PAGES = 100;
/** A stream that ends earlier does not get through. */
const SHORTEST_STREAM_MS = 5000;
const MAX_STREAM_FAILURES = 2;
const STREAM_AGAIN_MS = 60_000;
/** After a good answer: within the time that a door may be behind. */
const RECONNECT_MS = 250;
const FIRST_BACKOFF_MS = 1000;
const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;
const MAX_RETRY_AFTER_MS = 60_000;
/** Auth servers are brought up to date without asking. */
const LOOK_AGAIN_MS = 600_000;

/** Reads the feed, by streams or polls, until it is closed. */
export function createRevocationReader(parts: ReaderParts) {
  const { settings, listener, later, random } = parts;
  const { steadyNow, on, warn } = settings;
  let url: string | null = null;
  let isOn = false;
  let failures = 0;
  /** Whether something good has come since the last failure: of a poll, all its pages. */
  let isWell = false;
  let firstBackoffMs = FIRST_BACKOFF_MS;
  let streamFailures = 0;
  let streamAgainAt = 0;
  let isClosed = false;
  let patience = createPatience(later);
  let wake = () => {};
  // In a microtask, so that who makes it is ready for what it says.
  const ended = Promise.resolve().then(run);

  return {
    /** Whether there is a feed, as far as is known. */
    isOn: () => isOn,
    /** Resolves when nothing is under way any more. */
    async close(): Promise<void> {
      isClosed = true;
      patience.end();
      wake();
      await ended;
    },
  };

  async function run(): Promise<void> {
    while (!isClosed) await pause(await turn());
  }

  /** One request, or one stream. Never rejects. @returns how long to wait for the next, in milliseconds */
  async function turn(): Promise<number> {
    patience = createPatience(later);
    const waitMs = await read().catch(failed);
    patience.end();
    return waitMs;
  }

  async function read(): Promise<number> {
    url ??= await parts.findUrl(fetchUnlessClosed);
    isOn = url !== null;
    if (url === null) return jittered(LOOK_AGAIN_MS);
    return shallStream() ? stream(url) : poll(url);
  }

  function shallStream(): boolean {
    if (parts.mode === 'poll') return false;
    return streamFailures < MAX_STREAM_FAILURES || steadyNow() >= streamAgainAt;
  }

  async function stream(from: string): Promise<number> {
    const openedAt = steadyNow();
    let deliveredAt = openedAt;
    try {
      await aboutFeed(from, async () => {
        for await (const isLast of readStream(from)) {
          deliveredAt = steadyNow();
          if (isLast) return;
        }
        if (deliveredAt - openedAt < SHORTEST_STREAM_MS) throw new UnusableAnswer('silence', 'ends at once');
      });
    } catch (error) {
      if (deliveredAt - openedAt < SHORTEST_STREAM_MS) return streamFailed(error as SetupFault);
      if (!isClosed) tell(on.revocationsFailed, error);
      noteFailure();
    }
    streamFailures = 0;
    return random() * RECONNECT_MS;
  }

  /** Yields at each event. @returns true for the last one that is of use */
  async function* readStream(from: string): AsyncGenerator<boolean, void, void> {
    const { chunks, opening, noteProgress } = await request(from, true);
    for await (const { type, data, retryMs } of readEvents(chunks, lengthOf)) {
      noteProgress();
      if (retryMs !== null) firstBackoffMs = Math.min(Math.max(retryMs, MIN_BACKOFF_MS), MAX_BACKOFF_MS);
      if (type === 'revocations') {
        listener.message(data, opening);
        isWell = true;
      }
      failures = 0;
      yield type === 'beat' && listener.beat(data, opening);
    }
  }

  /** Where streams do not get through, polls do. Then nothing is lost by asking at once. */
  function streamFailed(error: SetupFault): number {
    if (isClosed) return 0;
    const isFirst = noteFailure();
    // A server that has too many streams, or ends, says when to come again.
    const retryAfterMs = retryAfterOf(error);
    streamFailures += retryAfterMs > 0 ? MAX_STREAM_FAILURES : 1;
    streamAgainAt = steadyNow() + Math.max(retryAfterMs, jittered(retryAfterMs || STREAM_AGAIN_MS));
    tell(on.revocationsFailed, error);
    warn(error);
    if (streamFailures >= MAX_STREAM_FAILURES) return 0;
    return isFirst ? random() * RECONNECT_MS : jittered(firstBackoffMs);
  }

  async function poll(from: string): Promise<number> {
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const isMore = await aboutFeed(from, () => readPage(from));
      if (!isMore) break;
    }
    // The auth server is back, and so may be its streams.
    if (failures > 0) streamFailures = 0;
    failures = 0;
    isWell = true;
    return jittered(POLL_MS);
  }

  async function readPage(from: string): Promise<boolean> {
    const { chunks, opening } = await request(from, false);
    return listener.message(await textOf(chunks), opening);
  }

  function request(from: string, isStream: boolean): Promise<RevocationAnswer> {
    return requestRevocations({ settings, url: from, cursor: listener.cursor(), isStream, patience });
  }

  function failed(error: SetupFault): number {
    if (isClosed) return 0;
    failures += 1;
    // It may have moved.
    url = null;
    tell(on.revocationsFailed, error);
    warn(error);
    const retryAfterMs = retryAfterOf(error);
    if (noteFailure() && retryAfterMs === 0) return random() * RECONNECT_MS;
    const backoffMs = Math.min(firstBackoffMs * 2 ** (failures - 1), MAX_BACKOFF_MS);
    // Jitter makes nobody come before the time.
    return Math.max(retryAfterMs, jittered(Math.max(backoffMs, retryAfterMs)));
  }

  /**
   * @returns whether all was well before: then it is tried again at once. Of several servers one may be down, and a balancer
   *   asks another one now; and what was not valid leaves this service behind until it is fetched anew
   */
  function noteFailure(): boolean {
    const wasWell = isWell;
    isWell = false;
    return wasWell;
  }

  function aboutFeed<T>(from: string, step: () => Promise<T>): Promise<T> {
    return about({ name: 'revocation feed', url: from, cure: parts.cure }, step);
  }

  /** From three quarters of it to five. */
  function jittered(ms: number): number {
    return ms * (0.75 + random() / 2);
  }

  async function pause(ms: number): Promise<void> {
    if (isClosed || ms === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = later(resolve, ms);
      wake = () => {
        cancel();
        resolve();
      };
    });
  }

  function fetchUnlessClosed(address: string, init: RequestInit): Promise<Response> {
    const signals = [init.signal as AbortSignal, patience.signal];
    return settings.fetch(address, { ...init, signal: AbortSignal.any(signals) });
  }
}

function lengthOf(type: string): number {
  return type === 'revocations' ? MAX_MESSAGE_LENGTH : MAX_BEAT_LENGTH;
}

/** Within reason: this service is not to be without news for hours. */
function retryAfterOf({ cause }: SetupFault): number {
  return cause instanceof TryLater ? Math.min(cause.retryAfterMs, MAX_RETRY_AFTER_MS) : 0;
}
