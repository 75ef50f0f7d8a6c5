import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import { unavailable } from '../core/errors.ts';
import { remembered } from '../core/remembered.ts';
import { leastIdAt } from '../core/time-in-id.ts';
import type { EventCount, HourOfIds, StatsStore } from './stats-store.ts';

/** What operators see at a glance. */
export type Stats = {
  users: { total: number; active: number; banned: number; unverified: number; estimated: boolean };
  live_sessions: number;
  live_sessions_estimated: boolean;
  /** The last 24 hours, the oldest first; the last one is not over. */
  by_hour: HourOfStats[];
};

type HourOfStats = { hour: string; sign_ins: number; failures: number; sign_ups: number };

type StatsParts = {
  store: StatsStore;
  /** Database time. */
  now: Clock;
  /** Of this process alone. */
  local: Clock;
};

const HOUR_MS = 3_600_000;
const HOURS = 24;
/** An event may be committed that long after its id was made: what is older no longer changes. */
const SETTLED_MS = 60_000;
/** The answer is good for all who ask within this time: a console that many have open costs what one costs. */
const REMEMBERED_MS = 5_000;
const DEADLINE_MS = 5_000;

/** How many users and live sessions there are, and what happened in each of the last hours. */
export function createStatsService({ store, now, local }: StatsParts) {
  const limits = { everyMs: REMEMBERED_MS, deadlineMs: DEADLINE_MS, now: local };
  const count = remembered(countAll, limits);
  const settled = new LRUCache<number, EventCount[]>({ max: HOURS });

  return {
    /** At most five seconds old. @throws AppError `unavailable` */
    async show(): Promise<Stats> {
      const stats = await count();
      if (stats === null) throw unavailable(new Error('the figures could not be counted in time'));
      return stats;
    },
  };

  async function countAll(): Promise<Stats> {
    const { total, banned, unverified } = await store.countUsers();
    const live = await store.countLiveSessions();
    const hours: HourOfStats[] = [];
    // One by one: what is counted before the deadline need not be counted again.
    for (const start of lastHours(now())) hours.push(hourOf(start, await eventsOf(start)));
    const active = total.count - banned;
    return {
      users: { total: total.count, active, banned, unverified, estimated: total.isEstimate },
      live_sessions: live.count,
      live_sessions_estimated: live.isEstimate,
      by_hour: hours,
    };
  }

  async function eventsOf(start: number): Promise<EventCount[]> {
    const known = settled.get(start);
    if (known !== undefined) return known;
    const isSettled = now() >= start + HOUR_MS + SETTLED_MS;
    const events = await store.countEvents(idsOf(start), Object.values(KINDS));
    if (isSettled) settled.set(start, events);
    return events;
  }
}

const KINDS = { sign_ins: 'session.started', failures: 'sign_in.failed', sign_ups: 'account.created' };

function lastHours(now: number): number[] {
  const current = Math.floor(now / HOUR_MS);
  return Array.from({ length: HOURS }, (_, index) => (current - HOURS + 1 + index) * HOUR_MS);
}

function idsOf(start: number): HourOfIds {
  return { from: leastIdAt(start), to: leastIdAt(start + HOUR_MS) };
}

function hourOf(start: number, events: EventCount[]): HourOfStats {
  const countOf = (kind: string) => events.find((event) => event.kind === kind)?.count ?? 0;
  return {
    hour: new Date(start).toISOString(),
    sign_ins: countOf(KINDS.sign_ins),
    failures: countOf(KINDS.failures),
    sign_ups: countOf(KINDS.sign_ups),
  };
}
