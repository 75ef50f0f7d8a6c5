/** `fetch`, or a function like it, for proxies and tests. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type FetchedDocument = { status: number; headers: Headers; text: string };

const MAX_BYTES = 64 * 1024;

/** An answer that says nothing. The message completes "The metadata at …". */
export class UnusableAnswer extends Error {
  readonly kind:
    | 'redirect'
    | 'missing'
    | 'refused'
    | 'status'
    | 'content'
    | 'keys'
    | 'silence'
    | 'credentials';

  constructor(kind: UnusableAnswer['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

/**
 * Fetches from the auth server: with a timeout, without redirects, 64 KiB at most.
 * @param timeoutMs for the whole answer
 * @throws what `fetch` throws; UnusableAnswer for an answer that is too large
 */
export async function fetchDocument(
  fetch: Fetch,
  url: string,
  timeoutMs: number,
  init: RequestInit = {},
): Promise<FetchedDocument> {
  // A redirect is returned as the answer. Following it would mean to trust its target.
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await fetch(url, { ...init, redirect: 'manual', signal });
  return { status: response.status, headers: response.headers, text: await readText(response) };
}

async function readText({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new UnusableAnswer('content', `is larger than ${MAX_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/**
 * The JSON object of a 200.
 * @throws UnusableAnswer for any other status or content
 */
export function objectOf({ status, text }: FetchedDocument): Record<string, unknown> {
  if (status !== 200) throw wrongStatus(status);
  const value = parse(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UnusableAnswer('content', 'is not a JSON object');
  return value as Record<string, unknown>;
}

/** The reason why an answer with another status than 200 is of no use. */
export function wrongStatus(status: number): UnusableAnswer {
  if (status === 404) return new UnusableAnswer('missing', 'is not there (404)');
  if (status >= 300 && status < 400)
    return new UnusableAnswer('redirect', `is answered with a redirect (${status}), which is not followed`);
  const kind = status === 401 || status === 403 ? 'refused' : 'status';
  return new UnusableAnswer(kind, `is answered with the status ${status}`);
}

/** Undefined for a text that is not JSON. The parser's error would quote it. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const LOOPBACK = /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/**
 * Returns the URL if its answers can be trusted: https, or this machine.
 * @throws TypeError if not; `what` names the setting
 */
export function secureUrl(url: string, what: string, allowInsecure: boolean): string {
  if (!URL.canParse(url)) throw new TypeError(`${what} must be a URL`);
  const { protocol, hostname, username, password } = new URL(url);
  if (username !== '' || password !== '') throw new TypeError(`${what} must not contain credentials`);
  const isTrusted =
    protocol === 'https:' || (protocol === 'http:' && (allowInsecure || LOOPBACK.test(hostname)));
  if (!isTrusted) throw new TypeError(`${what} must be https (or set allowInsecure)`);
  return url;
}
