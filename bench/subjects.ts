import { randomBytes } from 'node:crypto';
import type { Request } from './load.ts';
import { type Place, storeSessions } from './place.ts';
import type { MeasuredProcess } from './processes.ts';
import { generateTokenOf } from './seed-rows.ts';

/** One line of the table. */
export type Subject = {
  name: string;
  request: Request;
  /** The process that answers, if it is one of ours. */
  server?: MeasuredProcess;
  /** Prepares what the name says, before each round. */
  prepare?: () => Promise<unknown>;
  /** The most connections, if more would be refused by design. */
  mostConnections?: number;
};

/** A signed-in user. */
export type Visitor = { email: string; password: string; cookie: string };

/** The floor for the ratios: everything that `POST /token` must do. */
export const FLOOR = 'floor c: GET + ES256';

/** One thread hashes, and 32 may wait for it. */
const MOST_SIGN_INS = 30;
/** More than any server answers in a round. */
const UNCACHED_SESSIONS = 100_000;
/** Prime, so that every session comes once before the first one comes again, and neighbours lie far apart. */
const STRIDE = 7919;

/** The floors, and our server with every call that services and pages make. */
export async function localSubjects(place: Place): Promise<Subject[]> {
  // One after the other: they share a core, and a server is too busy for a sign-up while two others start.
  const floors = await place.startFloors();
  const server = await place.startServer();
  const reusing = await place.startServer({ ACCESS_TOKEN_REUSE: '10s' });
  const counting = await place.startServer({ METRICS_PORT: '0' });
  // Nothing listens there.
  const withoutRedis = await place.startServer({ REDIS_URL: 'redis://127.0.0.1:1' });
  const visitor = await signUp(server.url);
  await storeSessions(place.sql, 0, UNCACHED_SESSIONS);
  await place.sql`analyze`;
  const token = await mint(server.url, visitor);
  const client = await place.addClient();
  const floor = (name: string, path: string): Subject => ({
    name,
    server: floors,
    // The same request, so that reading it costs the same.
    request: { ...mintRequest(floors.url, visitor), url: floors.url + path },
  });
  const ours = (subject: Subject): Subject => ({ server, ...subject });
  const nextHeaders = cookiesInTurn(visitor, () => UNCACHED_SESSIONS);
  const miss = { name: '/token, miss', request: { ...mintRequest(server.url, visitor), nextHeaders } };
  return [
    floor('floor a: JSON', '/json'),
    floor('floor b: ES256', '/sign'),
    floor(FLOOR, '/get-sign'),
    ...publicSubjects(server.url, visitor).map(ours),
    { name: '/token, hit, reuse 10s', server: reusing, request: mintRequest(reusing.url, visitor) },
    { name: '/token, hit, metrics', server: counting, request: mintRequest(counting.url, visitor) },
    ours({ ...miss, prepare: place.emptyCache }),
    { name: '/token, Redis dead', server: withoutRedis, request: mintRequest(withoutRedis.url, visitor) },
    ours({ name: '/oauth/introspect', request: introspectRequest(server.url, client, token) }),
    ours({
      name: '/forward-auth, Bearer',
      request: doorRequest(server.url, { authorization: `Bearer ${token}` }),
    }),
    ours({ name: '/forward-auth, cookie', request: doorRequest(server.url, { cookie: visitor.cookie }) }),
    ours({
      name: `/login, ${MOST_SIGN_INS} at most`,
      // Not the one whose session is measured: a user has only so many, and each sign-in may end the oldest.
      request: loginRequest(server.url, await signUp(server.url)),
      mostConnections: MOST_SIGN_INS,
    }),
  ];
}

/** Calls that any user of any deployment can make. */
export function publicSubjects(url: string, visitor: Visitor): Subject[] {
  return [
    { name: '/token, hit', request: mintRequest(url, visitor) },
    { name: 'JWKS', request: { method: 'GET', url: `${url}/.well-known/jwks.json`, status: 200 } },
    {
      name: '/me',
      request: { method: 'GET', url: `${url}/me`, headers: { cookie: visitor.cookie }, status: 200 },
    },
  ];
}

/**
 * Headers with the cookie of another stored session each time.
 * @param stored how many there are by now
 */
export function cookiesInTurn({ cookie }: Visitor, stored: () => number): () => Record<string, string> {
  const name = cookie.split('=', 1)[0];
  let index = 0;
  return () => {
    index = (index + STRIDE) % stored();
    return { cookie: `${name}=${generateTokenOf(index)}` };
  };
}

export function mintRequest(url: string, { cookie }: Visitor): Request {
  return { method: 'POST', url: `${url}/token`, headers: { cookie }, status: 200 };
}

export function loginRequest(url: string, { email, password }: Visitor): Request {
  return {
    method: 'POST',
    url: `${url}/login`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password }),
    status: 200,
  };
}

/** @param client its Authorization header */
export function introspectRequest(url: string, client: string, token: string): Request {
  return {
    method: 'POST',
    url: `${url}/oauth/introspect`,
    headers: { authorization: client, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token }).toString(),
    status: 200,
  };
}

/** As nginx asks. */
export function doorRequest(url: string, credentials: Record<string, string>): Request {
  const original = {
    'x-forwarded-method': 'GET',
    'x-forwarded-uri': '/cart',
    'x-forwarded-host': 'shop.example.com',
  };
  return { method: 'GET', url: `${url}/forward-auth`, headers: { ...original, ...credentials }, status: 200 };
}

/** Makes an account. @throws Error with the server's message */
export function signUp(url: string): Promise<Visitor> {
  const name = randomBytes(6).toString('hex');
  return enter(`${url}/signup`, `bench-${name}@example.com`, randomBytes(18).toString('base64url'));
}

/** @throws Error with the server's message */
export function signIn(url: string, email: string, password: string): Promise<Visitor> {
  return enter(`${url}/login`, email, password);
}

async function enter(url: string, email: string, password: string): Promise<Visitor> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password }),
  });
  const [cookie] = response.headers.getSetCookie().map((line) => line.split(';', 1)[0]);
  if (!response.ok || cookie === undefined)
    throw new Error(`${url} answers ${response.status}: ${await response.text()}`);
  return { email, password, cookie };
}

/** @returns an access token. @throws Error with the server's message */
export async function mint(url: string, { cookie }: Visitor): Promise<string> {
  const response = await fetch(`${url}/token`, { method: 'POST', headers: { cookie } });
  if (!response.ok) throw new Error(`no token: ${await response.text()}`);
  const { access_token: token } = (await response.json()) as { access_token: string };
  return token;
}
