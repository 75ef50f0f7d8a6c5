import { Histogram, type Registry } from '@prometheus-io/client';
import { type Operation, type OperationChannel, operations } from '../core/trace-channels.ts';
import { AWAITED_SECONDS } from './buckets.ts';

/** A call that has started: its listeners keep what they know of it on the message. */
type Started = Operation & { startedAt?: number; error?: unknown };

/**
 * Measures the calls to PostgreSQL and Redis.
 * @returns a function that ends this
 */
export function measureCalls(registry: Registry): () => void {
  const ends = [
    measure(
      operations.database,
      'doorward_database_call_duration_seconds',
      'Calls to the database',
      registry,
    ),
    measure(operations.redis, 'doorward_redis_call_duration_seconds', 'Commands to Redis', registry),
  ];
  return () => ends.forEach((end) => void end());
}

function measure(channel: OperationChannel, name: string, help: string, registry: Registry): () => void {
  const durations = new Histogram({
    name,
    help,
    labelNames: ['call', 'outcome'],
    buckets: AWAITED_SECONDS,
    registers: [registry],
  });
  const listeners = {
    start(call: Started) {
      call.startedAt = performance.now();
    },
    asyncEnd(call: Started) {
      // A call that was under way when this began has no start.
      if (call.startedAt === undefined) return;
      const outcome = 'error' in call ? 'error' : 'ok';
      durations.observe({ call: call.name, outcome }, (performance.now() - call.startedAt) / 1000);
    },
  };
  channel.subscribe(listeners);
  return () => void channel.unsubscribe(listeners);
}
