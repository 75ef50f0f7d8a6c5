/** A source of the current time, in milliseconds since the Unix epoch. Tests pass one that they move. */
export type Clock = () => number;

/**
 * The time since the epoch as it was when the process started, and on from there at the pace of a clock that nobody
 * sets. A step back of the wall clock would lengthen every limit and every life in memory. What must follow the wall
 * clock follows the database's: see `createDatabaseClock`.
 */
export const steadyClock: Clock = () => Math.round(performance.timeOrigin + performance.now());

/** The time as the database sees it, in milliseconds since the Unix epoch. */
export type DatabaseClock = {
  now: Clock;
  /** This process's own time: for how long something took, never for when something expires. */
  local: Clock;
  /** Tells the clock what time it was in the database just now. */
  observe(databaseNow: Date): void;
};

/**
 * A clock that follows the database's: the local clock plus the offset last seen.
 *
 * Expiry is written in database time, so a replica whose own clock is a minute off must not judge it by that
 * clock. Until the first observation the offset is zero.
 */
export function createDatabaseClock(local: Clock): DatabaseClock {
  let offsetMs = 0;
  return {
    local,
    now: () => local() + offsetMs,
    observe: (databaseNow) => {
      offsetMs = databaseNow.getTime() - local();
    },
  };
}
