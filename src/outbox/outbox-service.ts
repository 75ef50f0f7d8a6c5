import type { TSchema } from 'typebox';
import type { Log } from '../core/log.ts';
import { createLane, type Lane, type LaneSettings } from './outbox-lane.ts';
import type { LaneCount, OutboxStore } from './outbox-store.ts';

/** Messages that `depths` looks at: it is asked again and again. */
const COUNTED_AT_MOST = 100_000;

type OutboxServiceParts = {
  store: OutboxStore;
  log: Log;
  /** How long a statement, or a transaction, may take. */
  databaseDeadlineMs: number;
  /** At least 0 and less than 1. */
  random?(): number;
  /** Whether this process only writes messages down, and delivers those alone for which somebody waits. */
  onlyWrites?: boolean;
};

export type OutboxService = ReturnType<typeof createOutboxService>;

/**
 * Carries what was committed to where it must go, even if the process dies in between or the other side is away: a
 * message is written in the transaction that caused it, and deleted when it has been delivered. Each kind of message has
 * a lane of its own, opened by the feature that sends it.
 */
export function createOutboxService({
  random = Math.random,
  onlyWrites = false,
  ...parts
}: OutboxServiceParts) {
  const lanes: ReturnType<typeof createLane>[] = [];
  const kinds: string[] = [];

  return {
    /** To be called before `start`, once for each kind. */
    openLane<Payload extends TSchema>(settings: LaneSettings<Payload>): Lane<Payload> {
      const lane = createLane(settings, { ...parts, random, onlyWrites });
      lanes.push(lane);
      kinds.push(settings.kind);
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

    /**
     * For metrics: how many messages each lane has, and other kinds that have some. No more than 100,000 are counted.
     * @throws AppError `unavailable`
     */
    async depths(): Promise<LaneCount[]> {
      const counts = await parts.store.count(COUNTED_AT_MOST);
      const empty = kinds.filter((name) => !counts.some(({ kind }) => kind === name));
      return [...counts, ...empty.map((kind) => ({ kind, waiting: 0, oldestAt: null, dead: 0 }))];
    },

    async close(): Promise<void> {
      await Promise.all(lanes.map((lane) => lane.close()));
    },
  };
}
