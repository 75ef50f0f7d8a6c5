import type { Draw, Random } from '../random.ts';

/** How people use pages, and what is assumed of it. Change it in one place, and the page of the documentation follows. */
export type Traffic = typeof TRAFFIC;

export const TRAFFIC = {
  /** Of a daily user, on the average. Users differ: log-normal, with this deviation of the logarithm. */
  visitsADay: 2.5,
  activitySigma: 1,
  /** Of a visit, geometric: each ends with the same probability at every page. One `POST /token` each. */
  routeChanges: 10,
  /** Between two of them, log-normal. */
  secondsBetween: 30,
  secondsBetweenSigma: 1.1,
  /** Devices of a user that are in use, geometric; a visit is on any of them. */
  devices: 1.7,
  /** Shares of visits that begin with a sign-in, and end with a sign-out. */
  signIns: 0.04,
  signOuts: 0.03,
  /** Of a `POST /token`: what services then ask beside it. Most verify tokens by themselves. */
  introspections: 0.02,
  forwardAuths: 0.1,
  /** Where users are: shares, and hours by which their clocks differ from the first region's. */
  regions: [
    { share: 0.6, hours: 0 },
    { share: 0.3, hours: -6 },
    { share: 0.1, hours: 7 },
  ],
  /** Rows of `sessions` for each daily user: there are users who do not come today, and forgotten devices. */
  sessionsPerDailyUser: 5,
  usersPerDailyUser: 3,
};

/**
 * How often people in one region begin a visit in each hour of their day, beside the average: little in the night, most in
 * the evening.
 */
const BY_HOUR = [
  0.45, 0.28, 0.2, 0.17, 0.19, 0.3, 0.55, 0.85, 1.05, 1.15, 1.2, 1.25, 1.3, 1.25, 1.2, 1.2, 1.25, 1.35, 1.5,
  1.65, 1.75, 1.65, 1.3, 0.96,
];
const BY_HOUR_MEAN = BY_HOUR.reduce((sum, value) => sum + value, 0) / BY_HOUR.length;

/** How many visits begin at an hour, beside the average of the day. @param hour of the first region's day, 0 to 24 */
export function visitRateAt(hour: number, { regions }: Traffic): number {
  return regions.reduce((sum, { share, hours }) => sum + share * rateInRegion(hour + hours), 0);
}

/** Straight lines between the hours. */
function rateInRegion(hour: number): number {
  const local = ((hour % 24) + 24) % 24;
  const [before, after] = [Math.floor(local), (Math.floor(local) + 1) % 24];
  const [a = 0, b = 0] = [BY_HOUR[before], BY_HOUR[after]];
  return (a + (b - a) * (local - before)) / BY_HOUR_MEAN;
}

/** The busiest hour of the first region's day, to six minutes, and how busy it is beside the average. */
export function peakOf(traffic: Traffic): { hour: number; factor: number } {
  const hours = Array.from({ length: 240 }, (_, at) => at / 10);
  return hours
    .map((hour) => ({ hour, factor: visitRateAt(hour, traffic) }))
    .reduce((best, one) => (one.factor > best.factor ? one : best));
}

/**
 * The times at which visits begin, one after the other: a Poisson process whose rate follows the day. It is thinned from one
 * at the highest rate (Lewis and Shedler), so it is exact.
 * @param startHour of the first region's day, at time 0
 * @returns draws the time until the next one in milliseconds, given the present one
 */
export function visitTimes(
  users: number,
  startHour: number,
  traffic: Traffic,
  random: Random,
): (nowMs: number) => number {
  const highest = peakOf(traffic).factor * 1.001;
  const perMs = (users * traffic.visitsADay) / 86_400_000;
  const step = random.exponential(1 / (perMs * highest));
  return (nowMs) => {
    let at = nowMs;
    do at += step();
    while (random.uniform() * highest > visitRateAt(startHour + at / 3_600_000, traffic));
    return at - nowMs;
  };
}

/** Draws users: those who come more often, more often. */
export function userDraw(users: number, { activitySigma }: Traffic, random: Random): Draw {
  const activity = random.logNormal(1, activitySigma);
  const until = new Float64Array(users);
  let total = 0;
  for (let user = 0; user < users; user += 1) {
    total += activity();
    until[user] = total;
  }
  return () => firstAbove(until, random.uniform() * total);
}

/** Where in the rising values the first one is that is larger. */
function firstAbove(rising: Float64Array, value: number): number {
  let [low, high] = [0, rising.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((rising[middle] ?? 0) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
