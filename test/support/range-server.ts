import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Teardown = { teardown(undo: () => unknown): void };

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** A request as the server got it. */
type RangeRequest = { url: string; headers: IncomingMessage['headers'] };

export const sha1Of = (password: string) => createHash('sha1').update(password).digest('hex').toUpperCase();

/** A server that speaks the protocol of Pwned Passwords, or answers whatever a test wants. */
export async function openRangeServer(t: Teardown) {
  const leaked = new Map<string, number>();
  const requests: RangeRequest[] = [];
  let answer: Answer = answerRange;
  const server = createServer((request, response) => {
    requests.push({ url: String(request.url), headers: request.headers });
    answer(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  // The first request of a process takes long, and what is tested has half a second.
  await (await fetch(`${url}/range/00000`)).text();
  requests.length = 0;
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });

  /** All hashes of the range, among others, and padding, in the order of the hashes. */
  function answerRange(response: ServerResponse, { url: path }: IncomingMessage): void {
    const [, prefix = ''] = /^\/range\/([0-9A-F]{5})$/.exec(String(path)) ?? [];
    const found = [...leaked].filter(([sha1]) => sha1.startsWith(prefix));
    const lines = found.map(([sha1, count]) => `${sha1.slice(5)}:${count}`);
    const others = Array.from({ length: 800 }, (_, at) => `${randomHex(35)}:${at % 3}`);
    response.setHeader('content-type', 'text/plain');
    response.end([...lines, ...others].sort().join('\r\n'));
  }

  return {
    url,
    requests,
    answerRange,
    /** @param count how often it was seen; 0: as padding has it */
    leak: (password: string, count = 7) => void leaked.set(sha1Of(password), count),
    answerWith: (other: Answer) => {
      answer = other;
    },
  };
}

function randomHex(length: number): string {
  return randomBytes(length).toString('hex').slice(0, length).toUpperCase();
}
