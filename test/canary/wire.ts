import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Secrets } from './secrets.ts';

export type Sent = { method: string; path: string; headers?: Record<string, string>; body?: string | Buffer };

export type Answer = { status: number; headers: string; setCookie: string; body: string };

/** Headers and fields by which a secret is handed to the one whom it is for. */
const HANDED_OVER = /^(set-cookie|authorization):.*$|"(access_token|client_secret)":"[^"]*"/gim;

/** The client's side of one server: sends anything, and keeps every answer without what it hands over. */
export class Wire {
  readonly url: URL;
  readonly statuses = new Set<number>();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 20 });
  #answers = '';

  constructor(t: { teardown(undo: () => unknown): void }, url: string) {
    this.url = new URL(url);
    t.teardown(() => this.#agent.destroy());
  }

  /** Everything that the server has answered. */
  get answers(): string {
    return this.#answers;
  }

  send({ method, path, headers = {}, body }: Sent): Promise<Answer> {
    const { hostname, port } = this.url;
    return new Promise((resolve) => {
      const options = { hostname, port, method, path, headers, agent: this.#agent };
      const request = httpRequest(options, async (response) => {
        const bytes = await bytesOf(response);
        const lines = response.rawHeaders
          .map((text, at) => (at % 2 === 0 ? `${text}: ` : `${text}\n`))
          .join('');
        const [setCookie = ''] = response.headers['set-cookie'] ?? [];
        const answer = {
          status: response.statusCode ?? 0,
          headers: lines,
          setCookie,
          body: bytes.toString(),
        };
        this.#keep(answer.status, `${lines}\n${bytes.toString('latin1')}`);
        resolve(answer);
      });
      // What the server answered before it closed the connection, such as a body for HEAD, which Node cannot read.
      request.on('error', ({ rawPacket, message }: Error & { rawPacket?: Buffer }) => {
        this.#keep(0, rawPacket?.toString('latin1') ?? '');
        resolve({ status: 0, headers: '', setCookie: '', body: message });
      });
      request.end(body);
    });
  }

  /** Sends bytes that need not be HTTP, and waits until the server closes the connection. */
  async sendBytes(bytes: string | Buffer): Promise<string> {
    const socket = connect(Number(this.url.port), this.url.hostname);
    socket.write(bytes);
    const text = Buffer.concat(await socket.toArray()).toString('latin1');
    this.#keep(Number(text.split(' ')[1]), text);
    return text;
  }

  #keep(status: number, text: string): void {
    this.statuses.add(status);
    this.#answers += text.replace(HANDED_OVER, '');
  }
}

/** A body, or as much of it as came before the server broke off. */
function bytesOf(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  response.on('data', (part: Buffer) => parts.push(part));
  response.on('error', () => {});
  return new Promise((resolve) => response.on('close', () => resolve(Buffer.concat(parts))));
}

/** The token of the session that an answer starts, known as a secret from now on. */
export function sessionOf(secrets: Secrets, { setCookie, status, body }: Answer): string {
  const [, token = ''] = /^__Host-g_token=([^;]+)/.exec(setCookie) ?? [];
  if (token === '') throw new Error(`no session: ${status} ${body}`);
  // The row and the key of the cache are found by it.
  return secrets.keep('a generate token', token, { digestMayBeIn: ['the database', 'Redis'] });
}

/** The token in an answer. Its signature is what makes it worth something. */
export function accessTokenOf(secrets: Secrets, { status, body }: Answer): string {
  if (status !== 200) throw new Error(`no token: ${status} ${body}`);
  const { access_token: token } = JSON.parse(body);
  secrets.keep('the signature of an access token', token.split('.')[2]);
  return token;
}
