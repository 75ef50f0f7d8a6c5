/** A source of the current time, in milliseconds since the Unix epoch. Tests pass one that they move. */
export type Clock = () => number;

/**
 * The time since the epoch, read once at the start of the process and advanced by the monotonic clock, which cannot be
 * set. If the wall clock steps back, limits and lifetimes in memory must not become longer. Code that needs the correct
 * time uses the database's clock: see `createDatabaseClock`.
 */
export const steadyClock: Clock = () => Math.round(performance.timeOrigin + performance.now());

/** The time as the database sees it, in milliseconds since the Unix epoch. */
export type DatabaseClock = {
  now: Clock;
  /** This process's own time: measures how long something took, never decides whether something has expired. */
  local: Clock;
  /** Sets the offset, with the time that the database has just returned. */
  observe(databaseNow: Date): void;
};

/**
 * A clock that follows the database's clock: the local clock plus the last observed offset.
 *
 * Expiry is written in database time, so a replica whose own clock is a minute off must not compare it with that
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
