import { randomUUID } from 'node:crypto';
import type { Page } from '../../../src/browser/index.ts';

/** Where the fake page is. */
export const pageOrigin = 'https://club.example';
/** Where its auth server is. */
export const authUrl = 'https://auth.example';

/** A request as the page sent it. */
export type Sent = Pick<Request, 'method' | 'url' | 'headers' | 'redirect' | 'credentials'> & {
  body: string;
};
type Respond = (sent: Sent) => Response | Promise<Response>;

type Listener = (event: { persisted?: boolean }) => unknown;
type Timer = { at: number; run: () => void };

/** Tabs of one browser get each other's messages; each has a clock and a network of its own. */
export function createFakeBrowser() {
  const channels = new Set<FakeChannel>();
  class FakeChannel {
    onmessage: ((event: { data: unknown }) => void) | null = null;
    readonly name: string;
    constructor(name: string) {
      this.name = name;
      channels.add(this);
    }
    postMessage(data: unknown): void {
      messages.push(data);
      const others = [...channels].filter((channel) => channel !== this && channel.name === this.name);
      for (const other of others) other.onmessage?.({ data });
    }
  }
  const messages: unknown[] = [];
  return { messages, openTab: () => createFakePage(FakeChannel as unknown as Page['BroadcastChannel']) };
}

export type FakePage = ReturnType<typeof createFakePage>;

/** One page, on a network whose answers the test sets. At first the answer is that no user is signed in. */
function createFakePage(BroadcastChannel: Page['BroadcastChannel']) {
  const listeners = new Map<string, Listener[]>();
  const timers = new Map<number, Timer>();
  const sent: Sent[] = [];
  let respond: Respond = () => problem(404, 'session_not_found');
  let lastTimer = 0;
  let wall = 1_700_000_000_000;
  let steady = 5_000;

  class PageRequest extends Request {
    constructor(input: string | URL | Request, init?: RequestInit) {
      super(typeof input === 'string' ? new URL(input, `${pageOrigin}/cart`) : input, init);
    }
  }

  const page: Page = {
    Request: PageRequest,
    BroadcastChannel,
    location: { origin: pageOrigin },
    Date: { now: () => wall } as DateConstructor,
    performance: { now: () => steady } as Performance,
    fetch: async (input, init) => {
      const request = new PageRequest(input as string, init);
      request.signal.throwIfAborted();
      const { method, url, headers, redirect } = request;
      const body = typeof init?.body === 'string' ? init.body : await bodyOf(request);
      const entry = { method, url, headers, body, redirect, credentials: request.credentials };
      sent.push(entry);
      return respond(entry);
    },
    setTimeout: ((run: () => void, ms: number) => {
      lastTimer += 1;
      timers.set(lastTimer, { at: steady + ms, run });
      return lastTimer;
    }) as unknown as Page['setTimeout'],
    clearTimeout: ((id: number) => timers.delete(id)) as unknown as Page['clearTimeout'],
    addEventListener: (type, listener) => {
      listeners.set(type, [...(listeners.get(type) ?? []), listener]);
    },
  };

  return {
    page,
    sent,
    timers,
    answer: (next: Respond) => {
      respond = next;
    },
    dispatch: (type: string, event: { persisted?: boolean } = {}) => {
      for (const listener of listeners.get(type) ?? []) listener(event);
    },
    /** The computer sleeps: no timer runs, and the steady clock stops. Or a user sets the wall clock. */
    moveWall: (ms: number) => {
      wall += ms;
    },
    advance,
  };

  /** Time passes, and timers run in their order. */
  async function advance(ms: number): Promise<void> {
    const until = steady + ms;
    for (;;) {
      const [next] = [...timers].sort(([, a], [, b]) => a.at - b.at);
      if (next === undefined || next[1].at > until) break;
      timers.delete(next[0]);
      pass(Math.max(0, next[1].at - steady));
      next[1].run();
      await quiet();
    }
    pass(until - steady);
    await quiet();
  }

  function pass(ms: number): void {
    wall += ms;
    steady += ms;
  }
}

async function bodyOf(request: Request): Promise<string> {
  return request.body === null ? '' : request.text();
}

/** Resolves when everything has happened that needs neither time nor network. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** An answer whose body is read without a turn of the event loop, so that `quiet` is enough. */
export function answer(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  const json = async () => (typeof body === 'string' ? JSON.parse(body) : body);
  const ok = status < 300;
  return { ok, status, headers: new Headers(headers), json } as unknown as Response;
}

export function problem(
  status: number,
  code: string,
  headers: Record<string, string> = {},
  more: object = {},
): Response {
  const body = { type: `urn:doorward:problem:${code}`, title: code, status, code, ...more };
  return answer(status, body, { 'content-type': 'application/problem+json; charset=utf-8', ...headers });
}

export const ada = { id: 'u-ada', email: 'ada@exämple.com', email_verified: false };
export const bob = { id: 'u-bob', email: 'bob@example.com', email_verified: true };

/** A token that has the shape of a real one. */
export function newToken({ id, email, email_verified }: typeof ada = ada): string {
  const claims = { sub: id, email, email_verified, jti: randomUUID() };
  return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.signature`;
}

export function tokenAnswer(access_token = newToken(), expires_in = 1800): Response {
  return answer(200, { access_token, token_type: 'Bearer', expires_in });
}
