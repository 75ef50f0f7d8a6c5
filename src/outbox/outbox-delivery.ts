import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { channels, tell } from '../core/channels.ts';
import { within } from '../core/deadline.ts';
import type { Log } from '../core/log.ts';
import { operations, traced } from '../core/trace-channels.ts';
import { errorName, RetryLater, type RetryPolicy, retryDelayMs, Undeliverable } from './outbox-rules.ts';
import type { ClaimedMessage, Failure } from './outbox-store.ts';

/** What a delivery knows of its message beside the payload. */
type Delivery = {
  /** The same at each attempt. */
  id: string;
  attempts: number;
  ageMs: number;
  /** Aborted at the deadline. */
  signal: AbortSignal;
};

export type DeliverySettings<Payload extends TSchema> = {
  kind: string;
  payload: Payload;
  /**
   * Delivers one message. May be called again for the same one: after a failure, or after a crash.
   * @throws Undeliverable when no further attempt could help; RetryLater when the other side asks for time
   */
  deliver(payload: Static<Payload>, delivery: Delivery): Promise<void>;
  /** An attempt that takes longer has failed. */
  deadlineMs: number;
  retry: RetryPolicy;
};

type DeliveryParts = { log: Log; random(): number };

/**
 * One attempt to deliver a message of one kind; it is logged and published.
 * @returns null when the message was delivered; never rejects
 */
export function createAttempt<Payload extends TSchema>(
  { kind, payload: schema, deliver, deadlineMs, retry }: DeliverySettings<Payload>,
  { log, random }: DeliveryParts,
): (message: ClaimedMessage) => Promise<Failure | null> {
  const shape = Compile(schema);

  return async (message) => {
    const startedAt = performance.now();
    const error = await attempt(message);
    const failure = error === null ? null : failureOf(message, error);
    const durationMs = performance.now() - startedAt;
    const outcome = failure === null ? 'delivered' : failure.delayMs === null ? 'dead' : 'failed';
    tell(channels.delivery, { kind, outcome, attempts: message.attempts, durationMs, ageMs: message.ageMs });
    note(message, durationMs, failure, error);
    return failure;
  };

  /** @returns null when the message was delivered, else why not */
  async function attempt(message: ClaimedMessage): Promise<unknown> {
    try {
      await traced(operations.delivery, kind, () => attemptInTime(message));
      return null;
    } catch (error) {
      return error ?? new Error('a delivery failed without saying why');
    }
  }

  async function attemptInTime({ id, payload, attempts, ageMs }: ClaimedMessage): Promise<void> {
    // Delivered once more, it could end this process as well.
    if (attempts > retry.maxAttempts)
      throw new LostAttempt('its last attempt never told how it went: that process may have ended by it');
    if (!shape.Check(payload)) throw new PayloadError('another release wrote this payload, in another form');
    await inTime(
      (signal) => deliver(payload as Static<Payload>, { id, attempts, ageMs, signal }),
      deadlineMs,
    );
  }

  function failureOf({ id, attempts }: ClaimedMessage, error: unknown): Failure {
    const leastMs = error instanceof RetryLater ? error.afterMs : 0;
    const delayMs = error instanceof Undeliverable ? null : retryDelayMs(attempts, retry, random(), leastMs);
    return { id, attempts, delayMs, error: errorName(error) };
  }

  function note(
    { id, attempts }: ClaimedMessage,
    durationMs: number,
    failure: Failure | null,
    err: unknown,
  ): void {
    const context = { kind, id, attempts, ms: Math.round(durationMs) };
    if (failure === null) {
      log.debug(context, 'delivered a message');
    } else if (failure.delayMs === null) {
      log.error({ ...context, err }, 'gave up on a message: see `doorward outbox list`');
    } else {
      // One warning a message: in a long outage each is tried many times.
      const level = attempts === 1 ? 'warn' : 'debug';
      log[level](
        { ...context, err, againInMs: failure.delayMs },
        'could not deliver a message; trying again',
      );
    }
  }
}

/** What is stored does not fit the lane's schema. */
class PayloadError extends Error {
  override readonly name = 'PayloadError';
}

/** No attempt is left, and the last one is not known to have failed. */
class LostAttempt extends Error {
  override readonly name = 'LostAttempt';
}

/** The deadline is over. */
class DeliveryTimeout extends Error {
  override readonly name = 'DeliveryTimeout';
}

async function inTime(work: (signal: AbortSignal) => Promise<void>, deadlineMs: number): Promise<void> {
  const controller = new AbortController();
  await within(work(controller.signal), deadlineMs, () => {
    const error = new DeliveryTimeout(`not delivered in ${deadlineMs} ms`);
    controller.abort(error);
    return error;
  });
}
