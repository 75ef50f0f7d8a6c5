import type { Route } from './routes.ts';
import type { Secrets } from './secrets.ts';
import type { Sent, Wire } from './wire.ts';

/** More than a body may have. */
const TOO_LARGE_BYTES = 20_000;

/** Of a route with very many methods, those that get every kind of bad request. */
const USUAL_METHODS = ['GET', 'POST', 'PATCH', 'DELETE'];

/**
 * Sends to every route requests that it must refuse, with a secret wherever one can be: in the path, the query, headers,
 * cookies, names and values of bodies that can be read and that cannot.
 */
export async function intrude(wire: Wire, secrets: Secrets, routes: Route[]): Promise<void> {
  for (const { methods, path } of routes) {
    for (const method of methods.filter((method) => method !== 'CONNECT')) {
      const kinds = USUAL_METHODS.includes(method) ? badRequests : badRequests.slice(0, 1);
      await Promise.all(kinds.map((kind) => wire.send(kind(secrets, method, filled(path, secrets)))));
    }
  }
  const [url] = routes.map(({ path }) => filled(path, secrets)).filter((path) => path.startsWith('/token'));
  await Promise.all(badBytes(secrets, url ?? '/').map((bytes) => wire.sendBytes(bytes)));
}

/** The path with a secret for each parameter, and in a query that no route knows. */
function filled(path: string, secrets: Secrets): string {
  const inPath = path.replace(/:\w+|\*/g, () => secrets.some('a secret in a path'));
  return `${inPath}?password=${secrets.some('a secret in a query')}&audience=${secrets.some('an audience in a query')}`;
}

type Kind = (secrets: Secrets, method: string, path: string) => Sent;

const json = { 'content-type': 'application/json' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };

/** Whatever a client may send along, each with a secret of its own. */
function headersOf(secrets: Secrets): Record<string, string> {
  // A cookie in the form of a generate token is looked for by its digest, and the cache remembers that there is none.
  const made = (name: string) =>
    secrets.some(`a secret in the header ${name}`, name === 'cookie' ? { digestMayBeIn: ['Redis'] } : {});
  return {
    cookie: `__Host-g_token=${made('cookie')}; other=${secrets.some('another cookie')}`,
    authorization: `Bearer ${made('authorization')}`,
    referer: `https://app.example.com/reset?token=${made('referer')}`,
    'x-api-key': made('x-api-key'),
    'x-request-id': made('x-request-id'),
    'x-forwarded-for': made('x-forwarded-for'),
    'x-original-url': `/buy?token=${made('x-original-url')}`,
    'x-forwarded-uri': `/buy?token=${made('x-forwarded-uri')}`,
    traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`,
    tracestate: `club=${made('tracestate')}`,
    baggage: `token=${made('baggage')}`,
  };
}

function fieldsOf(secrets: Secrets): Record<string, string> {
  const names = [
    'password',
    'token',
    'code',
    'audience',
    'client_secret',
    'client_assertion',
    'scope',
    'grant_type',
  ];
  const fields = names.map((name) => [name, secrets.some(`a secret in the field ${name}`)]);
  const email = `${secrets.some('the name of an address')}@canary.example`;
  // The client that sends a field which is unknown is shown its name.
  return {
    ...Object.fromEntries(fields),
    email,
    [secrets.some('the name of a field', { mayBeIn: ['an answer'] })]: '1',
  };
}

const basic = (id: string, secret: string) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;

const badRequests: Kind[] = [
  // Fields that are unknown or wrong: 400, or 401 and 404 for the credentials.
  (secrets, method, path) => ({
    method,
    path,
    headers: { ...headersOf(secrets), ...json },
    body: JSON.stringify(fieldsOf(secrets)),
  }),
  (secrets, method, path) => ({
    method,
    path,
    headers: {
      ...headersOf(secrets),
      ...form,
      authorization: basic('payments', secrets.some('a secret in Basic')),
    },
    body: new URLSearchParams(fieldsOf(secrets)).toString(),
  }),
  (secrets, method, path) => ({
    method,
    path,
    headers: { ...headersOf(secrets), ...json },
    body: `{"email":"a@b.example","password":"${secrets.some('a secret in bad JSON')}`,
  }),
  (secrets, method, path) => {
    const name = secrets.some('the name of a field', { mayBeIn: ['an answer'] });
    return { method, path, headers: { ...headersOf(secrets), ...json }, body: `{"${name}":1,"${name}":2}` };
  },
  (secrets, method, path) => ({
    method,
    path,
    headers: { ...headersOf(secrets), ...json },
    body: Buffer.concat([
      Buffer.from(`{"password":"${secrets.some('a secret in bad UTF-8')}`),
      Buffer.from([0xff, 0x22, 0x7d]),
    ]),
  }),
  (secrets, method, path) => ({
    method,
    path,
    headers: { ...headersOf(secrets), 'content-type': 'text/plain' },
    body: secrets.some('a secret in plain text'),
  }),
  (secrets, method, path) => ({
    method,
    path,
    headers: { ...headersOf(secrets), ...json },
    body: JSON.stringify({ password: secrets.some('a secret in a large body').padEnd(TOO_LARGE_BYTES, '.') }),
  }),
  (secrets, method, path) => {
    const headers = { ...headersOf(secrets), origin: `https://${secrets.some('an origin')}.example` };
    return { method, path, headers };
  },
  (secrets, method, path) => {
    const cookie = ['one', 'two']
      .map((which) => `__Host-g_token=${secrets.some(`cookie ${which} of two`)}`)
      .join('; ');
    return { method, path, headers: { cookie } };
  },
  // A malformed URL, and a parameter that is too long.
  (secrets, method, path) => ({ method, path: `${path.split('?')[0]}%zz`, headers: headersOf(secrets) }),
  (secrets, method) => ({ method, path: `/sessions/${secrets.some('a long parameter')}${'a'.repeat(300)}` }),
];

/** What is not HTTP, or not quite. */
function badBytes(secrets: Secrets, path: string): string[] {
  const made = () => secrets.some('a secret in malformed HTTP');
  const line = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n`;
  return [
    `${made()}\r\n\r\n`,
    `GET /${made()} HTTP/9.9\r\n\r\n`,
    `${made()} / HTTP/1.1\r\n\r\n`,
    `${line}Host: ${made()}\r\n\r\n`,
    `${line}Bad Name: ${made()}\r\n\r\n`,
    `${line}Cookie: ${made().padEnd(TOO_LARGE_BYTES, '.')}\r\n\r\n`,
    `${line}Transfer-Encoding: gzip\r\nX: ${made()}\r\n\r\n`,
    `${line}Content-Length: ${made()}\r\n\r\n`,
    `${line}Content-Length: 1\r\nContent-Length: 2\r\nX: ${made()}\r\n\r\n`,
    `${line}Authorization: Bearer ${made()}\r\nAuthorization: Bearer ${made()}\r\n\r\n`,
    `${line}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${made()}\r\n`,
  ];
}
