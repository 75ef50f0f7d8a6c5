import type { Timeline } from './timeline.ts';

/** What a station has done since its figures were cleared. */
export type StationFigures = {
  /** Share of its servers that were busy, on the average: 1 is all of them, all the time. */
  utilisation: number;
  /** Jobs that began. */
  jobs: number;
  /** Of those jobs. */
  meanWaitMs: number;
  /** The longest queue. */
  longestQueue: number;
};

export type Station = ReturnType<typeof createStation>;

type Waiting = { since: number; begin(): void };

/**
 * A queue, first in first out, before equal servers: cores, threads or connections.
 * @param servers how many jobs are done at the same time
 */
export function createStation(timeline: Timeline, servers: number) {
  let waiting: Waiting[] = [];
  // Jobs are taken from the front by moving this: to shift a long array costs its whole length.
  let front = 0;
  let busy = 0;
  let figures = clearedAt(timeline.now());

  return {
    /** Begins when a server is free; the job then keeps it until `release`. */
    acquire(begin: () => void): void {
      if (busy < servers) start(0, begin);
      else {
        waiting.push({ since: timeline.now(), begin });
        figures.longestQueue = Math.max(figures.longestQueue, waiting.length - front);
      }
    },
    release,
    /** Occupies a server for that time, as soon as one is free. */
    serve(serviceMs: number, then: () => void): void {
      this.acquire(() =>
        timeline.after(serviceMs, () => {
          release();
          then();
        }),
      );
    },
    clear(): void {
      figures = clearedAt(timeline.now());
    },
    figures(): StationFigures {
      account();
      const { since, busyMs, waitedMs, jobs, longestQueue } = figures;
      return {
        utilisation: busyMs / (servers * Math.max(timeline.now() - since, Number.MIN_VALUE)),
        jobs,
        meanWaitMs: jobs === 0 ? 0 : waitedMs / jobs,
        longestQueue,
      };
    },
  };

  function start(waitedMs: number, begin: () => void): void {
    account();
    busy += 1;
    figures.jobs += 1;
    figures.waitedMs += waitedMs;
    begin();
  }

  function release(): void {
    account();
    busy -= 1;
    const next = waiting[front];
    if (next === undefined) return;
    front += 1;
    if (front > 1000 && front * 2 > waiting.length) {
      waiting = waiting.slice(front);
      front = 0;
    }
    start(timeline.now() - next.since, next.begin);
  }

  /** Adds up the time for which the servers have been busy until now. */
  function account(): void {
    figures.busyMs += busy * (timeline.now() - figures.accountedAt);
    figures.accountedAt = timeline.now();
  }
}

function clearedAt(now: number) {
  return { since: now, accountedAt: now, busyMs: 0, waitedMs: 0, jobs: 0, longestQueue: 0 };
}

/**
 * A disk that makes commits last: one write at a time, and each takes along all that have come during the one before it,
 * as PostgreSQL does with its log.
 */
export function createFlusher(timeline: Timeline, flushMs: number) {
  const station = createStation(timeline, 1);
  let waiting: (() => void)[] = [];

  return {
    flush(then: () => void): void {
      waiting.push(then);
      if (waiting.length === 1) station.acquire(begin);
    },
    clear: station.clear,
    figures: station.figures,
  };

  function begin(): void {
    const taken = waiting;
    waiting = [];
    timeline.after(flushMs, () => {
      station.release();
      for (const then of taken) then();
    });
  }
}
