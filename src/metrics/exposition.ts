import { type Metric, Registry } from '@prometheus-io/client';
import type { Snapshot } from './open-metrics.ts';

/** What a scrape gets. */
export type Exposition = { contentType: string; text: string };

/**
 * The text for Prometheus: OpenMetrics, which has exemplars, if the scraper asks for that.
 * @param snapshots of one process, or of several, whose values become one; those have no exemplars
 * @param accept the header of the request
 */
export async function expose(snapshots: Snapshot[], accept = ''): Promise<Exposition> {
  const isOpenMetrics = accept.includes('application/openmetrics-text');
  const registry = new Registry(
    isOpenMetrics ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE,
  );
  for (const metric of await joined(snapshots)) register(registry, isOpenMetrics ? renamed(metric) : metric);
  return { contentType: registry.contentType, text: await registry.metrics() };
}

async function joined(snapshots: Snapshot[]): Promise<Snapshot> {
  const [first = [], ...others] = snapshots;
  return others.length === 0 ? first : Registry.aggregate(snapshots).getMetricsAsJSON();
}

/** OpenMetrics names the family of a counter without the `_total` of its lines, which the registry adds again. */
function renamed(metric: Snapshot[number]): Snapshot[number] {
  return metric.type === 'counter' ? { ...metric, name: metric.name.replace(/_total$/, '') } : metric;
}

/** A registry asks its metrics for what it writes. It changes their names, so it never gets those that count. */
function register(registry: Registry, metric: Snapshot[number]): void {
  registry.registerMetric({ ...metric, get: async () => metric } as unknown as Metric);
}
