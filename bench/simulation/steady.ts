import { createHistogram } from 'node:perf_hooks';
import type { Costs } from '../cost-table.ts';
import { createRandom } from '../random.ts';
import { createStation } from './station.ts';
import { createTimeline } from './timeline.ts';

/** On one machine: from the client to the server and back, and to Redis and back. */
const LOOPBACK_MS = 0.1;

/** `POST /token` at a steady rate to one replica, from a session that the cache knows: what `sendSteadily` measures. */
export function simulateSteadily(
  { requests, serverSigma }: Costs,
  perSecond: number,
  seconds: number,
): { p50Ms: number; p99Ms: number } {
  const timeline = createTimeline();
  const [loop, redis] = [createStation(timeline, 1), createStation(timeline, 1)];
  const spread = createRandom(1).logNormal(1, serverSigma);
  const { serverMicros, redisMicros } = requests.mintHit;
  const times = createHistogram({ figures: 3 });
  const half = (then: () => void) => loop.serve((serverMicros / 2000) * spread(), then);
  for (let at = 0; at < perSecond * seconds; at += 1) {
    const dueMs = (at * 1000) / perSecond;
    timeline.after(dueMs, () =>
      half(() =>
        timeline.after(LOOPBACK_MS, () =>
          redis.serve(redisMicros / 1000, () =>
            half(() => times.record(Math.round((timeline.now() - dueMs + LOOPBACK_MS) * 1000))),
          ),
        ),
      ),
    );
  }
  timeline.runUntil(seconds * 1000 + 10_000);
  return { p50Ms: times.percentile(50) / 1000, p99Ms: times.percentile(99) / 1000 };
}
