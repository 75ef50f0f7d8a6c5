import { AsyncLocalStorage } from 'node:async_hooks';
import type { Static, TSchema } from 'typebox';
import { v7 as uuidv7 } from 'uuid';
import { createBatch } from '../core/batch.ts';
import type { Log } from '../core/log.ts';
import { type Repetition, repeat } from '../core/repeat.ts';
import type { Transaction } from '../db/database.ts';
import { createAttempt, type DeliverySettings } from './outbox-delivery.ts';
import { leaseMsOf } from './outbox-rules.ts';
import type { ClaimedMessage, Failure, NewMessage, OutboxStore } from './outbox-store.ts';

export type LaneSettings<Payload extends TSchema> = DeliverySettings<Payload> & {
  /**
   * Whether the request that sends a message waits for its first attempt. Otherwise the message is left to the lane,
   * and nothing of the delivery is on the request's path.
   */
  isAwaited: boolean;
  /** Messages under way at the same time; those that requests wait for are not counted. */
  atOnce: number;
};

type LaneParts = {
  store: OutboxStore;
  log: Log;
  databaseDeadlineMs: number;
  random(): number;
  /** Whether what no request waits for is left to other processes. */
  onlyWrites: boolean;
};

/** What a feature sends its messages by. */
export type Lane<Payload extends TSchema> = {
  /** Writes a message for each payload in the transaction; they go out together once that has been committed. */
  send(transaction: Transaction, ...payloads: Static<Payload>[]): Promise<void>;
  /**
   * Takes back what waits and what is dead, by one member of the payload. What is under way goes out.
   * @returns how many
   */
  withdraw(transaction: Transaction, member: keyof Static<Payload> & string, value: string): Promise<number>;
  /** Whether messages wait, are under way or are dead, by one member of the payload. */
  isPending(
    transaction: Transaction,
    member: keyof Static<Payload> & string,
    value: string,
  ): Promise<boolean>;
  /** Deletes at most `limit` messages that have been dead for this long. @returns how many */
  sweepDead(transaction: Transaction, keptMs: number, limit: number): Promise<number>;
  /** Looks no more, and lets what is under way end. */
  close(): Promise<void>;
};

const LOOK_EVERY_MS = 1_000;
/**
 * Looks that a replica leaves out after a failure. Meanwhile all other replicas look, and one of them may reach what this
 * one cannot. Otherwise a replica that is cut off would claim the same message again and again.
 */
const LOOKS_LEFT_OUT = 2;
const WRITTEN_AT_ONCE = 1_000;

/**
 * Delivers the messages of one kind. A lane that fails or hangs delays no other lane. Within a lane, a message that fails
 * delays no other message as long as there is room.
 *
 * A message is claimed before it is delivered, by one replica at a time. A claim outlasts the delivery and the statements
 * around it. A process that dies leaves its claims to end, and then another replica takes them over. The attempt counts
 * from the claim, so a message that kills the process ends as dead as well.
 */
export function createLane<Payload extends TSchema>(
  settings: LaneSettings<Payload>,
  { store, log, databaseDeadlineMs, random, onlyWrites }: LaneParts,
) {
  const { kind, isAwaited, atOnce, deadlineMs, retry } = settings;
  const leaseMs = leaseMsOf(deadlineMs, databaseDeadlineMs);
  const attempt = createAttempt(settings, { log, random });
  const forget = createBatch(answeringEach(store.delete), WRITTEN_AT_ONCE);
  const fail = createBatch(answeringEach(store.fail), WRITTEN_AT_ONCE);
  const apart = AsyncLocalStorage.snapshot();
  const underWay = new Set<Promise<void>>();
  let room = atOnce;
  let mayBeMore = false;
  let failuresInARow = 0;
  let looksLeftOut = 0;
  let hasFailedSinceLook = false;
  let isClosed = onlyWrites;
  let isLookDue = false;
  let looking = Promise.resolve();
  let looks: Repetition | undefined;

  return {
    async send(transaction: Transaction, ...payloads: Static<Payload>[]): Promise<void> {
      const messages = payloads.map((payload) => ({ id: uuidv7(), kind, payload }));
      if (isAwaited) {
        for (const message of messages) await store.insertClaimed(transaction, message, leaseMs);
        const firstAttempt = (message: NewMessage) => track(handle({ ...message, attempts: 1, ageMs: 0 }));
        transaction.afterCommit(async () => void (await Promise.all(messages.map(firstAttempt))));
      } else {
        for (const message of messages) await store.insert(transaction, message);
        transaction.afterCommit(async () => lookAgain());
      }
    },

    withdraw: (transaction: Transaction, member: string, value: string): Promise<number> =>
      store.withdraw(transaction, { kind, member, value }),

    isPending: (transaction: Transaction, member: string, value: string): Promise<boolean> =>
      store.isPending(transaction, { kind, member, value }),

    sweepDead: (transaction: Transaction, keptMs: number, limit: number): Promise<number> =>
      store.sweepDead(transaction, { kind, keptMs }, limit),

    /** From now on, looks every second for messages that are due, whichever replica wrote them. */
    start(): void {
      looks = repeat(lookInTurn, LOOK_EVERY_MS, noteLostLook);
    },

    /** Delivers what is due now, and resolves once all of that has been tried. @throws AppError `unavailable` */
    async deliverDue(): Promise<void> {
      failuresInARow = 0;
      do {
        await look();
        await Promise.all(underWay);
      } while (mayBeMore && !isAway());
    },

    /** Looks no more, and lets what is under way end. */
    async close(): Promise<void> {
      isClosed = true;
      await looks?.close();
      await looking.catch(() => {});
      await Promise.all(underWay);
    },
  };

  async function lookInTurn(): Promise<void> {
    if (looksLeftOut > 0) {
      looksLeftOut -= 1;
      return;
    }
    failuresInARow = 0;
    hasFailedSinceLook = false;
    await look();
  }

  /** One at a time: a second look asked for meanwhile begins when the first has ended. */
  function look(): Promise<void> {
    looking = looking.catch(() => {}).then(claimDue);
    return looking;
  }

  async function claimDue(): Promise<void> {
    const asked = room;
    if (isClosed) mayBeMore = false;
    if (isClosed || asked === 0) return;
    const claimed = await store.claim(kind, asked, leaseMs);
    mayBeMore = claimed.length === asked;
    for (const message of claimed) void track(take(message));
  }

  async function take(message: ClaimedMessage): Promise<void> {
    room -= 1;
    await handle(message);
    room += 1;
    if (mayBeMore) lookAgain();
  }

  /** One look for all that ends, or is sent, in this turn of the event loop. */
  function lookAgain(): void {
    if (isClosed || isLookDue || isAway()) return;
    isLookDue = true;
    // A look finds messages of others as well: they are no part of the request that asked for it.
    apart(() => {
      setImmediate(() => {
        isLookDue = false;
        look().catch(noteLostLook);
      });
    });
  }

  /** Never rejects: what could not be written down is claimed again once the lease has ended. */
  async function handle(message: ClaimedMessage): Promise<void> {
    const failure = await attempt(message);
    noteOutcome(failure === null || isRefusal(failure));
    try {
      await (failure === null ? forget(message.id) : fail(failure));
    } catch (err) {
      log.warn(
        { err, kind, id: message.id },
        'could not write down what became of a message; it may go out again',
      );
    }
  }

  /** The other side is there, and does not want this one message. */
  function isRefusal({ delayMs, attempts }: Failure): boolean {
    return delayMs === null && attempts < retry.maxAttempts;
  }

  function noteOutcome(isAnswered: boolean): void {
    failuresInARow = isAnswered ? 0 : failuresInARow + 1;
    if (isAnswered || hasFailedSinceLook) return;
    // Only for the first failure since a look: a stream of failures would otherwise put off every look.
    hasFailedSinceLook = true;
    looksLeftOut = LOOKS_LEFT_OUT;
  }

  /**
   * As many failures in a row as there is room for: the other side is away. The rest would fail too, and so would a new
   * message. They wait for the next regular look.
   */
  function isAway(): boolean {
    return failuresInARow >= atOnce;
  }

  function track(work: Promise<void>): Promise<void> {
    underWay.add(work);
    return work.finally(() => underWay.delete(work));
  }

  function noteLostLook(err: unknown): void {
    log.warn({ err, kind }, 'could not look for messages to deliver; trying again');
  }
}

/** Adapts a write to `createBatch`, which expects an answer for each item. */
function answeringEach<Item>(write: (items: Item[]) => Promise<void>) {
  return async (items: Item[]): Promise<undefined[]> => {
    await write(items);
    return items.map(() => undefined);
  };
}
