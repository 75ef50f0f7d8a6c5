import type { TSchema } from 'typebox';
import type { Log } from '../core/log.ts';
import { createLane, type Lane, type LaneSettings } from './outbox-lane.ts';
import type { OutboxStore } from './outbox-store.ts';

type OutboxServiceParts = {
  store: OutboxStore;
  log: Log;
  /** How long a statement, or a transaction, may take. */
  databaseDeadlineMs: number;
  /** At least 0 and less than 1. */
  random?(): number;
};

export type OutboxService = ReturnType<typeof createOutboxService>;

/**
 * Carries what was committed to where it must go, even if the process dies in between or the other side is away: a
 * message is written in the transaction that caused it, and deleted when it has been delivered. Each kind of message has
 * a lane of its own, opened by the feature that sends it.
 */
export function createOutboxService({ random = Math.random, ...parts }: OutboxServiceParts) {
  const lanes: ReturnType<typeof createLane>[] = [];

  return {
    /** To be called before `start`, once for each kind. */
    openLane<Payload extends TSchema>(settings: LaneSettings<Payload>): Lane<Payload> {
      const lane = createLane(settings, { ...parts, random });
      lanes.push(lane);
      return lane;
    },

    /** From now on, each lane delivers what is due, of whichever replica. */
    start(): void {
      for (const lane of lanes) lane.start();
    },

    /** Delivers what is due now, and resolves once all of that has been tried. */
    async deliverDue(): Promise<void> {
      await Promise.all(lanes.map((lane) => lane.deliverDue()));
    },

    async close(): Promise<void> {
      await Promise.all(lanes.map((lane) => lane.close()));
    },
  };
}
