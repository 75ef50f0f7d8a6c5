import type { Completeness } from './revocation-message.ts';

/** An answer of the feed: a document, or a stream of events. */
export type Opening = {
  /** When the request began, by `steadyNow`. */
  startedAt: number;
  /** How long the answer was in a cache (`Age`), rounded up. */
  cachedMs: number;
  /** How far this host's clock is ahead of the `Date` of the answer; 0 without one. */
  aheadMs: number;
  /** When the server's first words were made, by its database's clock. */
  serverStartMs: number | null;
};

type Clocks = { now: () => number; steadyNow: () => number };

/** So far behind the time of day, what comes is too old, however fast it comes. */
const TOO_OLD_MS = 90_000;
/** An event can be this much too early by the drift of two clocks. More means that one of them was set. */
const DRIFT_MS = 2000;

/** Begins to measure an answer. @param startedAt when its request began, by `steadyNow` */
export function openingOf(headers: Headers, startedAt: number, now: number): Opening {
  const age = headers.get('age');
  // Age has whole seconds. A negative one would make the answer newer than it is.
  const cachedMs = age === null ? 0 : Math.max(0, Number(age) || 0) * 1000 + 1000;
  const date = Date.parse(headers.get('date') ?? '');
  const aheadMs = Number.isNaN(date) ? 0 : now - cachedMs - date;
  return { startedAt, cachedMs, aheadMs, serverStartMs: null };
}

/**
 * Measures how old the knowledge is, without comparing the clocks of two hosts: an event that was made so many seconds
 * after the first of its stream is complete up to as many seconds after that stream's request began. So a proxy that
 * holds events back makes them old. A document is a stream of one event.
 *
 * What a cache keeps without saying so is noticed in two ways. What has been seen before is not new. And `as_of` is
 * compared with the time of day: that of this host, corrected by the `Date` of the answer, so that a clock which is an
 * hour off makes nothing old. It also notices that a whole machine was stopped, and its steady clock with it.
 */
export function createLag({ now, steadyNow }: Clocks) {
  let completeAt = Number.NEGATIVE_INFINITY;
  let newest = { asOfMs: 0, aheadMs: 0 };
  let lastAsOfMs: number | null = null;
  let incompleteUntil = Number.NEGATIVE_INFINITY;

  return {
    /** All that was revoked up to this moment is held. It may be older than what was known before: that changes nothing. */
    advance(opening: Opening, known: Completeness): void {
      if (known.asOfMs === lastAsOfMs) return;
      lastAsOfMs = known.asOfMs;
      const at = completeOf(opening, known);
      if (at <= completeAt) return;
      completeAt = at;
      newest = { asOfMs: known.asOfMs, aheadMs: opening.aheadMs };
    },

    /**
     * What is held was replaced: it is as old as what came, even if that is older than before.
     * @param missingForMs for how long tokens may be valid that were revoked before, and of which nothing is known
     */
    restart(opening: Opening, known: Completeness, missingForMs: number): void {
      completeAt = completeOf(opening, known);
      newest = { asOfMs: known.asOfMs, aheadMs: opening.aheadMs };
      lastAsOfMs = known.asOfMs;
      incompleteUntil = steadyNow() + missingForMs;
    },

    /** Whether an event was made in the future, by what its stream began with: the server's clock was set. */
    isFromFuture: (opening: Opening, { asOfMs }: Completeness): boolean =>
      anchored(opening, asOfMs) > steadyNow() + DRIFT_MS,

    /** Milliseconds since the moment up to which all is known; Infinity if there is none. */
    ms(): number {
      if (steadyNow() < incompleteUntil) return Number.POSITIVE_INFINITY;
      const behindMs = now() - newest.aheadMs - newest.asOfMs;
      return Math.max(0, steadyNow() - completeAt, behindMs > TOO_OLD_MS ? behindMs : 0);
    },
  };

  function completeOf(opening: Opening, { asOfMs, ageMs }: Completeness): number {
    opening.serverStartMs ??= asOfMs + ageMs + opening.cachedMs;
    return Math.min(anchored(opening, asOfMs), steadyNow() - ageMs - opening.cachedMs);
  }
}

function anchored({ startedAt, serverStartMs }: Opening, asOfMs: number): number {
  return startedAt + asOfMs - Number(serverStartMs);
}
