import Type, { type Static } from 'typebox';
import { toListedEvent } from '../audit/audit-listing.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { LaneSettings } from '../outbox/outbox-lane.ts';
import { userData } from './webhook-data.ts';
import type { WebhookReceiver } from './webhook-receiver.ts';
import type { WebhookStore } from './webhook-store.ts';

/**
 * What is to be told, and of whom. Nothing personal: that is read when the message is sent, so nothing of an account that
 * has been deleted is left here, and no late message tells what is not so any more.
 */
export const WebhookMessage = Type.Object({
  type: Type.String(),
  /** RFC 3339. */
  happenedAt: Type.String(),
  /** Of the audit. */
  eventId: Type.String(),
  userId: Type.Union([Type.String(), Type.Null()]),
});

type WebhookMessage = Static<typeof WebhookMessage>;

const SECOND_MS = 1_000;
const HOUR_MS = 3_600 * SECOND_MS;

type LaneParts = {
  store: WebhookStore;
  audit: Pick<AuditService, 'find'>;
  /** Null: webhooks are off. */
  receiver: WebhookReceiver | null;
  /** Aborted when the server ends. */
  ending: AbortSignal;
};

/** The messages for services that wait, and how they go out. */
export function webhookLane({
  store,
  audit,
  receiver,
  ending,
}: LaneParts): LaneSettings<typeof WebhookMessage> {
  return {
    kind: 'webhook',
    payload: WebhookMessage,
    async deliver(message, { id, signal }) {
      // Written while there was one.
      if (receiver === null) throw new Error('EVENTS_WEBHOOK_URL is not set, and a message waits for it');
      const data = await findData(message);
      // It was about what has been deleted since, which has a message of its own.
      if (data === null) return;
      const body = JSON.stringify({ type: message.type, timestamp: message.happenedAt, data });
      await receiver.send({ id, body, signal: AbortSignal.any([signal, ending]) });
    },
    isAwaited: false,
    atOnce: 10,
    deadlineMs: 15 * SECOND_MS,
    // For about three days: after 5 s, 10 s, 20 s and so on, in the end once an hour.
    retry: { firstDelayMs: 5 * SECOND_MS, maxDelayMs: HOUR_MS, maxAttempts: 106 },
  };

  /** @returns null when there is nothing to tell any more */
  async function findData({ type, eventId, userId }: WebhookMessage): Promise<object | null> {
    if (type === 'user.deleted') return { user: { id: userId } };
    if (type.startsWith('audit.')) {
      const event = await audit.find(eventId);
      return event && toListedEvent(event);
    }
    const user = await store.findUser(String(userId));
    return user && userData(user);
  }
}
