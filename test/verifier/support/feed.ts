import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { VerifierHooks } from '../../../src/verifier/hooks.ts';
import { createRevocationFollower } from '../../../src/verifier/revocation-follower.ts';
import type { TokenClaims } from '../../../src/verifier/token-claims.ts';
import { settingsOf, type VerifierOptions } from '../../../src/verifier/verifier-settings.ts';
import { messageOf, type Revoked } from './revocations.ts';
import { claimsAt, start } from './tokens.ts';

type Teardown = { teardown(undo: () => unknown): void };

export type Asked = {
  url: string;
  path: string;
  accept: string | undefined;
  after: string | null;
  headers: IncomingMessage['headers'];
};
export type Answer = (response: ServerResponse, asked: Asked) => unknown;

/** A clock that stands still until the test moves it, and the timers that go with it. */
export function createTime() {
  let elapsed = 0;
  let offset = 0;
  const timers = new Set<{ at: number; callback: () => void }>();
  return {
    now: () => start + elapsed + offset,
    steadyNow: () => elapsed,
    /** Somebody sets the clock. */
    setClock: (ms: number) => {
      offset += ms;
    },
    later: (callback: () => void, ms: number) => {
      const timer = { at: elapsed + ms, callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    /** How long the timers still take, in order. */
    waits: () => [...timers].map(({ at }) => at - elapsed).sort((a, b) => a - b),
    advance(ms: number): void {
      elapsed += ms;
      for (const timer of [...timers]) {
        if (timer.at > elapsed || !timers.delete(timer)) continue;
        timer.callback();
      }
    },
  };
}

export type Time = ReturnType<typeof createTime>;

/** Waits until something is so, in turns of the event loop. @throws Error if that takes more than ten seconds */
export async function until(isSo: () => unknown): Promise<void> {
  const startedAt = performance.now();
  while (!isSo()) {
    if (performance.now() - startedAt > 10_000) throw new Error(`It is never so: ${isSo}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A server on a real socket that answers as the test says. */
export async function startFeedServer(t: Teardown) {
  const asked: Asked[] = [];
  const state = { answer: ((response) => response.writeHead(404).end()) as Answer };
  const open = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://feed');
    const { accept } = request.headers;
    const one = {
      ...{ url: String(request.url), path: pathname, accept, after: searchParams.get('after') },
      headers: request.headers,
    };
    // That of the test's own clock, if any.
    response.sendDate = false;
    open.add(response);
    response.on('close', () => open.delete(response));
    asked.push(one);
    state.answer(response, one);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    url: `${origin}/revocations`,
    asked,
    state,
    /** How many requests are not answered whole. */
    open: () => open.size,
    /** The connection of the latest stream. */
    latest: () => [...open].at(-1),
  };
}

export type FeedServer = Awaited<ReturnType<typeof startFeedServer>>;

/** Answers with JSON, or as a stream of events, as it is asked for. */
export function feedAnswers(
  time: Time,
  next: (asked: Asked) => { what?: Revoked; members?: object },
): Answer {
  return (response, asked) => {
    const { what = {}, members = {} } = next(asked);
    const message = messageOf(what, { as_of: time.now(), from: asked.after, ...members });
    if (asked.accept === 'text/event-stream') beginStream(response, message);
    else sendJson(response, message);
  };
}

export function sendJson(response: ServerResponse, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

export function beginStream(response: ServerResponse, ...messages: object[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write('retry: 1000\n\n');
  for (const message of messages) sendEvent(response, 'revocations', message);
}

export function sendEvent(response: ServerResponse | undefined, type: string, data: object): void {
  response?.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
}

/** A service that follows the feed of this server. It is closed when the test ends. */
export function follow(
  t: Teardown,
  server: FeedServer,
  time: Time,
  options: Partial<VerifierOptions> & { findUrl?: () => Promise<string | null>; random?: () => number } = {},
) {
  const told: [name: string, ...args: unknown[]][] = [];
  const note =
    (name: string) =>
    (...args: unknown[]) =>
      void told.push([name, ...args]);
  const warnings: string[] = [];
  const names = ['revocationLag', 'revocationsReceived', 'revocationsReset', 'revocationsFailed'] as const;
  const on: VerifierHooks = Object.fromEntries(names.map((name) => [name, note(name)]));
  const { findUrl = async () => server.url, revocations = 'stream', random = () => 0.5, ...others } = options;
  const dropped: string[][] = [];
  const settings = settingsOf({
    ...{ issuer: server.origin, audience: 'shop', on, now: time.now, steadyNow: time.steadyNow },
    // Another time than that of any pause.
    timeoutMs: 1900,
    logger: { warn: (text) => warnings.push(text) },
    ...others,
  });
  const follower = createRevocationFollower({
    ...{ settings, mode: revocations || 'stream', findUrl, cure: 'check it', later: time.later },
    dropKeys: (kids) => dropped.push(kids),
    random,
  });
  t.teardown(follower.close);
  return {
    ...follower,
    told,
    warnings,
    dropped,
    /** How often a hook was called. */
    count: (name: string) => told.filter(([one]) => one === name).length,
    reasons: () => told.filter(([name]) => name === 'revocationsReset').map(([, reason]) => reason),
    /** Whether a token of this session is refused. */
    isOver: (sid: string) => follower.isRevoked({ ...claimsAt(start / 1000), sid } as TokenClaims, 'key-1'),
  };
}
