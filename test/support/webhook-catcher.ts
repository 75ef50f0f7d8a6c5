import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';

type Teardown = { teardown(undo: () => unknown): void };

/** A message as a service sees it, whose signature is right. */
type CaughtEvent = {
  id: string;
  type: string;
  timestamp: string;
  data: Record<string, unknown> & { user?: Record<string, unknown> };
};

type Answer = (response: ServerResponse) => void;

/** A new secret, as settings have it. */
export function newWebhookSecret(bytes = 32): string {
  return `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('base64')}`;
}

/** A service on a real socket that verifies what it gets, and answers 204 or whatever a test wants. */
export async function catchWebhooks(t: Teardown, secret = newWebhookSecret()) {
  const events: CaughtEvent[] = [];
  const requests: { url: string; headers: IncomingMessage['headers']; body: string }[] = [];
  const verifier = new Webhook(secret);
  const take: Answer = (response) => response.writeHead(204).end();
  const state = { answer: take };
  const server = createServer(async (request, response) => {
    const body = await text(request);
    requests.push({ url: String(request.url), headers: request.headers, body });
    const id = String(request.headers['webhook-id']);
    // Not `verify`, which refuses the times to which tests move.
    const sentAt = new Date(Number(request.headers['webhook-timestamp']) * 1000);
    const signatures = String(request.headers['webhook-signature']).split(' ');
    if (!signatures.includes(verifier.sign(id, sentAt, body))) return response.writeHead(401).end();
    events.push({ ...JSON.parse(body), id });
    return state.answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  t.teardown(close);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks?key=in-the-url`,
    secret,
    events,
    requests,
    close,
    take: () => {
      state.answer = take;
    },
    answerWith: (answer: Answer) => {
      state.answer = answer;
    },
    /** @param headers in addition to the status */
    answerStatus: (status: number, headers: Record<string, string> = {}) => {
      state.answer = (response) => response.writeHead(status, headers).end();
    },
  };
}
