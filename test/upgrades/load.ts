import { setTimeout as delay } from 'node:timers/promises';
import { cookiesOf, postJson } from '../e2e/server-process.ts';
import { type Credentials, newCredentials } from '../helper.ts';
import type { TestClient } from '../support/clients.ts';

type LoadOptions = {
  /** Of the servers to ask. Each request goes to one of them by chance; the list may change meanwhile. */
  urls: string[];
  client: TestClient;
  /** Users who come and go at the same time. */
  users: number;
};

/** A user who was signed in at the end, and the cookie. */
export type Visitor = Credentials & { cookie: string };

/**
 * Users who sign up, ask for tokens, sign out and in again, at any of the servers. Each expects what the one before did: a
 * session that began at one server is known at the others, and one that ended at one server has ended at all of them.
 */
export function startLoad({ urls, client, users }: LoadOptions) {
  const failures: string[] = [];
  const visitors: Visitor[] = [];
  let requests = 0;
  let isOver = false;
  const all = Array.from({ length: users }, visitAgainAndAgain);

  return {
    failures,
    visitors,
    requests: () => requests,

    /** Waits until so many more users have been there. */
    async visits(more: number): Promise<void> {
      const enough = visitors.length + more;
      while (visitors.length < enough && failures.length === 0) await delay(10);
    },

    async stop(): Promise<void> {
      isOver = true;
      await Promise.all(all);
    },
  };

  async function visitAgainAndAgain(): Promise<void> {
    while (!isOver) await visit().catch((error: Error) => failures.push(String(error.stack)));
  }

  async function visit(): Promise<void> {
    const user = newCredentials();
    const cookie = cookiesOf(await ask(201, '/signup', user));
    const token = await tokenOf(cookie);
    await expectActive(true, token);
    await ask(204, '/logout', undefined, cookie);
    await ask(404, '/token', undefined, cookie);
    await expectActive(false, token);
    const again = cookiesOf(await ask(200, '/login', user));
    await expectActive(true, await tokenOf(again));
    visitors.push({ ...user, cookie: again });
  }

  async function tokenOf(cookie: string): Promise<string> {
    const { access_token } = (await (await ask(200, '/token', undefined, cookie)).json()) as {
      access_token: string;
    };
    return access_token;
  }

  async function expectActive(expected: boolean, token: string): Promise<void> {
    const url = someUrl();
    requests += 1;
    const answer = await fetch(`${url}/oauth/introspect`, {
      method: 'POST',
      headers: { authorization: client.authorization },
      body: new URLSearchParams({ token }),
    });
    const text = await answer.text();
    if (answer.status !== 200 || JSON.parse(text).active !== expected)
      throw new Error(`${url}/oauth/introspect: ${answer.status} ${text}, and not active=${expected}`);
  }

  async function ask(status: number, path: string, body?: object, cookie?: string): Promise<Response> {
    const url = someUrl();
    requests += 1;
    const answer = await postJson(`${url}${path}`, body, cookie);
    if (answer.status === status) return answer;
    throw new Error(`${url}${path}: ${answer.status} ${await answer.text()}, and not ${status}`);
  }

  function someUrl(): string {
    return urls[Math.floor(Math.random() * urls.length)] ?? '';
  }
}
