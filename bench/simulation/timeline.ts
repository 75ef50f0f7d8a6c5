import TinyQueue from 'tinyqueue';

type Event = { at: number; order: number; run(): void };

export type Timeline = ReturnType<typeof createTimeline>;

/**
 * The clock and the agenda of a simulation: events happen in the order of their times, and those of one time in the order in
 * which they were planned. Times are milliseconds.
 */
export function createTimeline() {
  const agenda = new TinyQueue<Event>([], (a, b) => a.at - b.at || a.order - b.order);
  let now = 0;
  let planned = 0;

  return {
    now: () => now,
    /** Plans an event. @throws RangeError for a time that has passed, or is none */
    after(delayMs: number, run: () => void): void {
      if (!(delayMs >= 0)) throw new RangeError(`an event cannot happen ${delayMs} ms from now`);
      planned += 1;
      agenda.push({ at: now + delayMs, order: planned, run });
    },
    /** Lets happen what is planned until then, that instant included. */
    runUntil(endMs: number): void {
      for (let next = agenda.peek(); next !== undefined && next.at <= endMs; next = agenda.peek()) {
        agenda.pop();
        now = next.at;
        next.run();
      }
      now = endMs;
    },
  };
}
