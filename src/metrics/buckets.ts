/** Upper bounds of histograms, in seconds. */

export const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** What a request waits for: Redis for 0.1 s at most, PostgreSQL for 2 s, a thread for a third of a second. */
export const AWAITED_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2];

/** A sign-out holds on every replica within 1 s; after an outage it arrives when the cache is back. */
export const LAG_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 900];
