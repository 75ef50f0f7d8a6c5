/** What the gateway tells of the request that it holds back. */
export type OriginalRequest = {
  /** Whether it may change something, or cannot be shown not to. */
  isUnsafe: boolean;
};

/** What arrives at `/forward-auth`. */
export type GatewayRequest = {
  method: string;
  /** What stands behind `/forward-auth`, query included: Envoy puts the original path there. */
  path: string;
  /** Names and values in turn, as Node gives them. */
  rawHeaders: string[];
};

/** What we answer with, and a gateway hands on: from outside it can only be a forgery. */
const IDENTITY_HEADERS = ['x-auth-subject', 'x-auth-email', 'x-auth-session', 'x-auth-scope'];

const METHOD_HEADERS = ['x-original-method', 'x-forwarded-method'];
/** nginx, Traefik and Caddy; ingress-nginx has the whole URL. */
const URI_HEADERS = ['x-original-uri', 'x-forwarded-uri', 'x-original-url'];

/** Decides something here, so it must be there once at most, and in one spelling. */
const SINGLE_HEADERS = new Set([
  ...IDENTITY_HEADERS,
  ...METHOD_HEADERS,
  ...URI_HEADERS,
  ...['authorization', 'host', 'origin', 'sec-fetch-site', 'x-forwarded-host', 'x-forwarded-proto'],
  ...['x-forward-auth-audience', 'x-forward-auth-check'],
]);
const MEANINGFUL_HEADERS = new Set([
  ...SINGLE_HEADERS,
  ...['cookie', 'x-forwarded-for', 'sec-websocket-key', 'sec-websocket-version', 'upgrade', 'sec-fetch-mode'],
]);

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];
const MAX_URI_LENGTH = 8 * 1024;

/**
 * Reads what a gateway passes on, by the conventions of nginx, Traefik, Caddy and Envoy, and finds what two readers
 * could read in two ways: a client's own headers arrive here beside the gateway's.
 * @returns the original request, or why it must not pass
 */
export function readOriginalRequest(request: GatewayRequest): OriginalRequest | { refused: string } {
  const headers = readHeaders(request.rawHeaders);
  const refused = findForgery(headers) ?? findBadUri(headers, request.path) ?? findBadHost(headers);
  if (refused !== undefined) return { refused };
  const methods = methodsOf(request, headers);
  if (methods.size > 1) return { refused: 'The original method is told in two ways.' };
  const [method] = methods;
  if (method !== undefined && !/^[A-Z-]{1,32}$/.test(method))
    return { refused: 'The original method is malformed.' };
  const isSafe = method !== undefined && SAFE_METHODS.includes(method) && !opensWebSocket(headers);
  return { isUnsafe: !isSafe };
}

/** A WebSocket is opened by a GET, with the cookie, from any page (RFC 6455 §10.2; over HTTP/2 without a key). */
function opensWebSocket(headers: Headers): boolean {
  const upgrades = ['sec-websocket-key', 'sec-websocket-version', 'upgrade'].some((name) =>
    headers.has(name),
  );
  return upgrades || headers.get('sec-fetch-mode')?.includes('websocket') === true;
}

type Headers = Map<string, string[]>;

function readHeaders(rawHeaders: string[]): Headers {
  const headers: Headers = new Map();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = String(rawHeaders[at]).toLowerCase();
    const values = headers.get(name) ?? [];
    if (values.length === 0) headers.set(name, values);
    values.push(String(rawHeaders[at + 1]));
  }
  return headers;
}

function findForgery(headers: Headers): string | undefined {
  for (const [name, values] of headers) {
    // Many servers take `X_Auth_Subject` for `X-Auth-Subject`.
    if (name.includes('_') && MEANINGFUL_HEADERS.has(name.replaceAll('_', '-')))
      return 'A header is spelled with an underscore.';
    if (IDENTITY_HEADERS.includes(name)) return 'The request brings identity headers of its own.';
    if (values.length > 1 && SINGLE_HEADERS.has(name)) return `${name} was sent more than once.`;
  }
  return undefined;
}

function findBadUri(headers: Headers, path: string): string | undefined {
  const told = URI_HEADERS.flatMap((name) => (headers.get(name) ?? []).map((uri) => toPath(name, uri)));
  const uris = new Set(path === '' || path.startsWith('?') ? told : [...told, path]);
  if (uris.size > 1) return 'The original URI is told in two ways.';
  return [...uris].every(isPlainPath) ? undefined : 'The original URI is malformed.';
}

function toPath(name: string, uri: string): string {
  if (name !== 'x-original-url') return uri;
  const [, path] = /^https?:\/\/[\w.:[\]-]+(\/.*)$/i.exec(uri) ?? [];
  return path ?? '';
}

/** Whether every reader takes the path for the same one: no dot segments, no backslashes, nothing half-encoded. */
function isPlainPath(uri: string): boolean {
  if (uri.length > MAX_URI_LENGTH || !/^\/[!-~]*$/.test(uri) || uri.includes('#')) return false;
  const [path = '', query = ''] = uri.split(/\?(.*)/s);
  const once = decode(path);
  if (once === null || decode(query) === null) return false;
  // Some readers decode a second time.
  return [path, once, decode(once) ?? once].every(isUnambiguous);
}

/** Some servers take `..;x` for `..`, and `//` for the start of a host. */
function isUnambiguous(path: string): boolean {
  return !/^\/\/|\\|(^|\/)\.\.?(;[^/]*)?(\/|$)/.test(path) && !hasControls(path);
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    // A URIError, and nothing else.
    return null;
  }
}

function hasControls(text: string): boolean {
  return [...text].some((character) => character < ' ' || character === '\x7f');
}

function findBadHost(headers: Headers): string | undefined {
  const hosts = ['host', 'x-forwarded-host'].flatMap((name) => headers.get(name) ?? []);
  const isGood = hosts.every((host) => /^([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/i.test(host));
  return isGood ? undefined : 'The original host is malformed.';
}

/** Each method that somebody tells. Of a plain GET nobody knows whether it is the original one's or the gateway's. */
function methodsOf({ method, path }: GatewayRequest, headers: Headers): Set<string> {
  const told = METHOD_HEADERS.flatMap((name) => headers.get(name) ?? []).map((name) => name.toUpperCase());
  const isOriginals = !['GET', 'HEAD'].includes(method) || path.startsWith('/');
  return new Set(isOriginals ? [...told, method] : told);
}
