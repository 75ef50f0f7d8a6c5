import cluster, { type Worker } from 'node:cluster';
import packageJson from '../../package.json' with { type: 'json' };
import type { Config } from '../config/config.ts';
import type { State } from './gauges.ts';

/** The metrics of a server. */
export type RunningMetrics = {
  /** Shows also what the rooms know of their state. Call it once, when they are open. */
  watch(state: State): void;
  close(): Promise<void>;
};

type MetricsSettings = Pick<Config, 'HOST' | 'METRICS_PORT'>;

const NO_METRICS: RunningMetrics = { watch: () => {}, close: async () => {} };

/**
 * Counts and serves metrics if METRICS_PORT is set; only then the code for that is loaded. Call it before anything else
 * opens, so that nothing is missed, and close it last: Prometheus looks at a server also while it drains.
 * A worker serves none itself: its primary asks it for them.
 * @param onListen called with the address of the metrics
 * @throws the error of `listen`, such as EADDRINUSE
 */
export async function startMetrics(
  { HOST, METRICS_PORT }: MetricsSettings,
  onListen: (url: string) => void,
): Promise<RunningMetrics> {
  if (METRICS_PORT === undefined) return NO_METRICS;
  const { openMetrics } = await import('./open-metrics.ts');
  const metrics = openMetrics({ version: packageJson.version });
  if (cluster.worker) {
    const { answerPrimary } = await import('./worker-metrics.ts');
    answerPrimary(cluster.worker, metrics.read);
    return { watch: metrics.watch, close: async () => metrics.close() };
  }
  const { serveMetrics } = await import('./metrics-server.ts');
  const server = await serveMetrics({ host: HOST, port: METRICS_PORT }, async () => [await metrics.read()]);
  onListen(server.url);
  return {
    watch: metrics.watch,
    async close() {
      await server.close();
      metrics.close();
    },
  };
}

/**
 * In the primary: serves the metrics of all workers as one, if METRICS_PORT is set.
 * @param workers those that serve now
 * @throws the error of `listen`, such as EADDRINUSE
 */
export async function serveWorkerMetrics(
  { HOST, METRICS_PORT }: MetricsSettings,
  workers: () => Worker[],
  onListen: (url: string) => void,
): Promise<void> {
  if (METRICS_PORT === undefined) return;
  const [{ createWorkerMetrics }, { serveMetrics }] = await Promise.all([
    import('./worker-metrics.ts'),
    import('./metrics-server.ts'),
  ]);
  onListen((await serveMetrics({ host: HOST, port: METRICS_PORT }, createWorkerMetrics(workers))).url);
}
