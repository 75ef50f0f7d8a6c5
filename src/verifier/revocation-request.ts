import type { Patience } from './answer-patience.ts';
import { UnusableAnswer, wrongStatus } from './fetch-document.ts';
import { type Opening, openingOf } from './revocation-lag.ts';
import { InvalidRevocations } from './revocation-message.ts';
import type { VerifierSettings } from './verifier-settings.ts';

/** The whole of what a server keeps, two million entries of 11 bytes, and a tenth more. */
export const MAX_MESSAGE_LENGTH = 24_200_000;
export const MAX_BEAT_LENGTH = 64 * 1024;

/** Beats come every second. */
const SILENCE_MS = 3500;
/** Who sends a little now and then is not silent, but gets nowhere. */
const PROGRESS_MS = 60_000;
const STREAM = 'text/event-stream';

export type RevocationRequest = {
  settings: Pick<VerifierSettings, 'fetch' | 'timeoutMs' | 'now' | 'steadyNow'>;
  url: string;
  /** What the answer has to continue. */
  cursor: string | null;
  isStream: boolean;
  patience: Patience;
};

export type RevocationAnswer = {
  opening: Opening;
  chunks: AsyncGenerator<Uint8Array, void, void>;
  /** To be called when a whole message has come. */
  noteProgress: () => void;
};

/** A refusal that says when to come again. */
export class TryLater extends UnusableAnswer {
  readonly retryAfterMs: number;

  constructor({ kind, message }: UnusableAnswer, retryAfterMs: number) {
    super(kind, message);
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * Asks for the feed. Redirects are not followed, and nothing compressed is asked for; lengths count what was sent after
 * it has been unpacked.
 * @throws what `fetch` throws; UnusableAnswer for anything but a 200, also while its chunks are read
 */
export async function requestRevocations(request: RevocationRequest): Promise<RevocationAnswer> {
  const { url, cursor, isStream, patience } = request;
  const { fetch, timeoutMs, now, steadyNow } = request.settings;
  const address = new URL(url);
  if (cursor !== null) address.searchParams.set('after', cursor);
  const headers = {
    accept: isStream ? STREAM : 'application/json',
    'accept-encoding': 'identity',
    ...(isStream && cursor !== null && { 'last-event-id': cursor }),
  };
  const startedAt = steadyNow();
  patience.waitAtMost(Math.min(timeoutMs, SILENCE_MS));
  const init: RequestInit = { headers, redirect: 'manual', signal: patience.signal };
  const response = await fetch(address.href, init);
  checkHead(response, isStream);
  let progressAt = startedAt;
  return {
    opening: openingOf(response.headers, startedAt, now()),
    chunks: chunksOf(response),
    noteProgress: () => {
      progressAt = steadyNow();
    },
  };

  async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
      patience.waitAtMost(SILENCE_MS);
      if (steadyNow() - progressAt > PROGRESS_MS) throw new UnusableAnswer('silence', 'gets nowhere');
      yield chunk;
    }
  }
}

/** @throws UnusableAnswer */
function checkHead({ status, headers }: Response, isStream: boolean): void {
  if (status === 401 || status === 403)
    throw new UnusableAnswer('credentials', `asks for credentials (${status})`);
  if (status !== 200) throw new TryLater(wrongStatus(status), retryAfterOf(headers));
  if (isStream && !headers.get('content-type')?.startsWith(STREAM))
    throw new UnusableAnswer('silence', `is not ${STREAM}`);
}

/** RFC 9110 §10.2.3, in seconds. A date would compare two clocks. */
function retryAfterOf(headers: Headers): number {
  return (Number(headers.get('retry-after')) || 0) * 1000;
}

/** The text of a document. @throws InvalidRevocations if it is too long */
export async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_MESSAGE_LENGTH) throw new InvalidRevocations('a message that is too long');
  }
  return text + decoder.decode();
}
