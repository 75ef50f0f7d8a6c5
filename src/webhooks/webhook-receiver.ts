import { RetryLater, Undeliverable } from '../outbox/outbox-rules.ts';
import { signatureHeaders } from './webhook-signature.ts';

/** The other side of the webhooks. */
export type WebhookReceiver = {
  /**
   * Sends one message.
   * @throws Undeliverable when the receiver wants no more of it, RetryLater when it asks for time, WebhookFailure
   */
  send(message: { id: string; body: string; signal: AbortSignal }): Promise<void>;
};

type ReceiverParts = {
  url: string;
  secrets: Buffer[];
  /** Milliseconds since the epoch, which the receiver compares with its own clock. */
  now(): number;
};

/** An attempt that the receiver did not take. Its message has neither the URL nor what was answered. */
class WebhookFailure extends Error {
  override readonly name = 'WebhookFailure';
  /** What operators see of it. */
  readonly code: string;

  constructor(code: string) {
    super(`the receiver of webhooks did not take the message (${code})`);
    this.code = code;
  }
}

/** The receiver at a URL. While it asks for time, nothing more is sent to it. */
export function createWebhookReceiver({ url, secrets, now }: ReceiverParts): WebhookReceiver {
  let quietUntil = 0;

  return {
    async send({ id, body, signal }) {
      const sentAt = now();
      if (sentAt < quietUntil) throw new RetryLater('AskedForTime', quietUntil - sentAt);
      const signed = signatureHeaders({ id, timestamp: Math.floor(sentAt / 1000), body }, secrets);
      const { status, headers } = await post(url, { headers: signed, body, signal });
      if (status >= 200 && status < 300) return;
      if (status === 410) throw new Undeliverable('HTTP_410', 'the receiver does not want this message');
      const afterMs = status === 429 || status === 503 ? retryAfterMs(headers, sentAt) : 0;
      if (afterMs === 0) throw new WebhookFailure(`HTTP_${status}`);
      quietUntil = sentAt + afterMs;
      throw new RetryLater(`HTTP_${status}`, afterMs);
    },
  };
}

type Request = { headers: Record<string, string>; body: string; signal: AbortSignal };

/** The body of the answer is not read: it may be endless, and says nothing that is needed. */
async function post(url: string, { headers, body, signal }: Request): Promise<Response> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json', 'user-agent': 'Doorward-Webhooks' },
    body,
    signal,
    // Its target would not be the one that the operator chose.
    redirect: 'manual',
  }).catch((error: unknown) => {
    throw new WebhookFailure(codeOf(error));
  });
  response.body?.cancel().catch(() => {});
  return response;
}

/** `fetch` itself only says that it failed; the reason is beneath. */
function codeOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: unknown } };
  return typeof cause?.code === 'string' ? cause.code : (error as Error).name;
}

/** No receiver gets more time than this by asking for it. */
const LONGEST_PAUSE_MS = 3_600_000;

/** RFC 9110 §10.2.3: seconds, or a date. @returns 0 when the receiver does not ask for time */
function retryAfterMs(headers: Headers, now: number): number {
  const text = headers.get('retry-after') ?? '';
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return ms > 0 ? Math.min(ms, LONGEST_PAUSE_MS) : 0;
}
