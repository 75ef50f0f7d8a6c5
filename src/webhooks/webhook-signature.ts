import { createHmac } from 'node:crypto';

/** What a receiver verifies before it believes a message. */
export type SignedMessage = {
  /** The same at each attempt. */
  id: string;
  /** When it is sent, in seconds since the epoch. */
  timestamp: number;
  body: string;
};

/**
 * The headers of a message as the Standard Webhooks specification has them, version 1.
 * @param secrets one, or two while one replaces the other: the receiver needs either of them
 */
export function signatureHeaders(
  { id, timestamp, body }: SignedMessage,
  secrets: Buffer[],
): Record<string, string> {
  const signed = `${id}.${timestamp}.${body}`;
  const signatures = secrets.map(
    (secret) => `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`,
  );
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signatures.join(' '),
  };
}
