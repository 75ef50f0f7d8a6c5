/** The request that the gateway holds back, as the gateway describes it. */
export type OriginalRequest = {
  /** Whether it may change something; true if that is unknown. */
  isUnsafe: boolean;
};

/** The request that arrives at `/forward-auth`. */
export type GatewayRequest = {
  method: string;
  /** The rest of the URL after `/forward-auth`, query included: Envoy puts the original path there. */
  path: string;
  /** Names and values in turn, as Node gives them. */
  rawHeaders: string[];
};

/** Headers of our answer, which a gateway passes on. In a request from outside they are a forgery. */
const IDENTITY_HEADERS = ['x-auth-subject', 'x-auth-email', 'x-auth-session', 'x-auth-scope'];

const METHOD_HEADERS = ['x-original-method', 'x-forwarded-method'];
/** Of nginx, Traefik and Caddy; ingress-nginx sends the whole URL in the last one. */
const URI_HEADERS = ['x-original-uri', 'x-forwarded-uri', 'x-original-url'];

/** Headers that decide something here, so each may be sent only once and in one spelling. */
const SINGLE_HEADERS = new Set([
  ...IDENTITY_HEADERS,
  ...METHOD_HEADERS,
  ...URI_HEADERS,
  ...['authorization', 'host', 'origin', 'sec-fetch-site', 'x-forwarded-host', 'x-forwarded-proto'],
  ...['x-forward-auth-audience', 'x-forward-auth-check', 'x-forward-auth-cookie'],
]);
const MEANINGFUL_HEADERS = new Set([
  ...SINGLE_HEADERS,
  ...['cookie', 'x-forwarded-for', 'sec-websocket-key', 'sec-websocket-version', 'upgrade', 'sec-fetch-mode'],
]);

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];
const MAX_PATH_LENGTH = 8 * 1024;

/**
 * Reads what a gateway passes on, by the conventions of nginx, Traefik, Caddy and Envoy, and refuses what two programs
 * could read in two ways: the client's own headers arrive here together with the gateway's.
 * @returns the original request, or why it must not pass
 */
export function readOriginalRequest(request: GatewayRequest): OriginalRequest | { refused: string } {
  const headers = readHeaders(request.rawHeaders);
  const refused = findForgery(headers) ?? findBadUri(headers, request.path) ?? findBadHost(headers);
  if (refused !== undefined) return { refused };
  const methods = methodsOf(request, headers);
  if (methods.size > 1) return { refused: 'The request names two different original methods.' };
  const [method] = methods;
  if (method !== undefined && !/^[A-Z-]{1,32}$/.test(method))
    return { refused: 'The original method is malformed.' };
  const isSafe = method !== undefined && SAFE_METHODS.includes(method) && !opensWebSocket(headers);
  return { isUnsafe: !isSafe };
}

/** Any page can open a WebSocket with the user's cookie, by a GET (RFC 6455 §10.2; over HTTP/2 it has no key). */
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
    // Many servers read `X_Auth_Subject` as `X-Auth-Subject`, and some read any other character so (RFC 3875 §4.1.18).
    const usual = name.replace(/[^a-z0-9]/g, '-');
    if (usual !== name && MEANINGFUL_HEADERS.has(usual)) return `${usual} is spelled in another way.`;
    if (IDENTITY_HEADERS.includes(name)) return 'The request brings identity headers of its own.';
    if (values.length > 1 && SINGLE_HEADERS.has(name)) return `${name} was sent more than once.`;
  }
  return undefined;
}

function findBadUri(headers: Headers, path: string): string | undefined {
  const told = URI_HEADERS.flatMap((name) => (headers.get(name) ?? []).map((uri) => toPath(name, uri)));
  const uris = path === '' || path.startsWith('?') ? told : [...told, path];
  // A query decides no door, and programs may write it in their own ways (RFC 3986 §3.4).
  const paths = new Set(uris.map((uri) => uri.replace(/\?.*/s, '')));
  if (paths.size > 1) return 'The request names two different original paths.';
  return [...paths].every(isPlainPath) ? undefined : 'The original path is malformed.';
}

function toPath(name: string, uri: string): string {
  if (name !== 'x-original-url') return uri;
  const [, path] = /^https?:\/\/[\w.:[\]-]+(\/.*)$/is.exec(uri) ?? [];
  return path ?? '';
}

/** Whether all programs read the path alike: no dot segments, no backslashes, nothing half-encoded. */
function isPlainPath(path: string): boolean {
  if (path.length > MAX_PATH_LENGTH || !/^\/[!-~]*$/.test(path) || path.includes('#')) return false;
  const once = decode(path);
  if (once === null) return false;
  // Some programs decode a second time.
  return [path, once, decode(once) ?? once].every(isUnambiguous);
}

/** Some servers read `..;x` as `..`, and `//` as the start of a host. */
function isUnambiguous(path: string): boolean {
  return !/^\/\/|\\|(^|\/)\.\.?(;[^/]*)?(\/|$)/.test(path) && !hasControls(path);
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    // It can only be a URIError.
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

/** All methods that the request names. A GET or HEAD of the call itself may be the gateway's own: it does not count. */
function methodsOf({ method, path }: GatewayRequest, headers: Headers): Set<string> {
  const told = METHOD_HEADERS.flatMap((name) => headers.get(name) ?? []).map((name) => name.toUpperCase());
  const isOriginals = !['GET', 'HEAD'].includes(method) || path.startsWith('/');
  return new Set(isOriginals ? [...told, method] : told);
}
