import { test } from 'tap';
import { proxyNames } from '../restarts/proxies.ts';
import { restartUnderLoad } from '../restarts/rolling-restarts.ts';

/** A short form of `npm run test:restarts`. */
const PLAN = { restarts: 1, replicas: 2, drainDelay: 1, connections: 10, perSecond: 100 };

/** DRAIN_DELAY, and the 15 s that production.md names. */
const STOPS_WITHIN_MS = 16_000;

for (const proxy of proxyNames) {
  test(`a rolling restart behind ${proxy} fails no request`, async (t) => {
    const { sent, failures, longestStopMs, log } = await restartUnderLoad(t, { ...PLAN, proxy });
    if (failures.length > 0) t.comment(log);
    t.same(failures, []);
    t.ok(sent > 100, `${sent} requests`);
    t.ok(longestStopMs < STOPS_WITHIN_MS, `${longestStopMs} ms`);
  });
}
