import {
  collectDefaultMetrics,
  Gauge,
  type MetricObjectWithValues,
  type MetricValueWithName,
  Registry,
} from '@prometheus-io/client';
import { measureCalls } from './call-metrics.ts';
import { countFacts } from './fact-metrics.ts';
import { type State, showState } from './gauges.ts';

/** All metrics of a process at one moment: plain JSON, which a worker can send to its primary. */
export type Snapshot = MetricObjectWithValues<MetricValueWithName<string>>[];

export type Metrics = {
  /** From now on the state of the rooms is shown too. Call it once, when they are open. */
  watch(state: State): void;
  read(): Promise<Snapshot>;
  /** Ends all subscriptions. */
  close(): void;
};

type MetricsOptions = {
  /** Of Doorward. */
  version: string;
};

/** Event loop, memory, garbage collection: of the process, so there is one of it, and nothing to close. */
const processRegistry = new Registry();
collectDefaultMetrics({ register: processRegistry });

/** Subscribes to what the rooms publish, and counts it. */
export function openMetrics({ version }: MetricsOptions): Metrics {
  // The library has exemplars only in registries of this type.
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE);
  const ends = [countFacts(registry), measureCalls(registry)];
  showVersion(registry, version);
  return {
    watch: (state) => showState(registry, state),
    async read() {
      const read = await Promise.all([registry, processRegistry].map((one) => one.getMetricsAsJSON()));
      return read.flat().map(withoutUnknown);
    },
    close: () => ends.forEach((end) => void end()),
  };
}

function showVersion(registry: Registry, version: string): void {
  const gauge = new Gauge({
    name: 'doorward_build_info',
    help: 'The release that runs: always 1',
    labelNames: ['version'],
    aggregator: 'first',
    registers: [registry],
  });
  gauge.set({ version }, 1);
}

/** NaN says nothing to Prometheus, and JSON would make it null. */
function withoutUnknown(metric: Snapshot[number]): Snapshot[number] {
  return { ...metric, values: metric.values.filter(({ value }) => !Number.isNaN(value)) };
}
