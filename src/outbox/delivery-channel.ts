import { channel } from 'node:diagnostics_channel';

/** One attempt to deliver a message, for metrics and traces. */
export type DeliveryEvent = {
  kind: string;
  /** `failed` is tried again, `dead` is not. */
  outcome: 'delivered' | 'failed' | 'dead';
  attempts: number;
  /** How long this attempt took. */
  durationMs: number;
  /** From the writing of the message to the beginning of this attempt. */
  ageMs: number;
};

/** Where each attempt is published. It costs nothing while there is no subscriber. */
export const DELIVERY_CHANNEL = 'doorward:outbox:delivery';

const deliveries = channel(DELIVERY_CHANNEL);

export function publishDelivery(event: DeliveryEvent): void {
  if (deliveries.hasSubscribers) deliveries.publish(event);
}
